#include "sim/datapath/cast.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

using namespace tessera;

namespace {

/// FP32 patterns: every 256th, shifted so that each low byte occurs, and the 2^16 around every
/// code's value and midpoint come in with the sampled ones of other tests.
std::vector<float> patterns(std::uint32_t begin, std::uint32_t count, std::uint32_t stride) {
  std::vector<float> values(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t pattern = begin + i * stride;
    values[i] = fp32_value(pattern + (pattern >> 8) % stride);
  }
  return values;
}

template <class Code>
std::int64_t differences(Format format, Overflow overflow, Isa isa,
                         const std::vector<float>& values) {
  std::vector<Code> codes(values.size());
  encode(format, overflow, values.data(), codes.data(), static_cast<std::int64_t>(values.size()),
         isa);
  std::int64_t wrong = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    wrong += codes[i] != encode(format, double{values[i]}, Rounding::nearest_even, overflow);
  return wrong;
}

/// The same by any rounding; number first + i of `random` decides on value i.
template <class Code>
std::int64_t differences(Format format, Rounding rounding, Overflow overflow, Isa isa,
                         const std::vector<float>& values, const Random& random,
                         std::uint64_t first) {
  std::vector<Code> codes(values.size());
  const auto n = static_cast<std::int64_t>(values.size());
  if (rounding == Rounding::stochastic) {
    encode_stochastic(format, overflow, random, first, values.data(), codes.data(), n, isa);
  } else {
    encode(format, rounding, overflow, values.data(), codes.data(), n, isa);
  }
  std::int64_t wrong = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    wrong +=
        codes[i] != encode(format, double{values[i]}, rounding, overflow, random.bits(first + i));
  return wrong;
}

/// Values at, just below and just above every code of the format and every midpoint.
std::vector<float> edges(Format format) {
  std::vector<float> values;
  for (std::uint32_t code = 0; code < 1u << bits(format); ++code) {
    const float low = decode(format, code), high = decode(format, code + 1);
    for (const float v : {low, (low + high) / 2})
      for (const std::uint32_t step : {0xFFFFFFFFu, 0u, 1u})
        values.push_back(fp32_value(fp32_bits(v) + step));
  }
  for (const std::uint32_t v : {0x43E7FFFFu, 0x43E80000u, 0x43E80001u, 0x477FFFFFu, 0x47700000u,
                                0x7F800000u, 0xFF800000u, 0x7F800001u, 0xFFFFFFFFu, 0x80000000u})
    values.push_back(fp32_value(v));
  return values;
}

}  // namespace

TEST_CASE("array encoding to FP8 equals the scalar encoding on every 256th FP32 pattern") {
  const Format format = GENERATE(Format::e4m3, Format::e5m2);
  const Overflow overflow = GENERATE(Overflow::saturate, Overflow::to_special);
  std::int64_t wrong = 0;
  for (std::uint32_t part = 0; part < 64; ++part) {
    const std::vector<float> values = patterns(part << 26, 1u << 18, 256);
    wrong += differences<std::uint8_t>(format, overflow, best_isa(), values);
  }
  CHECK(wrong == 0);
}

TEST_CASE("array encoding equals the scalar encoding at the edges of each format on each path") {
  for (const Isa isa : supported_isas()) {
    for (const Format format : all_formats()) {
      if (!is_float(format) || bits(format) > 16) continue;
      for (const Overflow overflow : {Overflow::saturate, Overflow::to_special}) {
        CAPTURE(name(isa), name(format), overflow == Overflow::saturate);
        for (const std::vector<float>& values : {edges(format), patterns(0, 1u << 16, 65521)})
          CHECK((bits(format) == 16
                     ? differences<std::uint16_t>(format, overflow, isa, values)
                     : differences<std::uint8_t>(format, overflow, isa, values)) == 0);
      }
    }
  }
}

TEST_CASE("array decoding equals the scalar decoding for every code on each path") {
  for (const Isa isa : supported_isas()) {
    for (const Format format : all_formats()) {
      if (!is_float(format) || bits(format) > 16) continue;
      CAPTURE(name(isa), name(format));
      // Bits above the format's width are ignored.
      const std::uint32_t count = bits(format) == 16 ? 1u << 16 : 256;
      std::vector<std::uint8_t> narrow(count);
      std::vector<std::uint16_t> half(count);
      for (std::uint32_t code = 0; code < count; ++code) {
        narrow[code] = static_cast<std::uint8_t>(code);
        half[code] = static_cast<std::uint16_t>(code);
      }
      std::vector<float> values(count);
      if (bits(format) == 16) {
        decode(format, half.data(), values.data(), count, isa);
      } else {
        decode(format, narrow.data(), values.data(), count, isa);
      }
      std::int64_t wrong = 0;
      for (std::uint32_t code = 0; code < count; ++code) {
        const float expected = decode(format, code);
        wrong += std::isnan(expected) ? !std::isnan(values[code])
                                      : fp32_bits(values[code]) != fp32_bits(expected);
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("rounding to a format is encoding and decoding, on each path") {
  for (const Isa isa : supported_isas()) {
    for (const Format format : all_formats()) {
      if (!is_float(format)) continue;
      for (const Overflow overflow : {Overflow::saturate, Overflow::to_special}) {
        CAPTURE(name(isa), name(format), overflow == Overflow::saturate);
        std::vector<float> values = patterns(0, 1u << 16, 65521);
        const std::vector<float> at_edges = edges(bits(format) > 16 ? Format::bf16 : format);
        values.insert(values.end(), at_edges.begin(), at_edges.end());
        std::vector<float> rounded(values.size());
        round_to(format, overflow, values.data(), rounded.data(),
                 static_cast<std::int64_t>(values.size()), isa);
        std::int64_t wrong = 0;
        for (std::size_t i = 0; i < values.size(); ++i) {
          const float expected =
              decode(format, encode(format, double{values[i]}, Rounding::nearest_even, overflow));
          wrong += std::isnan(expected) ? !std::isnan(rounded[i])
                                        : fp32_bits(rounded[i]) != fp32_bits(expected);
        }
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("rounding to a format works in place and for any length") {
  for (const Format format : all_formats()) {
    if (!is_float(format)) continue;
    CAPTURE(name(format));
    for (const std::int64_t n : {0, 1, 7, 1023, 1024, 1025}) {
      std::vector<float> values(static_cast<std::size_t>(n));
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(i) * 0.37F - 100;
      std::vector<float> expected = values;
      for (float& v : expected)
        v = decode(format, encode(format, double{v}, Rounding::nearest_even, Overflow::saturate));
      round_to(format, Overflow::saturate, values.data(), values.data(), n);
      CHECK(values == expected);
    }
  }
}

TEST_CASE("array encoding by every rounding equals the scalar encoding on each path") {
  const Random random(7, 3);
  constexpr std::uint64_t first = 0xFFFFFFFFEu;  // in the middle of a block
  for (const Isa isa : supported_isas()) {
    for (const Format format : all_formats()) {
      if (!is_float(format) || bits(format) > 16) continue;
      std::vector<float> values = patterns(0, 1u << 16, 65521);
      const std::vector<float> at_edges = edges(format);
      values.insert(values.end(), at_edges.begin(), at_edges.end());
      for (std::uint64_t i = 0; i < 1u << 14; ++i) values.push_back(fp32_value(random.bits(i)));
      for (const Overflow overflow : {Overflow::saturate, Overflow::to_special}) {
        for (const Rounding rounding : {Rounding::nearest_even, Rounding::toward_zero, Rounding::up,
                                        Rounding::down, Rounding::stochastic}) {
          CAPTURE(name(isa), name(format), overflow == Overflow::saturate,
                  static_cast<int>(rounding));
          CHECK((bits(format) == 16 ? differences<std::uint16_t>(format, rounding, overflow, isa,
                                                                 values, random, first)
                                    : differences<std::uint8_t>(format, rounding, overflow, isa,
                                                                values, random, first)) == 0);
        }
      }
    }
  }
}

TEST_CASE("stochastic rounding of a part of an array takes the numbers of that part") {
  const Random random(1);
  const std::vector<float> values = patterns(0x3C000000, 5000, 12345);
  std::vector<std::uint8_t> whole(values.size());
  encode_stochastic(Format::e4m3, Overflow::saturate, random, 0, values.data(), whole.data(), 5000);
  for (const std::int64_t begin : {0, 1, 2, 1023, 1027, 4998}) {
    for (const std::int64_t n : {0, 1, 2, 7, 1500}) {
      if (begin + n > 5000) continue;
      std::vector<std::uint8_t> part(static_cast<std::size_t>(n));
      encode_stochastic(Format::e4m3, Overflow::saturate, random, static_cast<std::uint64_t>(begin),
                        values.data() + begin, part.data(), n);
      CHECK(std::equal(part.begin(), part.end(), whole.begin() + begin));
    }
  }
}

TEST_CASE("stochastic rounding of an array is right on average") {
  const std::vector<float> values(100000, 1.03F);  // 0.24 of the way from 1 to 1.125
  std::vector<std::uint8_t> codes(values.size());
  encode_stochastic(Format::e4m3, Overflow::saturate, Random(5), 0, values.data(), codes.data(),
                    static_cast<std::int64_t>(values.size()));
  double sum = 0;
  for (const std::uint8_t code : codes) sum += decode(Format::e4m3, code);
  CHECK(sum / 100000 == Approx(1.03).margin(6e-4));  // 3.6 standard deviations
}

TEST_CASE("array encoding without the numbers that stochastic rounding takes is refused") {
  const float value = 1;
  std::uint8_t code = 0;
  CHECK_THROWS_AS(encode(Format::e4m3, Rounding::stochastic, Overflow::saturate, &value, &code, 1),
                  std::invalid_argument);
}

TEST_CASE("codes of the wrong width are refused") {
  const float value = 1;
  std::uint8_t narrow = 0;
  std::uint16_t half = 0;
  CHECK_THROWS_AS(encode(Format::fp16, Overflow::saturate, &value, &narrow, 1),
                  std::invalid_argument);
  CHECK_THROWS_AS(encode(Format::e4m3, Overflow::saturate, &value, &half, 1),
                  std::invalid_argument);
  CHECK_THROWS_AS(encode(Format::int32, Overflow::saturate, &value, &narrow, 1),
                  std::invalid_argument);
  CHECK_THROWS_AS(encode(Format::e4m3, Rounding::up, Overflow::saturate, &value, &half, 1),
                  std::invalid_argument);
  CHECK_THROWS_AS(
      encode_stochastic(Format::bf16, Overflow::saturate, Random(1), 0, &value, &narrow, 1),
      std::invalid_argument);
}
