#include "sim/chip/collective.h"

#include <algorithm>
#include <cmath>

namespace tessera {
namespace {

/// us for `bytes` at `gbps`.
double us(double bytes, double gbps) { return bytes / (gbps * 1e3); }

struct Exchange {
  const ChipConfig& chip;
  double ranks, bytes;
  const CollectiveConfig& c = chip.collective;

  double link(double sent, double share) const {
    return us(sent, share * chip.link.bandwidth_gbps);
  }
  double copied(double own) const { return c.copy_gbps > 0 ? us(own, c.copy_gbps) : 0; }

  double ring(double steps) const {
    const double part = bytes / ranks, sent = steps * part;
    const double words = link(sent, c.flagged_word_share);
    const double lines = steps * c.flagged_line_step_us + link(sent, c.flagged_line_share);
    const double buffers = c.buffered_start_us + link(sent, c.buffered_share);
    return steps * chip.link.latency_us + std::min({words, lines, buffers}) + copied(part);
  }

  double in_switch() const {
    const double chunk = std::min(bytes, c.in_switch_chunk_kib * 1024);
    return c.in_switch_start_us + link(bytes + bytes / ranks + 2 * chunk, c.in_switch_share);
  }

  double direct(double peers, double part) const {
    const double started = chip.link.latency_us + peers * c.peer_us;
    if (part <= c.flagged_word_max_kib * 1024) return started + link(part, c.flagged_word_share);
    return started + c.direct_start_us + link(peers * part, c.direct_share) + copied(part);
  }

  double time_us(CollectiveKind kind) const {
    switch (kind) {
      case CollectiveKind::allreduce:
        if (c.in_switch != 0 && ranks > 2) return std::min(ring(2 * (ranks - 1)), in_switch());
        return ring(2 * (ranks - 1));
      case CollectiveKind::allgather:
      case CollectiveKind::reducescatter:
        return ring(ranks - 1);
      case CollectiveKind::alltoall:
        return direct(ranks - 1, bytes / ranks);
      case CollectiveKind::p2p:
        return direct(1, bytes);
    }
    return 0;
  }
};

}  // namespace

Cycles collective_time(const Collective& collective, const ChipConfig& chip) {
  if (collective.ranks <= 1 || chip.link.bandwidth_gbps <= 0) return Cycles(0);
  const Exchange exchange{chip, static_cast<double>(collective.ranks),
                          static_cast<double>(collective.bytes)};
  const double time_us = chip.collective.start_us + exchange.time_us(collective.kind);
  // More than any simulation may last is as good as 2^62.
  return Cycles(
      static_cast<std::int64_t>(std::fmin(std::ceil(time_us * chip.clock.core_mhz), 0x1p62)));
}

}  // namespace tessera
