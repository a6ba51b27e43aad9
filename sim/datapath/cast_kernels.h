#pragma once

#include <cstdint>

#include "sim/base/random.h"
#include "sim/datapath/format.h"

// Internal to cast.cpp: one object file per instruction set, each built from cast_loop.h.

namespace tessera::cast_kernels {

template <class Code>
using Encode = void (*)(const float* values, Code* codes, std::int64_t n);
template <class Code>
using Decode = void (*)(const Code* codes, float* values, std::int64_t n);
using Round = void (*)(const float* values, float* rounded, std::int64_t n);

/// A format, rounding and overflow rule as the loops of the roundings that are not to nearest take
/// them. Codes are whole; of a pair the second is for negative values.
struct Narrowing {
  std::int32_t fraction_bits = 0;
  std::int32_t min_field = 0;  ///< the exponent field, in FP32, of the smallest normal number
  std::int32_t max = 0;        ///< largest finite code
  std::int32_t sign_shift = 0;
  std::int32_t beyond[2] = {0, 0};    ///< what a finite value beyond max becomes
  std::int32_t infinity[2] = {0, 0};  ///< what Inf becomes
  std::int32_t negative_zero = 0;     ///< what -0 becomes
  std::int32_t nan = 0;
  std::int32_t outward[2] = {0, 0};  ///< 1: away from zero; unused by stochastic rounding
};

template <class Code>
using Narrow = void (*)(const Narrowing& to, const float* values, Code* codes, std::int64_t n);
/// Number `first` of `random` decides on the first value. `first` is a multiple of 4.
template <class Code>
using NarrowAtRandom = void (*)(const Narrowing& to, const Random& random, std::uint64_t first,
                                const float* values, Code* codes, std::int64_t n);

/// The kernel for a format and overflow rule, or nullptr where there is none (e8m0, wide formats).
struct Kernels {
  Encode<std::uint8_t> (*encode_narrow)(Format, Overflow);
  Encode<std::uint16_t> (*encode_half)(Format, Overflow);
  Decode<std::uint8_t> (*decode_narrow)(Format);
  Decode<std::uint16_t> (*decode_half)(Format);
  Round (*round)(Format, Overflow);
  Narrow<std::uint8_t> narrow_to_8;
  Narrow<std::uint16_t> narrow_to_16;
  NarrowAtRandom<std::uint8_t> narrow_to_8_at_random;
  NarrowAtRandom<std::uint16_t> narrow_to_16_at_random;
};

extern const Kernels portable;
extern const Kernels avx2;
extern const Kernels avx512;

}  // namespace tessera::cast_kernels
