#include "sim/datapath/cast.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "sim/datapath/cast_kernels.h"

namespace tessera {
namespace {

const cast_kernels::Kernels& kernels(Isa isa) {
  switch (isa) {
    case Isa::portable:
      break;
    case Isa::avx2:
      return cast_kernels::avx2;
    case Isa::avx512:
      return cast_kernels::avx512;
  }
  return cast_kernels::portable;
}

void require(bool width_fits, Format format) {
  if (!width_fits || !is_float(format))
    throw std::invalid_argument(
        fmt::format("{} codes do not belong in elements of this width", name(format)));
}

template <class Code>
void encode_one_by_one(Format format, Rounding rounding, Overflow overflow, const float* values,
                       Code* codes, std::int64_t n) {
  const FloatFormat& f = float_format(format);
  for (std::int64_t i = 0; i < n; ++i)
    codes[i] = static_cast<Code>(encode(f, double{values[i]}, rounding, overflow));
}

template <class Code>
void encode_one_by_one(Format format, Overflow overflow, const Random& random, std::uint64_t first,
                       const float* values, Code* codes, std::int64_t n) {
  const FloatFormat& f = float_format(format);
  for (std::int64_t i = 0; i < n; ++i)
    codes[i] = static_cast<Code>(encode(f, double{values[i]}, Rounding::stochastic, overflow,
                                        random.bits(first + static_cast<std::uint64_t>(i))));
}

/// What the rounding does beyond the numbers is asked of the scalar encode().
cast_kernels::Narrowing narrowing(Format format, Rounding rounding, Overflow overflow) {
  const FloatFormat& f = float_format(format);
  const auto code = [&](double value) {
    return static_cast<std::int32_t>(encode(f, value, rounding, overflow));
  };
  constexpr double infinity = std::numeric_limits<double>::infinity();
  cast_kernels::Narrowing to;
  to.fraction_bits = f.fraction_bits;
  to.min_field = 128 - f.bias;
  to.max = static_cast<std::int32_t>(f.max_code());
  to.sign_shift = 31 - f.exponent_bits - f.fraction_bits;
  to.beyond[0] = code(0x1p200);  // no FP32 value, so beyond every format
  to.beyond[1] = code(-0x1p200);
  to.infinity[0] = code(infinity);
  to.infinity[1] = code(-infinity);
  to.negative_zero = code(-0.0);
  to.nan = code(std::numeric_limits<double>::quiet_NaN());
  to.outward[0] = rounding == Rounding::up ? 1 : 0;
  to.outward[1] = rounding == Rounding::down ? 1 : 0;
  return to;
}

template <class Code>
void encode_directed(Format format, Rounding rounding, Overflow overflow, const float* values,
                     Code* codes, std::int64_t n, cast_kernels::Narrow<Code> kernel) {
  if (rounding == Rounding::stochastic)
    throw std::invalid_argument("stochastic rounding takes random numbers");
  if (format == Format::e8m0) {
    encode_one_by_one(format, rounding, overflow, values, codes, n);
  } else {
    kernel(narrowing(format, rounding, overflow), values, codes, n);
  }
}

template <class Code>
void encode_at_random(Format format, Overflow overflow, const Random& random, std::uint64_t first,
                      const float* values, Code* codes, std::int64_t n,
                      cast_kernels::NarrowAtRandom<Code> kernel) {
  // The kernel starts at a whole block of random numbers.
  const std::int64_t before = std::min(n, static_cast<std::int64_t>((4 - first % 4) % 4));
  const std::int64_t alone = format == Format::e8m0 ? n : before;
  encode_one_by_one(format, overflow, random, first, values, codes, alone);
  if (alone < n)
    kernel(narrowing(format, Rounding::stochastic, overflow), random,
           first + static_cast<std::uint64_t>(alone), values + alone, codes + alone, n - alone);
}

}  // namespace

void encode(Format format, Overflow overflow, const float* values, std::uint8_t* codes,
            std::int64_t n, Isa isa) {
  require(bits(format) <= 8, format);
  if (const auto kernel = kernels(isa).encode_narrow(format, overflow)) {
    kernel(values, codes, n);
  } else {
    encode_one_by_one(format, Rounding::nearest_even, overflow, values, codes, n);
  }
}

void encode(Format format, Overflow overflow, const float* values, std::uint16_t* codes,
            std::int64_t n, Isa isa) {
  require(bits(format) == 16, format);
  kernels(isa).encode_half(format, overflow)(values, codes, n);
}

void encode(Format format, Rounding rounding, Overflow overflow, const float* values,
            std::uint8_t* codes, std::int64_t n, Isa isa) {
  if (rounding == Rounding::nearest_even) return encode(format, overflow, values, codes, n, isa);
  require(bits(format) <= 8, format);
  encode_directed(format, rounding, overflow, values, codes, n, kernels(isa).narrow_to_8);
}

void encode(Format format, Rounding rounding, Overflow overflow, const float* values,
            std::uint16_t* codes, std::int64_t n, Isa isa) {
  if (rounding == Rounding::nearest_even) return encode(format, overflow, values, codes, n, isa);
  require(bits(format) == 16, format);
  encode_directed(format, rounding, overflow, values, codes, n, kernels(isa).narrow_to_16);
}

void encode_stochastic(Format format, Overflow overflow, const Random& random, std::uint64_t first,
                       const float* values, std::uint8_t* codes, std::int64_t n, Isa isa) {
  require(bits(format) <= 8, format);
  encode_at_random(format, overflow, random, first, values, codes, n,
                   kernels(isa).narrow_to_8_at_random);
}

void encode_stochastic(Format format, Overflow overflow, const Random& random, std::uint64_t first,
                       const float* values, std::uint16_t* codes, std::int64_t n, Isa isa) {
  require(bits(format) == 16, format);
  encode_at_random(format, overflow, random, first, values, codes, n,
                   kernels(isa).narrow_to_16_at_random);
}

void decode(Format format, const std::uint8_t* codes, float* values, std::int64_t n, Isa isa) {
  require(bits(format) <= 8, format);
  if (const auto kernel = kernels(isa).decode_narrow(format)) {
    kernel(codes, values, n);
    return;
  }
  const FloatFormat& f = float_format(format);
  for (std::int64_t i = 0; i < n; ++i) values[i] = decode(f, codes[i]);
}

void decode(Format format, const std::uint16_t* codes, float* values, std::int64_t n, Isa isa) {
  require(bits(format) == 16, format);
  kernels(isa).decode_half(format)(codes, values, n);
}

void round_to(Format format, Overflow overflow, const float* values, float* rounded, std::int64_t n,
              Isa isa) {
  if (const auto kernel = kernels(isa).round(format, overflow)) {
    kernel(values, rounded, n);
    return;
  }
  const FloatFormat& f = float_format(format);
  for (std::int64_t i = 0; i < n; ++i)
    rounded[i] = decode(f, encode(f, double{values[i]}, Rounding::nearest_even, overflow));
}

}  // namespace tessera
