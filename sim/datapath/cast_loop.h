#pragma once

// FP32 to a narrower format, round to nearest even, written so that the compiler vectorises it: no
// branches, one pass. Included once per instruction set with
//   TESSERA_TARGET   the function attribute that selects it (may be empty)
//   TESSERA_KERNELS  the name of the table to define
// The default rounding mode of the processor is assumed, as everywhere in C++.

#include <cstring>

#include "sim/datapath/cast_kernels.h"

namespace tessera::cast_kernels {
namespace {

/// The layout of a format and what overflow and NaN become, as compile-time constants.
template <int exponent_bits, int fraction_bits, int bias, Specials specials, Overflow overflow>
struct Layout {
  static constexpr int fraction = fraction_bits;
  static constexpr std::int32_t sign_shift = 31 - exponent_bits - fraction_bits;
  static constexpr std::int32_t ones = (1 << (exponent_bits + fraction_bits)) - 1;
  static constexpr std::int32_t max = specials == Specials::ieee ? ones - (1 << fraction_bits)
                                      : specials == Specials::fn ? ones - 1
                                                                 : ones;
  /// What becomes of a magnitude beyond max; the NaN of fnuz is patched in at the end.
  static constexpr std::int32_t beyond =
      overflow == Overflow::saturate || specials == Specials::none ? max
      : specials == Specials::ieee                                 ? max + 1
                                   : ones + (specials == Specials::fnuz);
  static constexpr bool beyond_is_nan =
      overflow == Overflow::to_special && (specials == Specials::fn || specials == Specials::fnuz);
  static constexpr std::int32_t nan = specials == Specials::fnuz   ? ones + 1
                                      : specials == Specials::none ? max
                                                                   : ones;
  static constexpr bool negative_zero = specials != Specials::fnuz;
  /// FP32 pattern of the smallest normal number.
  static constexpr std::int32_t min_normal = (128 - bias) << 23;
  /// FP32 pattern of the power of two whose last place is the format's smallest subnormal: adding
  /// it makes the FP32 adder do the rounding.
  static constexpr std::int32_t magic = (127 + (1 - bias) - fraction_bits + 23) << 23;
};

/// condition ? x : y, as masks: compilers turn `?:` into a branch around floating-point arithmetic.
inline std::int32_t either(bool condition, std::int32_t x, std::int32_t y) {
  const std::int32_t mask = -static_cast<std::int32_t>(condition);
  return (x & mask) | (y & ~mask);
}

template <class L, class Code>
TESSERA_TARGET void encode_loop(const float* __restrict values, Code* __restrict codes,
                                std::int64_t n) {
  constexpr int drop = 23 - L::fraction;
  float magic = 0;
  const std::int32_t magic_bits = L::magic;
  std::memcpy(&magic, &magic_bits, 4);
  for (std::int64_t i = 0; i < n; ++i) {
    std::int32_t pattern = 0;
    std::memcpy(&pattern, values + i, 4);
    const std::int32_t magnitude = pattern & 0x7FFFFFFF;
    const std::int32_t sign = static_cast<std::int32_t>(
        (static_cast<std::uint32_t>(pattern) & 0x80000000u) >> L::sign_shift);

    // Normal: rebias, then add half of the last place, less one if it is even. Unsigned, because a
    // magnitude below the normal ones wraps around; its result is not the one chosen.
    std::uint32_t rebiased = static_cast<std::uint32_t>(magnitude) -
                             static_cast<std::uint32_t>(L::min_normal - (1 << 23));
    rebiased += ((1u << (drop - 1)) - 1) + (rebiased >> drop & 1u);
    const auto normal = static_cast<std::int32_t>(rebiased >> drop);

    float small = 0;
    std::memcpy(&small, &magnitude, 4);
    small += magic;
    std::int32_t subnormal = 0;
    std::memcpy(&subnormal, &small, 4);
    subnormal -= magic_bits;

    std::int32_t code = either(magnitude < L::min_normal, subnormal, normal);
    const bool over = code > L::max;
    code = either(over, L::beyond, code);
    // A NaN loses its sign, and so does what overflows to one; -0 does where there is none.
    std::int32_t signed_code = code | sign;
    if (L::beyond_is_nan) signed_code = either(over, code, signed_code);
    if (!L::negative_zero) signed_code = either(code == 0, 0, signed_code);
    code = either(magnitude > 0x7F800000, L::nan, signed_code);
    codes[i] = static_cast<Code>(code);
  }
}

template <Overflow overflow>
Encode<std::uint8_t> narrow_kernel(Format format) {
  switch (format) {
    case Format::e4m3:
      return encode_loop<Layout<4, 3, 7, Specials::fn, overflow>>;
    case Format::e5m2:
      return encode_loop<Layout<5, 2, 15, Specials::ieee, overflow>>;
    case Format::e4m3fnuz:
      return encode_loop<Layout<4, 3, 8, Specials::fnuz, overflow>>;
    case Format::e5m2fnuz:
      return encode_loop<Layout<5, 2, 16, Specials::fnuz, overflow>>;
    case Format::e3m2:
      return encode_loop<Layout<3, 2, 3, Specials::none, overflow>>;
    case Format::e2m3:
      return encode_loop<Layout<2, 3, 1, Specials::none, overflow>>;
    case Format::e2m1:
      return encode_loop<Layout<2, 1, 1, Specials::none, overflow>>;
    default:
      return nullptr;
  }
}

template <Overflow overflow>
Encode<std::uint16_t> half_kernel(Format format) {
  switch (format) {
    case Format::fp16:
      return encode_loop<Layout<5, 10, 15, Specials::ieee, overflow>>;
    case Format::bf16:
      return encode_loop<Layout<8, 7, 127, Specials::ieee, overflow>>;
    default:
      return nullptr;
  }
}

Encode<std::uint8_t> narrow(Format format, Overflow overflow) {
  return overflow == Overflow::saturate ? narrow_kernel<Overflow::saturate>(format)
                                        : narrow_kernel<Overflow::to_special>(format);
}

Encode<std::uint16_t> half(Format format, Overflow overflow) {
  return overflow == Overflow::saturate ? half_kernel<Overflow::saturate>(format)
                                        : half_kernel<Overflow::to_special>(format);
}

}  // namespace

const Kernels TESSERA_KERNELS = {narrow, half};

}  // namespace tessera::cast_kernels
