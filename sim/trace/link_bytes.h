#pragma once

#include <cstddef>

#include "sim/trace/trace.h"

namespace tessera {

/// Bytes that each rank must send, n ranks, S bytes: 2 S (n-1)/n (all-reduce), S (p2p), else
/// S (n-1)/n. No exchange between the chips alone does with less (Patarasuk & Yuan 2009). Where
/// the switch adds and replicates (`in_switch`), an all-reduce sends S to be added and S/n to be
/// replicated, if that is less.
double link_bytes(const Collective& collective, bool in_switch = false);

/// Bytes of its own memory that each rank reads and writes at least: the input once and the result
/// once. Of S bytes: all-reduce and all-to-all 2 S, all-gather and reduce-scatter S + S/n, p2p (the
/// rank that sends) S; 0 where there is nobody to exchange with.
double exchange_memory_bytes(const Collective& collective);

/// Bytes that operation `op` of a section sends to other chips at least: its kernels run one after
/// the other, each as long as the role with most to exchange. Only exchanges that stand outside
/// loops count, as a loop may run zero times.
double link_bytes(const Section& section, std::size_t op, bool in_switch = false);

}  // namespace tessera
