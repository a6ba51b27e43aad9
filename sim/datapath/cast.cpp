#include "sim/datapath/cast.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

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

/// The values of all codes of an 8-bit or narrower format.
const std::array<float, 256>& decode_table(Format format) {
  static const std::vector<std::array<float, 256>> tables = [] {
    std::vector<std::array<float, 256>> all(all_formats().size());
    for (const Format f : all_formats()) {
      if (!is_float(f) || bits(f) > 8) continue;
      for (std::uint32_t code = 0; code < 256; ++code)
        all[static_cast<std::size_t>(f)][code] = decode(f, code);
    }
    return all;
  }();
  return tables[static_cast<std::size_t>(format)];
}

}  // namespace

void encode(Format format, Overflow overflow, const float* values, std::uint8_t* codes,
            std::int64_t n, Isa isa) {
  require(bits(format) <= 8, format);
  if (const auto kernel = kernels(isa).narrow(format, overflow)) {
    kernel(values, codes, n);
  } else {
    encode_one_by_one(format, overflow, values, codes, n);
  }
}

void encode(Format format, Overflow overflow, const float* values, std::uint16_t* codes,
            std::int64_t n, Isa isa) {
  require(bits(format) == 16, format);
  kernels(isa).half(format, overflow)(values, codes, n);
}

void decode(Format format, const std::uint8_t* codes, float* values, std::int64_t n) {
  require(bits(format) <= 8, format);
  const std::array<float, 256>& table = decode_table(format);
  for (std::int64_t i = 0; i < n; ++i) values[i] = table[codes[i]];
}

void decode(Format format, const std::uint16_t* codes, float* values, std::int64_t n) {
  require(bits(format) == 16, format);
  if (format == Format::bf16) {
    for (std::int64_t i = 0; i < n; ++i) values[i] = fp32_value(std::uint32_t{codes[i]} << 16);
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    // Fraction and exponent moved to FP32's place are 2^112 too small; the product is exact.
    const std::uint32_t magnitude = codes[i] & 0x7FFFu;
    const std::uint32_t sign = std::uint32_t{codes[i]} << 16 & 0x80000000u;
    const std::uint32_t finite = fp32_bits(fp32_value(magnitude << 13) * 0x1p112f);
    const std::uint32_t special = 0x7F800000u | magnitude << 13;
    values[i] = fp32_value(sign | (magnitude < 0x7C00u ? finite : special));
  }
}

void round_to(Format format, Overflow overflow, const float* values, float* rounded, std::int64_t n,
              Isa isa) {
  constexpr std::int64_t chunk = 1024;  // codes stay in the first-level cache
  const bool narrow = bits(format) <= 8;
  if (!narrow && bits(format) != 16) {
    const FloatFormat& f = float_format(format);
    for (std::int64_t i = 0; i < n; ++i)
      rounded[i] = decode(f, encode(f, double{values[i]}, Rounding::nearest_even, overflow));
    return;
  }
  std::array<std::uint16_t, chunk> half_codes;
  std::array<std::uint8_t, chunk> narrow_codes;
  for (std::int64_t begin = 0; begin < n; begin += chunk) {
    const std::int64_t size = std::min(chunk, n - begin);
    if (narrow) {
      encode(format, overflow, values + begin, narrow_codes.data(), size, isa);
      decode(format, narrow_codes.data(), rounded + begin, size);
    } else {
      encode(format, overflow, values + begin, half_codes.data(), size, isa);
      decode(format, half_codes.data(), rounded + begin, size);
    }
  }
}

}  // namespace tessera
