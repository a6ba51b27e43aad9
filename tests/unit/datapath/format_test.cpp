#include "sim/datapath/format.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "sim/base/error.h"
#include "sim/base/random.h"

using namespace tessera;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
const float nan_value = std::numeric_limits<float>::quiet_NaN();

std::uint32_t saturated(Format format, double value) {
  return encode(format, value, Rounding::nearest_even, Overflow::saturate);
}

std::uint32_t unsaturated(Format format, double value) {
  return encode(format, value, Rounding::nearest_even, Overflow::to_special);
}

std::vector<Format> narrow_formats() {
  std::vector<Format> narrow;
  for (const Format f : all_formats())
    if (bits(f) <= 8) narrow.push_back(f);
  return narrow;
}

}  // namespace

TEST_CASE("every format is found by its name, and a mistyped name gets the nearest") {
  for (const Format f : all_formats()) CHECK(parse_format(name(f)) == f);
  CHECK_THROWS_WITH(parse_format("e4m4"), Catch::Contains("did you mean 'e4m3'"));
  CHECK_THROWS_AS(parse_format(""), InputError);
}

TEST_CASE("extreme values of the formats are those of their specifications") {
  struct Row {
    Format format;
    double max, min_normal, min_subnormal;
    int bits;
  };
  const Row row = GENERATE(values<Row>({{Format::e4m3, 448, 0x1p-6, 0x1p-9, 8},
                                        {Format::e5m2, 57344, 0x1p-14, 0x1p-16, 8},
                                        {Format::e4m3fnuz, 240, 0x1p-7, 0x1p-10, 8},
                                        {Format::e5m2fnuz, 57344, 0x1p-15, 0x1p-17, 8},
                                        {Format::e3m2, 28, 0x1p-2, 0x1p-4, 6},
                                        {Format::e2m3, 7.5, 1, 0x1p-3, 6},
                                        {Format::e2m1, 6, 1, 0.5, 4},
                                        {Format::fp16, 65504, 0x1p-14, 0x1p-24, 16},
                                        {Format::bf16, 0x1.FEp127, 0x1p-126, 0x1p-133, 16},
                                        {Format::tf32, 0x1.FFCp127, 0x1p-126, 0x1p-136, 32},
                                        {Format::fp32, 0x1.FFFFFEp127, 0x1p-126, 0x1p-149, 32}}));
  CAPTURE(name(row.format));
  const FloatFormat& f = float_format(row.format);
  CHECK(max_finite(row.format) == row.max);
  CHECK(decode(row.format, 1u << (f.fraction_bits + f.padding_bits)) == row.min_normal);
  CHECK(decode(row.format, 1u << f.padding_bits) == row.min_subnormal);
  CHECK(bits(row.format) == row.bits);
}

TEST_CASE("a format's codes decode to its specified special values") {
  CHECK(std::isnan(decode(Format::e4m3, 0x7F)));
  CHECK(std::isnan(decode(Format::e4m3, 0xFF)));
  CHECK(decode(Format::e4m3, 0x7E) == 448);
  CHECK(decode(Format::e5m2, 0x7C) == infinity);
  CHECK(decode(Format::e5m2, 0xFC) == -infinity);
  for (const std::uint32_t code : {0x7Du, 0x7Eu, 0x7Fu, 0xFDu})
    CHECK(std::isnan(decode(Format::e5m2, code)));
  for (const Format f : {Format::e4m3fnuz, Format::e5m2fnuz}) {
    CHECK(std::isnan(decode(f, 0x80)));
    CHECK(decode(f, 0x7F) == max_finite(f));
    CHECK(decode(f, 0xFF) == -max_finite(f));
  }
  CHECK(decode(Format::e8m0, 0) == 0x1p-127f);
  CHECK(decode(Format::e8m0, 127) == 1);
  CHECK(decode(Format::e8m0, 0xFE) == 0x1p127f);
  CHECK(std::isnan(decode(Format::e8m0, 0xFF)));
  const std::vector<float> fp4 = {0, .5F, 1, 1.5F, 2, 3, 4, 6};
  for (std::uint32_t code = 0; code < 8; ++code) {
    CHECK(decode(Format::e2m1, code) == fp4[code]);
    CHECK(decode(Format::e2m1, code + 8) == -fp4[code]);
  }
  CHECK(std::signbit(decode(Format::e2m1, 8)));
  // TF32 ignores the low 13 bits of its word, even where they alone make a NaN.
  CHECK(decode(Format::tf32, 0x3F801FFF) == 1);
  CHECK(decode(Format::tf32, 0x7F800001) == infinity);
}

TEST_CASE("codes of narrow formats survive decode and encode in every rounding") {
  for (const Format f : narrow_formats()) {
    for (std::uint32_t code = 0; code < 1u << bits(f); ++code) {
      const float value = decode(f, code);
      CAPTURE(name(f), code, value);
      CHECK(representable(f, value));
      for (const Rounding r : {Rounding::nearest_even, Rounding::toward_zero, Rounding::up,
                               Rounding::down, Rounding::stochastic}) {
        const std::uint32_t back = encode(f, double{value}, r, Overflow::to_special, 0xFFFFFFFFu);
        if (std::isnan(value)) {
          CHECK(std::isnan(decode(f, back)));
        } else {
          CHECK(back == code);
        }
      }
    }
  }
}

TEST_CASE("16-bit codes survive decode and encode") {
  for (const Format f : {Format::fp16, Format::bf16}) {
    for (std::uint32_t code = 0; code < 0x10000; ++code) {
      const float value = decode(f, code);
      const std::uint32_t back = unsaturated(f, double{value});
      if (std::isnan(value) ? back != 0x7FFF : back != code) FAIL(name(f) << " " << code);
    }
  }
}

TEST_CASE("between two neighbours every rounding goes where its name says") {
  for (const Format f : narrow_formats()) {
    const FloatFormat& layout = float_format(f);
    for (std::uint32_t code = 0; code < layout.max_code(); ++code) {
      const double low = decode(f, code), high = decode(f, code + 1);
      CAPTURE(name(f), low, high);
      const double middle = (low + high) / 2;
      const double above = std::nextafter(middle, high), below = std::nextafter(middle, low);
      const std::uint32_t even = (code & 1) == 0 ? code : code + 1;
      CHECK(saturated(f, middle) == even);
      CHECK(saturated(f, above) == code + 1);
      CHECK(saturated(f, below) == code);
      CHECK(encode(f, above, Rounding::toward_zero, Overflow::saturate) == code);
      CHECK(encode(f, below, Rounding::up, Overflow::saturate) == code + 1);
      CHECK(encode(f, above, Rounding::down, Overflow::saturate) == code);
      // Half of the random words round a midpoint outward.
      CHECK(encode(f, middle, Rounding::stochastic, Overflow::saturate, 0x7FFFFFFF) == code);
      CHECK(encode(f, middle, Rounding::stochastic, Overflow::saturate, 0x80000000) == code + 1);
      if (!layout.is_signed()) continue;
      const std::uint32_t sign = 1u << (bits(f) - 1);
      CHECK(saturated(f, -middle) ==
            ((f == Format::e4m3fnuz || f == Format::e5m2fnuz) && even == 0 ? 0 : (even | sign)));
      CHECK(encode(f, -below, Rounding::down, Overflow::saturate) == (code + 1 | sign));
      if (code > 0) CHECK(encode(f, -above, Rounding::up, Overflow::saturate) == (code | sign));
    }
  }
}

TEST_CASE("overflow saturates, or becomes what the format has for it") {
  CHECK(saturated(Format::e4m3, 1e9) == 0x7E);
  CHECK(saturated(Format::e4m3, -infinity) == 0xFE);
  CHECK(unsaturated(Format::e4m3, 464) == 0x7E);
  CHECK(unsaturated(Format::e4m3, 464.001) == 0x7F);
  CHECK(unsaturated(Format::e4m3, -infinity) == 0xFF);
  CHECK(unsaturated(Format::e4m3, -465) == 0xFF);
  CHECK(unsaturated(Format::e5m2, 61439) == 0x7B);
  CHECK(unsaturated(Format::e5m2, 61440) == 0x7C);
  CHECK(unsaturated(Format::e5m2, -1e30) == 0xFC);
  CHECK(saturated(Format::e5m2, infinity) == 0x7B);
  CHECK(unsaturated(Format::e4m3fnuz, 1e4) == 0x80);
  CHECK(saturated(Format::e4m3fnuz, 1e4) == 0x7F);
  CHECK(unsaturated(Format::e2m1, -1e4) == 0xF);
  CHECK(unsaturated(Format::e3m2, infinity) == 0x1F);
  CHECK(unsaturated(Format::fp16, 65519.99) == 0x7BFF);
  CHECK(unsaturated(Format::fp16, 65520) == 0x7C00);
  // IEEE 754: a direction that points toward zero stops at the largest finite value.
  CHECK(encode(Format::e5m2, 1e9, Rounding::toward_zero, Overflow::to_special) == 0x7B);
  CHECK(encode(Format::e5m2, 1e9, Rounding::down, Overflow::to_special) == 0x7B);
  CHECK(encode(Format::e5m2, -1e9, Rounding::down, Overflow::to_special) == 0xFC);
  CHECK(encode(Format::e4m3, 479, Rounding::toward_zero, Overflow::to_special) == 0x7E);
}

TEST_CASE("NaN, zeros and tiny values encode as in NVIDIA's conversions") {
  CHECK(saturated(Format::e4m3, nan_value) == 0x7F);
  CHECK(saturated(Format::e4m3, -nan_value) == 0x7F);
  CHECK(unsaturated(Format::e5m2, nan_value) == 0x7F);
  CHECK(saturated(Format::fp16, nan_value) == 0x7FFF);
  CHECK(saturated(Format::fp32, nan_value) == 0x7FFFFFFF);
  CHECK(saturated(Format::e4m3fnuz, nan_value) == 0x80);
  CHECK(saturated(Format::e2m1, nan_value) == 0x7);
  CHECK(saturated(Format::e2m1, 5) == 0x6);
  CHECK(saturated(Format::e2m1, -0.25) == 0x8);
  CHECK(saturated(Format::e2m1, 0.75) == 0x2);
  CHECK(saturated(Format::e4m3, -0.0) == 0x80);
  CHECK(saturated(Format::e4m3, -1e-30) == 0x80);
  CHECK(saturated(Format::e4m3fnuz, -0.0) == 0);
  CHECK(saturated(Format::e4m3fnuz, -1e-30) == 0);
  CHECK(encode(Format::e4m3, -5e-324, Rounding::down, Overflow::saturate) == 0x81);
  CHECK(encode(Format::e4m3, 5e-324, Rounding::up, Overflow::saturate) == 0x01);
  CHECK(encode(Format::e4m3, 5e-324, Rounding::stochastic, Overflow::saturate, ~0u) == 0);
}

TEST_CASE("block scales round up as in the MXFP8 recipe") {
  const auto scale = [](double value) {
    return encode(Format::e8m0, value, Rounding::up, Overflow::saturate);
  };
  CHECK(scale(1.0) == 0x7F);
  CHECK(scale(1.5) == 0x80);
  CHECK(scale(-1.5) == 0x80);
  CHECK(scale(0) == 0);
  CHECK(scale(0x1p-140) == 0);
  CHECK(scale(0x1.8p-127) == 1);
  CHECK(scale(nan_value) == 0xFF);
  CHECK(scale(infinity) == 0xFE);
  CHECK(encode(Format::e8m0, 0x1p128, Rounding::up, Overflow::to_special) == 0xFF);
}

TEST_CASE("stochastic rounding is right on average and reproducible") {
  const Random random(7);
  // 1 + 3/4 of E4M3's last place there.
  const double value = 1 + 0.75 * 0x1p-3;
  int outward = 0;
  for (std::uint64_t i = 0; i < 10000; ++i)
    outward += encode(Format::e4m3, value, Rounding::stochastic, Overflow::saturate,
                      random.bits(i)) == 0x39;
  CHECK(outward > 7350);
  CHECK(outward < 7650);
}

TEST_CASE("integers without a floating-point layout are refused") {
  CHECK_FALSE(is_float(Format::int32));
  CHECK_THROWS_AS(float_format(Format::int32), std::invalid_argument);
}

TEST_CASE("values are recognised as belonging to a format") {
  CHECK(representable(Format::e4m3, 448));
  CHECK_FALSE(representable(Format::e4m3, 464));
  CHECK_FALSE(representable(Format::e4m3, infinity));
  CHECK(representable(Format::e5m2, infinity));
  CHECK_FALSE(representable(Format::e2m1, nan_value));
  CHECK_FALSE(representable(Format::fp16, 1.0001F));
  CHECK(representable(Format::fp16, 0x1p-24F));
  CHECK_FALSE(representable(Format::fp16, 0x1p-25F));
  CHECK_FALSE(representable(Format::e8m0, 0));
}
