#pragma once

#include "sim/base/units.h"
#include "sim/config/chip_config.h"
#include "sim/trace/trace.h"

namespace tessera {

/// Time of a collective exchange inside one node, n ranks, S bytes
/// (docs/timing-model/collectives.md says which); B = link.bandwidth_gbps, L = link.latency_us,
/// shares and starts of `collective`:
///   ring            steps (L + protocol's step) + steps S/n / (share B) + S/n / copy_gbps
///                   steps = 2(n-1) (all-reduce) or n-1 (all-gather, reduce-scatter);
///                   the fastest of three protocols: flagged words, flagged lines, buffers
///   in the switch   start + (S + S/n + 2 min(S, chunk)) / (share B); all-reduce, n > 2, if faster
///   direct          all-to-all: L + (n-1) peer_us + (n-1) S/n / (share B), parts of up to
///                   flagged_word_max_kib with flagged words, else buffered; p2p: one peer, S bytes
/// and collective.start_us before each. Sources: the ring (Patarasuk & Yuan 2009); NCCL's
/// documented protocols and algorithms; the numbers' are in configs/chips/.
Cycles collective_time(const Collective& collective, const ChipConfig& chip);

}  // namespace tessera
