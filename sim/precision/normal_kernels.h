#pragma once

#include <cstdint>

// Internal to normal.cpp: one object file per instruction set, each built from normal_loop.h.

namespace tessera::normal_kernels {

/// Blocks of one call; four numbers come from each.
constexpr int blocks = 8;

/// The numbers of the blocks [first, first + blocks) of a stream: 4 * blocks of them.
using Kernel = void (*)(std::uint64_t seed, std::uint64_t stream, std::uint64_t first,
                        std::int64_t groups, float* values);

extern const Kernel portable;
extern const Kernel avx2;
extern const Kernel avx512;

}  // namespace tessera::normal_kernels
