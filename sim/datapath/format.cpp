#include "sim/datapath/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "sim/base/error.h"

namespace tessera {
namespace {

struct FormatFacts {
  Format format;
  std::string_view name;
  int bits;
  FloatFormat layout;
};

// Indexed by Format; the order is the declaration's. Layouts: IEEE 754-2019 (fp32, fp16), FP8
// Formats for Deep Learning (arXiv 2209.05433) and OCP OFP8 (e4m3, e5m2), OCP MX v1.0 (e8m0, e3m2,
// e2m3, e2m1), 8-bit Numerical Formats for Deep Neural Networks (arXiv 2206.02915; fnuz), PTX ISA
// (tf32, bf16).
constexpr FormatFacts facts[] = {
    {Format::fp32, "fp32", 32, {8, 23, 127, 0, Specials::ieee}},
    {Format::tf32, "tf32", 32, {8, 10, 127, 13, Specials::ieee}},
    {Format::bf16, "bf16", 16, {8, 7, 127, 0, Specials::ieee}},
    {Format::fp16, "fp16", 16, {5, 10, 15, 0, Specials::ieee}},
    {Format::e4m3, "e4m3", 8, {4, 3, 7, 0, Specials::fn}},
    {Format::e5m2, "e5m2", 8, {5, 2, 15, 0, Specials::ieee}},
    {Format::int32, "int32", 32, {0, 0, 0, 0, Specials::none}},
    {Format::e4m3fnuz, "e4m3fnuz", 8, {4, 3, 8, 0, Specials::fnuz}},
    {Format::e5m2fnuz, "e5m2fnuz", 8, {5, 2, 16, 0, Specials::fnuz}},
    {Format::e8m0, "e8m0", 8, {8, 0, 127, 0, Specials::e8m0}},
    {Format::e3m2, "e3m2", 6, {3, 2, 3, 0, Specials::none}},
    {Format::e2m3, "e2m3", 6, {2, 3, 1, 0, Specials::none}},
    {Format::e2m1, "e2m1", 4, {2, 1, 1, 0, Specials::none}},
};

const FormatFacts& facts_of(Format format) { return facts[static_cast<std::size_t>(format)]; }

/// Code of +x in front of the sign: everything ones below the sign bit.
std::uint32_t all_ones(const FloatFormat& f) {
  return (std::uint32_t{1} << (f.exponent_bits + f.fraction_bits)) - 1;
}

/// Puts sign and padding around a magnitude code.
std::uint32_t stored(const FloatFormat& f, bool negative, std::uint32_t magnitude) {
  const std::uint32_t sign =
      negative && f.is_signed() ? std::uint32_t{1} << (f.exponent_bits + f.fraction_bits) : 0;
  return (sign | magnitude) << f.padding_bits;
}

std::uint32_t nan_code(const FloatFormat& f) {
  switch (f.specials) {
    case Specials::fnuz:
      return stored(f, true, 0);
    case Specials::none:
      return stored(f, false, f.max_code());
    case Specials::ieee:
    case Specials::fn:
    case Specials::e8m0:
      break;
  }
  return stored(f, false, all_ones(f));
}

/// The code of a value that overflowed and is not to stay finite.
std::uint32_t infinity_code(const FloatFormat& f, bool negative) {
  // Of fn formats that code is NaN; NVIDIA's conversions keep its sign.
  if (f.specials == Specials::ieee || f.specials == Specials::fn)
    return stored(f, negative, f.max_code() + 1);
  if (f.specials == Specials::none) return stored(f, negative, f.max_code());
  return nan_code(f);
}

/// Whether a rounding direction takes a value of this sign away from zero.
bool goes_outward(Rounding rounding, bool negative) {
  return negative ? rounding == Rounding::down : rounding == Rounding::up;
}

int bit_length(std::uint64_t x) { return 64 - __builtin_clzll(x); }

}  // namespace

int bits(Format format) { return facts_of(format).bits; }

Bytes bytes(Format format, std::int64_t elements) {
  return Bytes(ceil_div(elements * bits(format), 8));
}

std::string_view name(Format format) { return facts_of(format).name; }

const std::vector<Format>& all_formats() {
  static const std::vector<Format> formats = [] {
    std::vector<Format> all;
    for (const FormatFacts& f : facts) all.push_back(f.format);
    return all;
  }();
  return formats;
}

Format parse_format(std::string_view text) {
  std::vector<std::string> names;
  for (const FormatFacts& f : facts) {
    if (f.name == text) return f.format;
    names.emplace_back(f.name);
  }
  const std::string close = nearest(std::string(text), names);
  throw InputError("format", fmt::format("unknown number format '{}'", text),
                   close.empty() ? fmt::format("one of {}", fmt::join(names, ", "))
                                 : fmt::format("did you mean '{}'?", close));
}

std::uint32_t FloatFormat::max_code() const {
  switch (specials) {
    case Specials::ieee:
      return all_ones(*this) - (std::uint32_t{1} << fraction_bits);
    case Specials::fn:
    case Specials::e8m0:
      return all_ones(*this) - 1;
    case Specials::fnuz:
    case Specials::none:
      break;
  }
  return all_ones(*this);
}

bool is_float(Format format) { return format != Format::int32; }

const FloatFormat& float_format(Format format) {
  if (!is_float(format)) throw std::invalid_argument("int32 is not a floating-point format");
  return facts_of(format).layout;
}

float max_finite(Format format) {
  const FloatFormat& f = float_format(format);
  return decode(f, f.max_code() << f.padding_bits);
}

float decode(const FloatFormat& f, std::uint32_t code) {
  const std::uint32_t unpadded = code >> f.padding_bits;
  const std::uint32_t magnitude = unpadded & all_ones(f);
  const bool negative = f.is_signed() && (unpadded >> (f.exponent_bits + f.fraction_bits) & 1) != 0;
  if (f.specials == Specials::fnuz && negative && magnitude == 0)
    return std::numeric_limits<float>::quiet_NaN();
  if (magnitude > f.max_code()) {
    const bool infinite = f.specials == Specials::ieee && magnitude == f.max_code() + 1;
    const float special =
        infinite ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
    return negative ? -special : special;
  }
  const int field = static_cast<int>(magnitude >> f.fraction_bits);
  std::uint32_t significand = magnitude & ((std::uint32_t{1} << f.fraction_bits) - 1);
  int exponent = f.min_exponent();
  if (f.specials == Specials::e8m0) {
    significand = 1;
    exponent += field;
  } else if (field > 0) {
    significand |= std::uint32_t{1} << f.fraction_bits;
    exponent += field - 1;
  }
  const float value = std::ldexp(static_cast<float>(significand), exponent - f.fraction_bits);
  return negative ? -value : value;
}

float decode(Format format, std::uint32_t code) {
  if (format == Format::fp32) return fp32_value(code);
  return decode(float_format(format), code);
}

std::uint32_t encode_scaled(const FloatFormat& f, bool negative, std::uint64_t significand,
                            int exponent, Rounding rounding, Overflow overflow,
                            std::uint32_t random) {
  const bool has_zero = f.specials != Specials::e8m0;
  negative = negative && f.is_signed();
  if (significand == 0) return stored(f, negative && f.specials != Specials::fnuz, 0);
  const int leading = exponent + bit_length(significand) - 1;
  if (!has_zero && leading < f.min_exponent()) return 0;

  // The result's last place is 2^unit; what lies below it decides the rounding.
  const int scale = std::max(leading, f.min_exponent());
  const int unit = scale - f.fraction_bits;
  const int shift = unit - exponent;
  std::uint64_t kept = 0, rest = 0;
  if (shift <= 0) {
    kept = significand << -shift;  // at most fraction_bits + 1 bits
  } else if (shift < 64) {
    kept = significand >> shift;
    rest = significand & ((std::uint64_t{1} << shift) - 1);
  } else {
    rest = significand;
  }
  // Exponent and fraction as one integer: a carry out of the fraction lands in the exponent.
  std::uint64_t code = kept;
  if (!has_zero) {
    code = static_cast<std::uint64_t>(scale - f.min_exponent());
  } else if (kept >> f.fraction_bits != 0) {
    code += static_cast<std::uint64_t>(scale - f.min_exponent()) << f.fraction_bits;
  }

  if (rest != 0) {
    bool outward = false;
    switch (rounding) {
      case Rounding::nearest_even:
        if (shift <= 64) {
          const std::uint64_t half = std::uint64_t{1} << (shift - 1);
          outward = rest > half || (rest == half && (code & 1) != 0);
        }
        break;
      case Rounding::toward_zero:
        break;
      case Rounding::up:
      case Rounding::down:
        outward = goes_outward(rounding, negative);
        break;
      case Rounding::stochastic: {
        // The discarded fraction in 2^-32: below that it never rounds outward.
        std::uint64_t fraction = 0;
        if (shift <= 32) {
          fraction = rest << (32 - shift);
        } else if (shift < 96) {
          fraction = rest >> (shift - 32);
        }
        outward = (fraction + random) >> 32 != 0;
        break;
      }
    }
    if (outward) ++code;
  }

  if (code > f.max_code()) {
    // Truncation can pass the largest finite value too, where the top codes are special.
    const bool stays_finite = overflow == Overflow::saturate || rounding == Rounding::toward_zero ||
                              ((rounding == Rounding::up || rounding == Rounding::down) &&
                               !goes_outward(rounding, negative));
    return stays_finite ? stored(f, negative, f.max_code()) : infinity_code(f, negative);
  }
  if (f.specials == Specials::fnuz && code == 0) negative = false;
  return stored(f, negative, static_cast<std::uint32_t>(code));
}

std::uint32_t encode(const FloatFormat& f, double value, Rounding rounding, Overflow overflow,
                     std::uint32_t random) {
  std::uint64_t pattern = 0;
  std::memcpy(&pattern, &value, sizeof pattern);
  const bool negative = pattern >> 63 != 0;
  const int field = static_cast<int>(pattern >> 52 & 0x7FF);
  const std::uint64_t fraction = pattern & ((std::uint64_t{1} << 52) - 1);
  if (field == 0x7FF) {
    if (fraction != 0) return nan_code(f);
    return overflow == Overflow::saturate ? stored(f, negative, f.max_code())
                                          : infinity_code(f, negative);
  }
  if (field == 0) return encode_scaled(f, negative, fraction, -1074, rounding, overflow, random);
  return encode_scaled(f, negative, fraction | std::uint64_t{1} << 52, field - 1075, rounding,
                       overflow, random);
}

std::uint32_t encode(Format format, double value, Rounding rounding, Overflow overflow,
                     std::uint32_t random) {
  return encode(float_format(format), value, rounding, overflow, random);
}

bool representable(Format format, float value) {
  const FloatFormat& f = float_format(format);
  if (std::isnan(value)) return f.specials != Specials::none;
  const float back =
      decode(f, encode(f, double{value}, Rounding::toward_zero, Overflow::to_special));
  return back == value;
}

}  // namespace tessera
