#pragma once

// Conversions between FP32 and narrower formats, written so that the compiler vectorises them: no
// branches, one pass (sim/CMakeLists.txt has the compiler flags that it needs). Included once per
// instruction set with
//   TESSERA_TARGET   the function attribute that selects it (may be empty)
//   TESSERA_KERNELS  the name of the table to define
// The default rounding mode of the processor is assumed, as everywhere in C++.
//
// Rounding to nearest even is left to the FP32 adder: added to a power of two whose last place is
// the last place of the format at that magnitude, a number comes out rounded there. The power is
// 2^(23 - fraction bits) times that of the number, or of the smallest normal number if it is less.

#include <cstring>

#include "sim/datapath/cast_kernels.h"

namespace tessera::cast_kernels {
namespace {

/// The layout of a format and what overflow and NaN become, as compile-time constants.
template <int exponent_bits, int fraction_bits, int bias, Specials specials, Overflow overflow>
struct Layout {
  static constexpr int fraction = fraction_bits;
  static constexpr int drop = 23 - fraction_bits;
  static constexpr std::int32_t sign_shift = 31 - exponent_bits - fraction_bits;
  static constexpr std::int32_t ones = (1 << (exponent_bits + fraction_bits)) - 1;
  static constexpr std::int32_t max = specials == Specials::ieee ? ones - (1 << fraction_bits)
                                      : specials == Specials::fn ? ones - 1
                                                                 : ones;
  /// What overflow becomes: the code after max is Inf, or NaN, wherever there is one.
  static constexpr std::int32_t beyond =
      overflow == Overflow::saturate || specials == Specials::none ? max : max + 1;
  static constexpr bool beyond_is_nan = beyond > max &&
                                        (specials == Specials::fn || specials == Specials::fnuz);
  static constexpr std::int32_t nan = specials == Specials::fnuz   ? ones + 1
                                      : specials == Specials::none ? max
                                                                   : ones;
  static constexpr bool has_nan = specials != Specials::none;
  static constexpr bool has_infinity = specials == Specials::ieee;
  static constexpr bool negative_zero = specials != Specials::fnuz;
  /// Exponents as those of FP32: such a format is a piece of an FP32 pattern.
  static constexpr bool wide = exponent_bits == 8;
  /// FP32 patterns of the smallest normal number and of the number with a code above 0.
  static constexpr std::int32_t min_normal = (128 - bias) << 23;
  static constexpr std::int32_t pattern(std::int32_t code) {
    return min_normal + ((code - (1 << fraction_bits)) << drop);
  }
};

/// condition ? x : y, as masks: compilers turn `?:` into a branch around floating-point arithmetic.
inline std::int32_t either(bool condition, std::int32_t x, std::int32_t y) {
  const std::int32_t mask = -static_cast<std::int32_t>(condition);
  return (x & mask) | (y & ~mask);
}

/// By value: the references of std::min and std::max keep the compiler from seeing one operation.
inline std::int32_t smaller(std::int32_t x, std::int32_t y) { return x < y ? x : y; }
inline std::int32_t larger(std::int32_t x, std::int32_t y) { return x > y ? x : y; }

inline float as_float(std::int32_t pattern) {
  float value = 0;
  std::memcpy(&value, &pattern, 4);
  return value;
}
inline std::int32_t as_pattern(float value) {
  std::int32_t pattern = 0;
  std::memcpy(&pattern, &value, 4);
  return pattern;
}

/// The power of two that rounds a magnitude, as a pattern.
template <class L>
inline std::int32_t rounding_power(std::int32_t magnitude) {
  return larger(magnitude & 0x7F800000, L::min_normal) + (L::drop << 23);
}

template <class L, class Code>
TESSERA_TARGET void encode_loop(const float* __restrict values, Code* __restrict codes,
                                std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int32_t pattern = as_pattern(values[i]);
    const std::int32_t magnitude = pattern & 0x7FFFFFFF;
    const auto sign = static_cast<std::int32_t>(
        (static_cast<std::uint32_t>(pattern) & 0x80000000u) >> L::sign_shift);
    std::int32_t code = 0;
    if (L::wide) {
      // Not beyond Inf, so that the carry of a NaN's fraction stays within 31 bits.
      const std::int32_t limited = smaller(magnitude, 0x7F800000);
      code = (limited + ((1 << (L::drop - 1)) - 1) + (limited >> L::drop & 1)) >> L::drop;
      code = smaller(code, L::beyond);
    } else {
      const std::int32_t limited = smaller(magnitude, L::pattern(L::beyond));
      const std::int32_t power = rounding_power<L>(limited);
      // The significand in last places, and above it the exponent less one.
      code = as_pattern(as_float(limited) + as_float(power)) - power +
             ((power - (L::min_normal + (L::drop << 23))) >> L::drop);
    }
    // A NaN loses its sign, and so does -0 where there is none.
    std::int32_t signed_code = code | sign;
    if (!L::negative_zero) signed_code = either(code == 0, 0, signed_code);
    codes[i] = static_cast<Code>(either(magnitude > 0x7F800000, L::nan, signed_code));
  }
}

/// The code of one value by the other roundings, in integers. `random` is used if `stochastic`.
template <bool stochastic>
TESSERA_TARGET inline std::int32_t narrowed(const Narrowing& to, float value,
                                            std::uint32_t random) {
  const std::int32_t pattern = as_pattern(value);
  const std::int32_t magnitude = pattern & 0x7FFFFFFF;
  const bool negative = pattern < 0;
  const std::int32_t field = magnitude >> 23;
  const auto significand =
      static_cast<std::uint32_t>((magnitude & 0x7FFFFF) | either(field > 0, 0x800000, 0));
  // How many bits of the significand are below the last place of the format.
  const std::int32_t drop = 23 - to.fraction_bits + larger(to.min_field - larger(field, 1), 0);
  const std::int32_t limited = smaller(drop, 31);
  const std::uint32_t kept = significand >> limited;
  std::int32_t outward = 0;
  if (stochastic) {
    // The discarded fraction in 2^-32; the sum with `random` carries if it rounds outward.
    const std::uint32_t fraction =
        significand << (32 - smaller(drop, 32)) >> smaller(larger(drop - 32, 0), 31);
    outward = static_cast<std::int32_t>(fraction + random < fraction);
  } else {
    outward = static_cast<std::int32_t>(kept << limited != significand) &
              either(negative, to.outward[1], to.outward[0]);
  }
  // Exponent and fraction as one integer: a carry out of the fraction lands in the exponent.
  const std::int32_t code = static_cast<std::int32_t>(kept) + outward +
                            (larger(field - to.min_field, 0) << to.fraction_bits);
  const auto sign = static_cast<std::int32_t>((static_cast<std::uint32_t>(pattern) & 0x80000000u) >>
                                              to.sign_shift);
  std::int32_t result = code | sign;
  result = either(code == 0, either(negative, to.negative_zero, 0), result);
  result = either(code > to.max, either(negative, to.beyond[1], to.beyond[0]), result);
  result =
      either(magnitude == 0x7F800000, either(negative, to.infinity[1], to.infinity[0]), result);
  return either(magnitude > 0x7F800000, to.nan, result);
}

template <class Code>
TESSERA_TARGET void narrow_loop(const Narrowing& narrowing, const float* __restrict values,
                                Code* __restrict codes, std::int64_t n) {
  const Narrowing to = narrowing;  // a copy: codes may be bytes, which alias everything
  for (std::int64_t i = 0; i < n; ++i)
    codes[i] = static_cast<Code>(narrowed<false>(to, values[i], 0));
}

template <class Code>
TESSERA_TARGET void narrow_at_random_loop(const Narrowing& narrowing, const Random& random,
                                          std::uint64_t first, const float* __restrict values,
                                          Code* __restrict codes, std::int64_t n) {
  const Narrowing to = narrowing;
  constexpr std::int64_t chunk = 1024;
  std::uint32_t words[chunk];
  for (std::int64_t begin = 0; begin < n; begin += chunk) {
    const std::int64_t count = begin + chunk < n ? chunk : n - begin;
    const std::uint64_t first_block = (first + static_cast<std::uint64_t>(begin)) / 4;
    for (std::int64_t b = 0; b < (count + 3) / 4; ++b) {
      const Random::Block block = random.block(first_block + static_cast<std::uint64_t>(b));
      words[4 * b] = block[0];
      words[4 * b + 1] = block[1];
      words[4 * b + 2] = block[2];
      words[4 * b + 3] = block[3];
    }
    for (std::int64_t i = 0; i < count; ++i)
      codes[begin + i] = static_cast<Code>(narrowed<true>(to, values[begin + i], words[i]));
  }
}

/// Encoded and decoded again.
template <class L>
TESSERA_TARGET void round_loop(const float* values, float* rounded, std::int64_t n) {
  constexpr std::int32_t quiet_nan = 0x7FC00000;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int32_t pattern = as_pattern(values[i]);
    const std::int32_t magnitude = pattern & 0x7FFFFFFF;
    std::int32_t result = 0;
    if (L::wide) {
      constexpr std::int32_t low = (1 << L::drop) - 1;
      const std::int32_t limited = smaller(magnitude, 0x7F800000);
      result = (limited + (low >> 1) + (limited >> L::drop & 1)) & ~low;
      result = smaller(result, L::beyond << L::drop);
    } else {
      const std::int32_t limited = smaller(magnitude, L::pattern(L::beyond));
      const float power = as_float(rounding_power<L>(limited));
      result = as_pattern((as_float(limited) + power) - power);
      if (L::has_infinity) result = either(result > L::pattern(L::max), 0x7F800000, result);
    }
    std::int32_t signed_result = result | (pattern & ~0x7FFFFFFF);
    if (!L::negative_zero) signed_result = either(result == 0, 0, signed_result);
    if (L::beyond_is_nan)
      signed_result = either(result > L::pattern(L::max), quiet_nan, signed_result);
    rounded[i] = as_float(
        either(magnitude > 0x7F800000, L::has_nan ? quiet_nan : L::pattern(L::max), signed_result));
  }
}

template <class L, class Code>
TESSERA_TARGET void decode_loop(const Code* __restrict codes, float* __restrict values,
                                std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int32_t code = codes[i];
    const std::int32_t magnitude = code & L::ones;
    const auto sign = static_cast<std::int32_t>(static_cast<std::uint32_t>(code & (L::ones + 1))
                                                << L::sign_shift);
    const std::int32_t fraction = magnitude << L::drop;
    std::int32_t result = fraction;
    if (!L::wide) {
      // A subnormal is the fraction beside the smallest normal number, less that number.
      const std::int32_t subnormal =
          as_pattern(as_float(fraction + L::min_normal) - as_float(L::min_normal));
      result = either(fraction < 0x800000, subnormal, fraction + (L::min_normal - 0x800000));
      if (L::has_infinity) {
        result = either(magnitude > L::max, 0x7F800000, result);
        result = either(magnitude > L::max + 1, 0x7FC00000, result);
      } else if (L::has_nan) {
        result = either(magnitude > L::max, 0x7FC00000, result);
      }
    }
    result |= sign;
    if (!L::negative_zero)
      result = either((code & (2 * L::ones + 1)) == L::nan, 0x7FC00000, result);
    values[i] = as_float(result);
  }
}

template <Overflow overflow, template <class> class Kernel>
typename Kernel<Layout<4, 3, 7, Specials::fn, overflow>>::Type narrow_kernel(Format format) {
  switch (format) {
    case Format::e4m3:
      return Kernel<Layout<4, 3, 7, Specials::fn, overflow>>::loop;
    case Format::e5m2:
      return Kernel<Layout<5, 2, 15, Specials::ieee, overflow>>::loop;
    case Format::e4m3fnuz:
      return Kernel<Layout<4, 3, 8, Specials::fnuz, overflow>>::loop;
    case Format::e5m2fnuz:
      return Kernel<Layout<5, 2, 16, Specials::fnuz, overflow>>::loop;
    case Format::e3m2:
      return Kernel<Layout<3, 2, 3, Specials::none, overflow>>::loop;
    case Format::e2m3:
      return Kernel<Layout<2, 3, 1, Specials::none, overflow>>::loop;
    case Format::e2m1:
      return Kernel<Layout<2, 1, 1, Specials::none, overflow>>::loop;
    default:
      return nullptr;
  }
}

template <Overflow overflow, template <class> class Kernel>
typename Kernel<Layout<5, 10, 15, Specials::ieee, overflow>>::Type half_kernel(Format format) {
  switch (format) {
    case Format::fp16:
      return Kernel<Layout<5, 10, 15, Specials::ieee, overflow>>::loop;
    case Format::bf16:
      return Kernel<Layout<8, 7, 127, Specials::ieee, overflow>>::loop;
    default:
      return nullptr;
  }
}

template <class Code>
struct To {
  template <class L>
  struct Kernel {
    using Type = Encode<Code>;
    static constexpr Type loop = encode_loop<L, Code>;
  };
};
template <class Code>
struct From {
  template <class L>
  struct Kernel {
    using Type = Decode<Code>;
    static constexpr Type loop = decode_loop<L, Code>;
  };
};
template <class L>
struct Rounded {
  using Type = Round;
  static constexpr Type loop = round_loop<L>;
};

constexpr Overflow saturate = Overflow::saturate;
constexpr Overflow to_special = Overflow::to_special;

Encode<std::uint8_t> encode_narrow(Format format, Overflow overflow) {
  return overflow == saturate ? narrow_kernel<saturate, To<std::uint8_t>::Kernel>(format)
                              : narrow_kernel<to_special, To<std::uint8_t>::Kernel>(format);
}

Encode<std::uint16_t> encode_half(Format format, Overflow overflow) {
  return overflow == saturate ? half_kernel<saturate, To<std::uint16_t>::Kernel>(format)
                              : half_kernel<to_special, To<std::uint16_t>::Kernel>(format);
}

Decode<std::uint8_t> decode_narrow(Format format) {
  return narrow_kernel<saturate, From<std::uint8_t>::Kernel>(format);
}

Decode<std::uint16_t> decode_half(Format format) {
  return half_kernel<saturate, From<std::uint16_t>::Kernel>(format);
}

template <Overflow overflow>
Round round_kernel(Format format) {
  if (format == Format::tf32) return round_loop<Layout<8, 10, 127, Specials::ieee, overflow>>;
  if (const Round narrow = narrow_kernel<overflow, Rounded>(format)) return narrow;
  return half_kernel<overflow, Rounded>(format);
}

Round round_values(Format format, Overflow overflow) {
  return overflow == saturate ? round_kernel<saturate>(format) : round_kernel<to_special>(format);
}

}  // namespace

const Kernels TESSERA_KERNELS = {encode_narrow,
                                 encode_half,
                                 decode_narrow,
                                 decode_half,
                                 round_values,
                                 narrow_loop<std::uint8_t>,
                                 narrow_loop<std::uint16_t>,
                                 narrow_at_random_loop<std::uint8_t>,
                                 narrow_at_random_loop<std::uint16_t>};

}  // namespace tessera::cast_kernels
