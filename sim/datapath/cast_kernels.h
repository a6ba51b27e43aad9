#pragma once

#include <cstdint>

#include "sim/datapath/format.h"

// Internal to cast.cpp: one object file per instruction set, each built from cast_loop.h.

namespace tessera::cast_kernels {

template <class Code>
using Encode = void (*)(const float* values, Code* codes, std::int64_t n);

/// The kernel for a format and overflow rule, or nullptr where there is none (e8m0, wide formats).
struct Kernels {
  Encode<std::uint8_t> (*narrow)(Format, Overflow);
  Encode<std::uint16_t> (*half)(Format, Overflow);
};

extern const Kernels portable;
extern const Kernels avx2;
extern const Kernels avx512;

}  // namespace tessera::cast_kernels
