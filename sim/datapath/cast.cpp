#include "sim/datapath/cast.h"

#include <fmt/format.h>

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
void encode_one_by_one(Format format, Overflow overflow, const float* values, Code* codes,
                       std::int64_t n) {
  const FloatFormat& f = float_format(format);
  for (std::int64_t i = 0; i < n; ++i)
    codes[i] = static_cast<Code>(encode(f, double{values[i]}, Rounding::nearest_even, overflow));
}

}  // namespace

void encode(Format format, Overflow overflow, const float* values, std::uint8_t* codes,
            std::int64_t n, Isa isa) {
  require(bits(format) <= 8, format);
  if (const auto kernel = kernels(isa).encode_narrow(format, overflow)) {
    kernel(values, codes, n);
  } else {
    encode_one_by_one(format, overflow, values, codes, n);
  }
}

void encode(Format format, Overflow overflow, const float* values, std::uint16_t* codes,
            std::int64_t n, Isa isa) {
  require(bits(format) == 16, format);
  kernels(isa).encode_half(format, overflow)(values, codes, n);
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
