#pragma once

#include "sim/base/units.h"
#include "sim/config/chip_config.h"
#include "sim/trace/trace.h"

namespace tessera {

/// Time of a collective exchange as a ring over links of one node, n ranks, S bytes of result:
///   all-reduce       2 (n-1) steps of S/n bytes
///   all-gather, reduce-scatter, all-to-all   n-1 steps of S/n bytes
///   p2p              one step of S bytes
///   time = steps * link.latency + bytes over the link / link.bandwidth
/// Source: the ring algorithm of the usual collective libraries (Patarasuk & Yuan 2009).
Cycles collective_time(const Collective& collective, const ChipConfig& chip);

}  // namespace tessera
