#include "sim/chip/collective.h"

#include <cmath>

#include "sim/trace/link_bytes.h"

namespace tessera {

Cycles collective_time(const Collective& collective, const ChipConfig& chip) {
  const auto n = static_cast<double>(collective.ranks);
  if (collective.ranks <= 1 || chip.link.bandwidth_gbps <= 0) return Cycles(0);
  double steps = n - 1;
  if (collective.kind == CollectiveKind::allreduce) steps *= 2;
  if (collective.kind == CollectiveKind::p2p) steps = 1;
  const double us =
      steps * chip.link.latency_us + link_bytes(collective) / (chip.link.bandwidth_gbps * 1e3);
  // More than any simulation may last is as good as 2^62.
  return Cycles(static_cast<std::int64_t>(std::fmin(std::ceil(us * chip.clock.core_mhz), 0x1p62)));
}

}  // namespace tessera
