#include "sim/datapath/scaling.h"

#include <catch2/catch.hpp>
#include <cfloat>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "sim/datapath/random_matrix.h"

using namespace tessera;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

QuantisedMatrix of(const std::vector<float>& x, Format format, Scaling scaling,
                   ScaleRule rule = ScaleRule::recipe) {
  return quantise(x.data(), 1, static_cast<std::int64_t>(x.size()), format, scaling, rule);
}

}  // namespace

TEST_CASE("current scaling multiplies by 448 / amax") {
  CHECK(scale_from_amax(2, 448, false) == 224);
  CHECK(scale_from_amax(3, 448, false) == 448.0F / 3);
  CHECK(scale_from_amax(3, 57344, false) == 57344.0F / 3);
  const QuantisedMatrix q = of({3, -1.5F, 0, 0.001F}, Format::e4m3, Scaling::tensor);
  CHECK(q.values == std::vector<float>{448, -224, 0, 0.15625F});
  CHECK(q.scales == std::vector<float>{1 / (448.0F / 3)});
}

TEST_CASE("an amax of zero, infinity or NaN scales by one") {
  for (const bool power_of_two : {false, true}) {
    CHECK(scale_from_amax(0, 448, power_of_two) == 1);
    CHECK(scale_from_amax(infinity, 448, power_of_two) == 1);
    CHECK(scale_from_amax(nan_value, 448, power_of_two) == 1);
  }
  CHECK(of({0, -0.0F}, Format::e4m3, Scaling::tensor).scales[0] == 1);
  const QuantisedMatrix q = of({infinity, 1}, Format::e4m3, Scaling::tensor);
  CHECK(q.scales[0] == 1);
  CHECK(q.values == std::vector<float>{448, 1});  // Inf saturates
  CHECK(q.statistics.non_finite == 1);
  CHECK(q.statistics.amax == 1);
}

TEST_CASE("NaN elements pass through and do not count as the largest") {
  const QuantisedMatrix q = of({nan_value, 2}, Format::e4m3, Scaling::tensor);
  CHECK(std::isnan(q.values[0]));
  CHECK(q.values[1] == 448);
  CHECK(q.statistics.non_finite == 1);
}

TEST_CASE("a quotient beyond FP32 becomes its largest number") {
  CHECK(scale_from_amax(FLT_TRUE_MIN, 448, false) == FLT_MAX);
  // The smallest amax whose quotient is finite, and its neighbour below.
  const float least = 448.0F / FLT_MAX;
  CHECK(std::isinf(448.0F / std::nextafter(least, 0.0F)));
  CHECK(scale_from_amax(std::nextafter(least, 0.0F), 448, false) == FLT_MAX);
  CHECK(scale_from_amax(std::nextafter(least, 1.0F), 448, false) < FLT_MAX);
  // Its fraction bits go, too.
  CHECK(scale_from_amax(FLT_TRUE_MIN, 448, true) == 0x1p127F);
  const QuantisedMatrix q = of({FLT_TRUE_MIN, 0}, Format::e4m3, Scaling::tensor);
  CHECK(q.values[0] == 0);  // 2^-149 x 2^128 is far below the smallest subnormal
  CHECK(q.statistics.underflow_share == 0.5);
}

TEST_CASE("power-of-two scales are rounded down") {
  CHECK(scale_from_amax(448, 448, true) == 1);
  CHECK(scale_from_amax(std::nextafter(448.0F, 1000.0F), 448, true) == 0.5F);
  CHECK(scale_from_amax(224, 448, true) == 2);
  CHECK(scale_from_amax(223, 448, true) == 2);
  CHECK(scale_from_amax(225, 448, true) == 1);
  CHECK(scale_from_amax(1, 448, true) == 256);
}

TEST_CASE("a cast without scaling clips at 448, and 16-bit formats overflow") {
  const QuantisedMatrix q = of({464, 465, -1e9F, 447}, Format::e4m3, Scaling::none);
  CHECK(q.values == std::vector<float>{448, 448, -448, 448});
  CHECK(q.statistics.overflow_share == 0.75);
  CHECK(of({65519, 65520}, Format::fp16, Scaling::none).values ==
        std::vector<float>{65504, infinity});
  CHECK(of({1 + 0x1p-10F + 0x1p-11F}, Format::tf32, Scaling::none).values[0] == 1 + 0x1p-10F);
  CHECK(of({0.1F}, Format::fp32, Scaling::none).values[0] == 0.1F);
}

TEST_CASE("every block of 1x128 and 128x128 has a scale of its own") {
  const std::int64_t rows = 130, cols = 200;
  std::vector<float> x(static_cast<std::size_t>(rows * cols), 1);
  x[5] = 100;                                             // row 0, block 0
  x[static_cast<std::size_t>(129 * cols + 199)] = 0.01F;  // row 129, block 1
  const QuantisedMatrix rowwise =
      quantise(x.data(), rows, cols, Format::e4m3, Scaling::block_1x128);
  REQUIRE(rowwise.scales.size() == 260);
  CHECK(rowwise.block_scale(0, 127) == 0.25F);  // 448 / 100 down to 4
  CHECK(rowwise.block_scale(0, 128) == 1 / 256.0F);
  CHECK(rowwise.block_scale(1, 0) == 1 / 256.0F);
  const QuantisedMatrix square =
      quantise(x.data(), rows, cols, Format::e4m3, Scaling::block_128x128);
  REQUIRE(square.scales.size() == 4);
  CHECK(square.block_scale(127, 0) == 0.25F);
  CHECK(square.block_scale(127, 128) == 1 / 256.0F);
  CHECK(square.block_scale(128, 0) == 1 / 256.0F);
  CHECK(square.values[0] == 4);
}

TEST_CASE("serving stacks divide each token by amax / 448, bounded below") {
  const std::vector<float> x = {3, 1, 0, 1e-9F};
  const QuantisedMatrix q = quantise(x.data(), 2, 2, Format::e4m3, Scaling::token);
  CHECK(q.scales == std::vector<float>{3.0F / 448, 1 / (448.0F * 512)});
  CHECK(q.values[0] == 448);
  CHECK(q.values[2] == 0);
  CHECK(quantise(x.data(), 2, 2, Format::e4m3, Scaling::channel).scales == q.scales);
  CHECK(of({1e-9F}, Format::e4m3, Scaling::block_1x128, ScaleRule::deepgemm).scales[0] ==
        1e-4F / 448);
  CHECK(of({0}, Format::e4m3, Scaling::tensor, ScaleRule::torchao).scales[0] ==
        1 / static_cast<float>(448 / 1e-12));
}

TEST_CASE("MXFP8 rounds the scale up to a power of two") {
  const auto scale = [](float amax, ScaleRule rule = ScaleRule::recipe) {
    return of({amax}, Format::e4m3, Scaling::mx, rule).scales[0];
  };
  CHECK(scale(448) == 1);
  CHECK(scale(std::nextafter(448.0F, 0.0F)) == 1);
  CHECK(scale(449) == 2);
  CHECK(scale(1.75F) == 0x1p-8F);
  CHECK(scale(0) == 0x1p-127F);        // code 0
  CHECK(scale(infinity) == 0x1p127F);  // code 254
  CHECK(scale(FLT_MAX) == 0x1p120F);   // 2^128 / 448 = 2^119.2
  // Half a last place above 2^-127 goes up, 2^-127 itself is code 0.
  CHECK(scale(448 * 0x1p-127F) == 0x1p-127F);
  CHECK(scale(449 * 0x1p-127F) == 0x1p-126F);
  // OCP's own rule: floor(log2 amax) - 8, and 500 is clipped at 448.
  CHECK(scale(256, ScaleRule::e8m0_down) == 1);
  CHECK(scale(500, ScaleRule::e8m0_down) == 1);
  CHECK(of({500}, Format::e4m3, Scaling::mx, ScaleRule::e8m0_down).values[0] == 448);
  CHECK(scale(512, ScaleRule::e8m0_down) == 2);
  CHECK(scale(255, ScaleRule::e8m0_down) == 0.5F);
  CHECK(of({500}, Format::e4m3, Scaling::mx).values[0] == 256);
  // Blocks of 32.
  std::vector<float> x(40, 448);
  x[39] = 1000;
  CHECK(of(x, Format::e4m3, Scaling::mx).scales == std::vector<float>{1, 4});
}

TEST_CASE("NVFP4 scales blocks of 16 in E4M3 under an FP32 scale") {
  std::vector<float> x(32, 0.5F);
  x[0] = 12;
  const QuantisedMatrix q = of(x, Format::e2m1, Scaling::nvfp4);
  CHECK(q.tensor_scale == 1 / (2688.0F / 12));
  // The block with the largest element uses the largest scale, 448.
  CHECK(q.scales[0] == 448);
  CHECK(q.values[0] == 6);
  CHECK(q.scales[1] == 18);  // 0.5 * 224 / 6 = 18.67
  CHECK(q.values[16] == 6);
  CHECK(q.values[1] == 0);  // 0.5 / 2 = 0.25: tie to even
  CHECK(q.dequantised()[0] == Approx(12));
  const QuantisedMatrix zero = of({0, 0}, Format::e2m1, Scaling::nvfp4);
  CHECK(zero.tensor_scale == 1);
  CHECK(zero.values == std::vector<float>{0, 0});
  CHECK(quantise(x.data(), 2, 16, Format::e2m1, Scaling::nvfp4_16x16).scales.size() == 1);
}

TEST_CASE("delayed scaling uses the amaxes of the steps before") {
  DelayedScaling::Options options;
  options.history_length = 3;
  DelayedScaling delayed(Format::e4m3, options);
  CHECK(delayed.scale() == 1);
  const auto step = [&](float amax) { return delayed.step(&amax, 1, 1); };
  CHECK(step(1000).values[0] == 448);  // scale 1: clipped
  CHECK(delayed.scale() == 0.448F);
  CHECK(step(500).values[0] == 224);
  CHECK(delayed.scale() == 0.448F);  // 1000 is still the largest of three
  step(500);
  CHECK(delayed.scale() == 0.448F);
  step(500);
  CHECK(delayed.scale() == 448.0F / 500);  // 1000 has left
  step(0);
  CHECK(delayed.scale() == 448.0F / 500);
}

TEST_CASE("delayed scaling keeps its scale when the amax is no number to divide by") {
  DelayedScaling::Options options;
  options.algorithm = DelayedScaling::Algorithm::most_recent;
  options.margin = 1;
  DelayedScaling delayed(Format::e5m2, options);
  const auto step = [&](float amax) { delayed.step(&amax, 1, 1); };
  step(2);
  CHECK(delayed.scale() == 57344.0F / 4);
  step(0);
  CHECK(delayed.scale() == 57344.0F / 4);
  step(infinity);
  CHECK(delayed.scale() == 57344.0F / 4);
  step(nan_value);
  CHECK(delayed.scale() == 57344.0F / 4);
  step(1);
  CHECK(delayed.scale() == 57344.0F / 2);
  step(FLT_TRUE_MIN);
  CHECK(delayed.scale() == FLT_MAX);
}

TEST_CASE("given scales are used, and refused when they are none") {
  const std::vector<float> x = {1, 2, 3, 4};
  const QuantisedMatrix q = quantise_with(x.data(), 2, 2, Format::e4m3, Scaling::token, {0.5F, 2});
  CHECK(q.values == std::vector<float>{2, 4, 1.5F, 2});
  CHECK(q.dequantised() == std::vector<double>{1, 2, 3, 4});
  const auto refused = [&](const std::vector<float>& scales, const std::string& why) {
    CHECK_THROWS_WITH(quantise_with(x.data(), 2, 2, Format::e4m3, Scaling::token, scales),
                      Catch::Contains(why));
  };
  refused({1, nan_value}, "scales[1]: nan is no scale; give a finite number above 0");
  refused({infinity, 1}, "scales[0]: inf is no scale");
  refused({0, 1}, "scales[0]: 0 is no scale");
  refused({1, -1}, "scales[1]: -1 is no scale");
  refused({1}, "scales: 1 of them for a 2 x 2 matrix with token scaling; give 2");
}

TEST_CASE("formats, scalings and rules that do not go together are refused") {
  const float x = 1;
  const auto refused = [&](Format format, Scaling scaling, ScaleRule rule, const std::string& why) {
    CHECK_THROWS_WITH(quantise(&x, 1, 1, format, scaling, rule), Catch::Contains(why));
  };
  refused(Format::int32, Scaling::tensor, ScaleRule::recipe, "int32 holds no numbers");
  refused(Format::e8m0, Scaling::tensor, ScaleRule::recipe, "e8m0 holds no numbers");
  refused(Format::e4m3, Scaling::nvfp4, ScaleRule::recipe, "nvfp4 scaling is of e2m1, not e4m3");
  refused(Format::fp16, Scaling::mx, ScaleRule::recipe, "mx scaling has no elements of fp16");
  refused(Format::e4m3, Scaling::tensor, ScaleRule::e8m0_up, "not of tensor scaling");
  refused(Format::e4m3, Scaling::mx, ScaleRule::fp32, "not of mx scaling");
  CHECK_THROWS_WITH(parse_scaling("tenser"), Catch::Contains("did you mean 'tensor'?"));
  for (const Scaling s : all_scalings()) CHECK(parse_scaling(name(s)) == s);
}

TEST_CASE("the error of a format hardly depends on the data") {
  struct Fact {
    Format format;
    Scaling scaling;
    ScaleRule rule;
    double sqnr_db;
  };
  // Normal data; measured apart from this code, and for MXFP8 in both rules.
  const std::vector<Fact> facts = {
      {Format::e4m3, Scaling::tensor, ScaleRule::recipe, 31.5},
      {Format::e5m2, Scaling::tensor, ScaleRule::recipe, 25.6},
      {Format::fp16, Scaling::none, ScaleRule::recipe, 73.6},
      {Format::bf16, Scaling::none, ScaleRule::recipe, 55.6},
      {Format::e2m1, Scaling::nvfp4, ScaleRule::recipe, 20.4},
      {Format::e4m3, Scaling::mx, ScaleRule::e8m0_up, 31.5},
      {Format::e4m3, Scaling::mx, ScaleRule::e8m0_down, 30.7},
  };
  for (const Fact& fact : facts) {
    CAPTURE(name(fact.format), name(fact.scaling), static_cast<int>(fact.rule));
    const std::vector<float> x = random_matrix(512, 512, Distribution::normal, 3);
    const QuantisationStatistics s =
        quantise(x.data(), 512, 512, fact.format, fact.scaling, fact.rule).statistics;
    CHECK(s.sqnr_db == Approx(fact.sqnr_db).margin(0.1));
    CHECK(s.rel_rmse == Approx(std::pow(10, -s.sqnr_db / 20)));
  }
  const std::vector<float> x = random_matrix(512, 512, Distribution::outlier, 3);
  CHECK(quantise(x.data(), 512, 512, Format::e4m3, Scaling::tensor).statistics.sqnr_db ==
        Approx(31.5).margin(0.2));
}

TEST_CASE("statistics count what they say") {
  // Two stretches of 128: in the first 3.5 to 2^-20, in the second all equal. 448 / 3.5 is 128.
  std::vector<float> x(256, 1);
  x[0] = 3.5F;
  x[1] = 0x1p-20F;
  x[2] = 0;
  const QuantisationStatistics s = of(x, Format::e4m3, Scaling::tensor).statistics;
  CHECK(s.elements == 256);
  CHECK(s.amax == 3.5);
  CHECK(s.underflow_share == 1 / 256.0);
  CHECK(s.overflow_share == 0);
  CHECK(s.dynamic_range == Approx(std::log2(3.5) + 20));
  CHECK(s.max_block_dynamic_range == Approx(std::log2(3.5) + 20));
  CHECK(s.dynamic_range_block == 128);
  CHECK(s.mse == 0x1p-40 / 256);
  CHECK(s.scale_min == s.scale_max);
  CHECK(of(x, Format::e4m3, Scaling::mx).statistics.dynamic_range_block == 32);
  const QuantisationStatistics none = of({}, Format::e4m3, Scaling::tensor).statistics;
  CHECK(none.elements == 0);
  CHECK(none.mse == 0);
}

TEST_CASE("some rows of a quantised matrix keep their scales") {
  const std::vector<float> x = random_matrix(300, 260, Distribution::outlier, 9);
  for (const Scaling scaling : {Scaling::tensor, Scaling::token, Scaling::block_128x128}) {
    const QuantisedMatrix q = quantise(x.data(), 300, 260, Format::e4m3, scaling);
    const QuantisedMatrix part = q.rows_of({299, 4, 130});
    REQUIRE(part.rows == 3);
    for (const std::int64_t c : {0, 127, 128, 259}) {
      CHECK(part.block_scale(0, c) == q.block_scale(299, c));
      CHECK(part.block_scale(2, c) == q.block_scale(130, c));
      CHECK(part.values[static_cast<std::size_t>(260 + c)] ==
            q.values[static_cast<std::size_t>(4 * 260 + c)]);
    }
  }
}
