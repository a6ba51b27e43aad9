#pragma once

#include <cstdint>

#include "sim/trace/trace.h"

namespace tessera {

/// A trace with every kind of instruction and odd values in every field, the same for a seed on
/// every machine. It is well-formed as a file (loops match), not as a program.
Trace random_trace(std::uint64_t seed);

/// A GEMM with a producer, `consumers` consumers and a ring of `stages`, which verifies.
Trace small_gemm(std::int64_t stages = 3, std::int64_t consumers = 2);

}  // namespace tessera
