#include "sim/trace/link_bytes.h"

#include <algorithm>

namespace tessera {

double link_bytes(const Collective& collective, bool in_switch) {
  const auto n = static_cast<double>(collective.ranks);
  const auto size = static_cast<double>(collective.bytes);
  if (collective.ranks <= 1) return 0;
  switch (collective.kind) {
    case CollectiveKind::allreduce:
      return in_switch ? std::min(2 * (n - 1), n + 1) / n * size : 2 * size * (n - 1) / n;
    case CollectiveKind::p2p:
      return size;
    default:
      return size * (n - 1) / n;
  }
}

double exchange_memory_bytes(const Collective& collective) {
  const auto n = static_cast<double>(collective.ranks);
  const auto size = static_cast<double>(collective.bytes);
  if (collective.ranks <= 1) return 0;
  switch (collective.kind) {
    case CollectiveKind::allreduce:
    case CollectiveKind::alltoall:
      return 2 * size;
    case CollectiveKind::allgather:
    case CollectiveKind::reducescatter:
      return size + size / n;
    case CollectiveKind::p2p:
      return size;
  }
  return 0;
}

double link_bytes(const Section& section, std::size_t op, bool in_switch) {
  double sum = 0;
  for (const Kernel& kernel : section.kernels) {
    if (kernel.op != static_cast<std::int64_t>(op)) continue;
    double most = 0;
    for (const Role& role : kernel.roles) {
      double sent = 0;
      int depth = 0;
      for (const Instruction& instruction : role.code) {
        if (std::holds_alternative<Loop>(instruction)) ++depth;
        if (std::holds_alternative<End>(instruction)) --depth;
        const auto* exchange = std::get_if<Collective>(&instruction);
        if (exchange != nullptr && depth == 0) sent += link_bytes(*exchange, in_switch);
      }
      most = std::max(most, sent);
    }
    sum += most;
  }
  return sum;
}

}  // namespace tessera
