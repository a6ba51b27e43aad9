#include "sim/datapath/gemm.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "sim/base/random.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

using namespace tessera;

namespace {

using Values = std::vector<float>;

std::uint32_t code_mask(Format format) {
  const FloatFormat& f = float_format(format);
  return (~0u >> (32 - bits(format) + f.padding_bits)) << f.padding_bits;
}

/// What random operands look like.
enum class Data {
  codes,         ///< any finite code: subnormals, zeros, the whole range of exponents
  specials,      ///< any code, a few of them Inf and NaN
  cancellation,  ///< few exponents, so that sums cancel
  sparse,        ///< mostly zeros
};

Values random_values(Format format, std::int64_t n, Data data, std::uint64_t seed) {
  const Random random(seed);
  Values values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Random::Block draw = random.block(i);
    float value = decode(format, draw[0] & code_mask(format));
    const bool special = !std::isfinite(value);
    if (special && !(data == Data::specials && draw[1] % 64 == 0)) value = 0;
    if (data == Data::cancellation)
      value = (draw[0] & 1 ? -1.0F : 1.0F) * (1 + static_cast<float>(draw[1] % 2) / 2);
    if (data == Data::sparse && draw[1] % 8 != 0) value = draw[1] % 16 > 8 ? -0.0F : 0.0F;
    values[i] = value;
  }
  return values;
}

struct Case {
  Gemm gemm;
  Values a, b, c, d;
};

/// Operands for a unit; c is the accumulator's format's.
Case random_case(const Unit& unit, Accumulator accumulator, Data data, std::int64_t m,
                 std::int64_t n, std::int64_t k, std::uint64_t seed) {
  Case test;
  test.a = random_values(unit.input, m * k, data, seed);
  test.b = random_values(unit.input, k * n, data, seed + 1);
  test.c = random_values(accumulator == Accumulator::fp16 ? Format::fp16 : Format::fp32, m * n,
                         data, seed + 2);
  test.d.resize(static_cast<std::size_t>(m * n));
  test.gemm.m = m;
  test.gemm.n = n;
  test.gemm.k = k;
  test.gemm.a = test.a.data();
  test.gemm.b = test.b.data();
  test.gemm.c = test.c.data();
  test.gemm.accumulator = accumulator;
  return test;
}

/// Outputs whose bits differ between a path and the reference.
std::int64_t differences(const Unit& unit, Gemm g, Isa isa) {
  Values fast(static_cast<std::size_t>(g.m * g.n), 7), expected = fast;
  g.d = expected.data();
  gemm_reference(unit, g);
  g.d = fast.data();
  gemm(unit, g, isa);
  std::int64_t wrong = 0;
  for (std::size_t i = 0; i < fast.size(); ++i)
    wrong += fp32_bits(fast[i]) != fp32_bits(expected[i]);
  return wrong;
}

}  // namespace

TEST_CASE("every unit computes the same bits on every path") {
  std::uint64_t seed = 1;
  for (const Unit& unit : units()) {
    for (const Accumulator accumulator : {Accumulator::fp32, Accumulator::fp16}) {
      if (accumulator == Accumulator::fp16 && !unit.fp16_accumulator) continue;
      for (const Data data : {Data::codes, Data::specials, Data::cancellation, Data::sparse}) {
        // Sizes that divide by nothing, and a k that ends inside a step.
        Case test = random_case(unit, accumulator, data, 5, 83, 141, seed += 3);
        for (const bool from_zero : {false, true}) {
          if (from_zero) test.gemm.c = nullptr;
          for (const Isa isa : supported_isas()) {
            CAPTURE(unit.name, accumulator == Accumulator::fp16, static_cast<int>(data), name(isa),
                    from_zero);
            CHECK(differences(unit, test.gemm, isa) == 0);
          }
        }
      }
    }
  }
}

TEST_CASE("long chains of ordinary values are the same bits on every path") {
  for (const char* unit_name : {"h100.e4m3", "h100.e5m2", "h100.fp16", "a100.bf16", "v100.fp16"}) {
    const Unit& unit = find_unit(unit_name);
    const std::int64_t m = 3, n = 65, k = 2048;
    Case test;
    const Random random(11);
    test.a.resize(static_cast<std::size_t>(m * k));
    test.b.resize(static_cast<std::size_t>(k * n));
    std::uint64_t draws = 0;
    for (Values* values : {&test.a, &test.b})
      for (float& v : *values)
        v = decode(unit.input, encode(unit.input, random.uniform(draws++) * 4 - 2,
                                      Rounding::nearest_even, Overflow::saturate));
    test.gemm.m = m;
    test.gemm.n = n;
    test.gemm.k = k;
    test.gemm.a = test.a.data();
    test.gemm.b = test.b.data();
    for (const Isa isa : supported_isas()) {
      CAPTURE(unit_name, name(isa));
      CHECK(differences(unit, test.gemm, isa) == 0);
    }
  }
}

TEST_CASE("promotion and its scales are the same bits on every path") {
  for (const char* unit_name : {"h100.e4m3", "h100.e5m2", "ada.e4m3", "h100.bf16", "b200.e4m3"}) {
    const Unit& unit = find_unit(unit_name);
    for (const Data data : {Data::codes, Data::specials, Data::cancellation}) {
      Case test = random_case(unit, Accumulator::fp32, data, 4, 70, 300, 91);
      const Values a_scales = random_values(Format::bf16, 4 * 3, Data::cancellation, 5);
      const Values b_scales = random_values(Format::fp32, 3 * 70, Data::codes, 6);
      test.gemm.promote_every = 128;
      for (const bool scaled : {false, true}) {
        test.gemm.a_scales = scaled ? a_scales.data() : nullptr;
        test.gemm.b_scales = scaled ? b_scales.data() : nullptr;
        for (const Isa isa : supported_isas()) {
          CAPTURE(unit_name, static_cast<int>(data), scaled, name(isa));
          CHECK(differences(unit, test.gemm, isa) == 0);
        }
      }
    }
  }
}

TEST_CASE("promotion adds the chains of 128 products in FP32") {
  // 256 ones, then products too small for thirteen bits beside them.
  const std::int64_t k = 256;
  Values a(static_cast<std::size_t>(k), 1), b(static_cast<std::size_t>(k), 1), d(1);
  for (std::size_t i = 128; i < 256; ++i) a[i] = b[i] = 0x1p-6F;
  Gemm g;
  g.m = g.n = 1;
  g.k = k;
  g.a = a.data();
  g.b = b.data();
  g.d = d.data();
  const Unit& unit = find_unit("h100.e4m3");
  gemm(unit, g);
  CHECK(d[0] == 128);  // 2^-12 is below the last place of 128 with 13 fraction bits
  g.promote_every = 128;
  gemm(unit, g);
  CHECK(d[0] == 128 + 128 * 0x1p-12F);
}

TEST_CASE("a unit of one's own runs on every path, by the method that fits it") {
  Unit unit = find_unit("h100.e4m3");
  unit.name = "own";
  const auto check = [&](const std::string& method) {
    for (const Isa isa : supported_isas()) {
      if (isa != Isa::portable) CHECK(gemm_method(unit, Accumulator::fp32, isa) == method);
      const Case test = random_case(unit, Accumulator::fp32, Data::codes, 3, 40, 90, 17);
      CAPTURE(name(isa), method);
      CHECK(differences(unit, test.gemm, isa) == 0);
    }
  };
  check("fp32 fma");
  unit.products = 7;
  unit.fraction_bits = 18;
  unit.output_fraction_bits = 20;
  check("fp32 fma");
  unit.fraction_bits = 40;
  unit.output_fraction_bits = 23;
  check("fp64 fma");
  unit.products = 1024;
  unit.output_rounding = Rounding::nearest_even;
  check("integer");
  unit = find_unit("h100.bf16");
  unit.fraction_bits = 10;
  unit.floor_fp32 = Unit::no_floor;
  check("fp64 fma");
}

TEST_CASE("the result may replace the accumulator in place") {
  const Unit& unit = find_unit("h100.e4m3");
  Case test = random_case(unit, Accumulator::fp32, Data::specials, 6, 100, 64, 23);
  Values expected(test.c.size());
  test.gemm.d = expected.data();
  gemm_reference(unit, test.gemm);
  test.gemm.d = test.c.data();
  gemm(unit, test.gemm);
  for (std::size_t i = 0; i < expected.size(); ++i)
    CHECK(fp32_bits(test.c[i]) == fp32_bits(expected[i]));
}

TEST_CASE("empty sizes compute nothing or pass the accumulator on") {
  const Unit& unit = find_unit("h100.fp16");
  Values c = {1, 2}, d = {9, 9};
  Gemm g;
  g.m = 1;
  g.n = 2;
  g.c = c.data();
  g.d = d.data();
  gemm(unit, g);
  CHECK(d == c);
  g.m = 0;
  g.k = 5;
  CHECK_NOTHROW(gemm(unit, g));
}

TEST_CASE("wrong calls are refused") {
  const Unit& unit = find_unit("h100.e4m3");
  Values a = {1}, b = {1}, d(1);
  const auto refused = [&](auto change, const std::string& reason) {
    Gemm g;
    g.m = g.n = g.k = 1;
    g.a = a.data();
    g.b = b.data();
    g.d = d.data();
    change(g);
    CHECK_THROWS_WITH(gemm(unit, g), Catch::Contains(reason));
    CHECK_THROWS_WITH(gemm_reference(unit, g), Catch::Contains(reason));
  };
  refused([](Gemm& g) { g.m = -1; }, "negative");
  refused([](Gemm& g) { g.promote_every = 100; }, "no whole number of steps of 32");
  refused([](Gemm& g) { g.promote_every = -32; }, "no whole number");
  refused(
      [](Gemm& g) {
        g.promote_every = 128;
        g.accumulator = Accumulator::fp16;
      },
      "without promotion");
  refused([&](Gemm& g) { g.a_scales = a.data(); }, "both operands");
  const Values odd = {1.0625F};
  refused([&](Gemm& g) { g.a = odd.data(); }, "a[0][0] = 1.0625 is not a value of e4m3");
  const Values large = {480};
  refused([&](Gemm& g) { g.b = large.data(); }, "b[0][0] = 480");
  const Values tiny = {0x1p-10F};
  refused([&](Gemm& g) { g.a = tiny.data(); }, "not a value");
  const Values infinite = {std::numeric_limits<float>::infinity()};
  refused([&](Gemm& g) { g.a = infinite.data(); }, "not a value");
}

#if defined(__x86_64__)
TEST_CASE("the processor's rounding mode and flags are as before") {
  const unsigned before = _mm_getcsr();
  const Unit& unit = find_unit("h100.e4m3");
  const Case test = random_case(unit, Accumulator::fp32, Data::codes, 2, 64, 64, 3);
  Gemm g = test.gemm;
  Values d(128);
  g.d = d.data();
  for (const Isa isa : supported_isas()) {
    gemm(unit, g, isa);
    CHECK((_mm_getcsr() & ~0x3Fu) == (before & ~0x3Fu));
  }
}
#endif
