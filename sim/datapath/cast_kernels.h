#pragma once

#include <cstdint>

#include "sim/datapath/format.h"

// Internal to cast.cpp: one object file per instruction set, each built from cast_loop.h.

namespace tessera::cast_kernels {

template <class Code>
using Encode = void (*)(const float* values, Code* codes, std::int64_t n);
template <class Code>
using Decode = void (*)(const Code* codes, float* values, std::int64_t n);
using Round = void (*)(const float* values, float* rounded, std::int64_t n);

/// The kernel for a format and overflow rule, or nullptr where there is none (e8m0, wide formats).
struct Kernels {
  Encode<std::uint8_t> (*encode_narrow)(Format, Overflow);
  Encode<std::uint16_t> (*encode_half)(Format, Overflow);
  Decode<std::uint8_t> (*decode_narrow)(Format);
  Decode<std::uint16_t> (*decode_half)(Format);
  Round (*round)(Format, Overflow);
};

extern const Kernels portable;
extern const Kernels avx2;
extern const Kernels avx512;

}  // namespace tessera::cast_kernels
