#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/units.h"

namespace tessera {

/// A number format as stored in memory. int32 carries indices (token ids) and has no FloatFormat.
/// e4m3 and e5m2 are those of OCP OFP8; the fnuz formats have no -0 and one NaN; e8m0 holds powers
/// of two (block scales); e3m2, e2m3 and e2m1 are the 6- and 4-bit elements of OCP MX.
enum class Format : std::uint8_t {
  fp32,
  tf32,
  bf16,
  fp16,
  e4m3,
  e5m2,
  int32,
  e4m3fnuz,
  e5m2fnuz,
  e8m0,
  e3m2,
  e2m3,
  e2m1
};

/// Bits of one stored element (tf32 occupies 32).
int bits(Format format);
/// Bytes of `elements` stored elements, rounded up to whole bytes.
Bytes bytes(Format format, std::int64_t elements);
/// The name used in traces, configs and reports, e.g. "bf16".
std::string_view name(Format format);
/// Every format, in declaration order.
const std::vector<Format>& all_formats();
/// Inverse of name(); throws InputError with the nearest valid name.
Format parse_format(std::string_view text);

/// Which codes of a format are not ordinary numbers.
enum class Specials : std::uint8_t {
  ieee,  ///< exponent field all ones: Inf (fraction 0) and NaN
  fn,    ///< no Inf; all ones below the sign is NaN (OCP E4M3)
  fnuz,  ///< no Inf, no -0; the code of -0 is the only NaN
  none,  ///< every code is a number (OCP MX FP6 and FP4)
  e8m0,  ///< no sign, no zero, no subnormals; all ones is NaN
};

/// A binary floating-point format: everything decode and encode need to know. A code is
/// [sign][exponent][fraction][padding]; padding bits are stored as 0 and ignored when read.
struct FloatFormat {
  int exponent_bits = 8;
  int fraction_bits = 23;
  int bias = 127;
  int padding_bits = 0;  ///< unused low bits of the stored word (tf32: 13)
  Specials specials = Specials::ieee;

  /// Exponent of the smallest normal number; subnormals share it.
  constexpr int min_exponent() const { return specials == Specials::e8m0 ? -bias : 1 - bias; }
  constexpr bool is_signed() const { return specials != Specials::e8m0; }
  /// Code of the largest finite number, without sign and padding.
  std::uint32_t max_code() const;
};

/// The layout of `format`. Throws std::invalid_argument for int32.
const FloatFormat& float_format(Format format);
/// Whether float_format() accepts it.
bool is_float(Format format);
/// Largest finite value, e.g. 448 for e4m3.
float max_finite(Format format);

/// How a value between two neighbours is encoded.
enum class Rounding : std::uint8_t { nearest_even, toward_zero, up, down, stochastic };

/// What becomes of a value beyond the largest finite one, Inf included.
enum class Overflow : std::uint8_t {
  /// The largest finite value with its sign (PTX `satfinite`).
  saturate,
  /// Inf where the format has one, else NaN (of e4m3 with the value's sign), else (Specials::none)
  /// the largest finite value. A
  /// finite value that its rounding direction takes toward zero stays at the largest finite value.
  to_special,
};

/// The value of a code, exact: every format here is a subset of FP32. Bits above the format's width
/// are ignored. NaN decodes to a quiet NaN (fp32 codes pass unchanged).
float decode(const FloatFormat& format, std::uint32_t code);
float decode(Format format, std::uint32_t code);

/// The code of `value`, rounded once.
/// - NaN becomes the positive all-ones NaN (0x7F, 0x7FFF, 0x7FFFFFFF), 0x80 in the fnuz formats,
/// the
///   largest positive number where there is no NaN: what NVIDIA's conversions do.
/// - Values that round to zero keep their sign, except in the fnuz formats.
/// - e8m0 encodes the magnitude; everything below 2^-127, zero included, becomes code 0.
/// - stochastic: away from zero with the probability of the discarded fraction, decided by the 32
///   uniform bits of `random` (see Random in sim/base/random.h); unused otherwise.
std::uint32_t encode(const FloatFormat& format, double value, Rounding rounding, Overflow overflow,
                     std::uint32_t random = 0);
std::uint32_t encode(Format format, double value, Rounding rounding, Overflow overflow,
                     std::uint32_t random = 0);

/// encode() of (-1)^negative * significand * 2^exponent, for sums kept as integers. A zero
/// significand gives the signed zero.
std::uint32_t encode_scaled(const FloatFormat& format, bool negative, std::uint64_t significand,
                            int exponent, Rounding rounding, Overflow overflow,
                            std::uint32_t random = 0);

/// Whether `value` is a number, Inf or NaN of the format (-0 counts as the 0 of formats without).
bool representable(Format format, float value);

/// FP32 bit pattern of a float and back.
inline std::uint32_t fp32_bits(float value) {
  std::uint32_t pattern = 0;
  std::memcpy(&pattern, &value, sizeof pattern);
  return pattern;
}
inline float fp32_value(std::uint32_t pattern) {
  float value = 0;
  std::memcpy(&value, &pattern, sizeof value);
  return value;
}

}  // namespace tessera
