#include "sim/datapath/attention_study.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "sim/datapath/hadamard.h"
#include "sim/datapath/random_matrix.h"

using namespace tessera;

namespace {

AttentionHead head_of(std::int64_t seq, std::int64_t d, Distribution distribution,
                      std::uint64_t seed) {
  return {seq, d, random_matrix(seq, d, distribution, seed, 0),
          random_matrix(seq, d, distribution, seed, 1),
          random_matrix(seq, d, distribution, seed, 2)};
}

std::vector<std::int64_t> all_rows(std::int64_t n) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(n));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

AttentionUnits h100() { return {&find_unit("h100.fp16"), &find_unit("h100.e4m3")}; }

}  // namespace

TEST_CASE("a random Hadamard matrix keeps lengths and products, and spreads an outlier") {
  std::vector<float> x(2 * 64, 0);
  x[3] = 8;
  x[64 + 3] = 2;
  x[64 + 9] = 5;
  random_hadamard(x.data(), 2, 64, 64, Random(1));
  double square = 0, product = 0;
  for (std::size_t i = 0; i < 64; ++i) {
    CHECK(std::abs(x[i]) == 1);  // 8 / sqrt(64)
    square += double{x[64 + i]} * double{x[64 + i]};
    product += double{x[i]} * double{x[64 + i]};
  }
  CHECK(square == Approx(29));
  CHECK(product == Approx(16));
  std::vector<float> parts(64, 1);
  random_hadamard(parts.data(), 1, 64, 16, Random(1));
  CHECK(std::equal(parts.begin(), parts.begin() + 16, parts.begin() + 16));
  CHECK_THROWS(random_hadamard(x.data(), 1, 64, 24, Random(1)));
  CHECK_THROWS(random_hadamard(x.data(), 1, 40, 16, Random(1)));
}

TEST_CASE("attention to equal keys is the mean of the values") {
  AttentionHead head = {200, 16, std::vector<float>(200 * 16, 1), std::vector<float>(200 * 16, 0),
                        std::vector<float>(200 * 16)};
  for (std::size_t i = 0; i < head.v.size(); ++i) head.v[i] = i / 16 < 100 ? 1.0F : 3.0F;
  for (const double v : exact_attention(head, {0, 199})) CHECK(v == Approx(2));
  for (const AttentionRecipe recipe : all_attention_recipes()) {
    CAPTURE(name(recipe));
    for (const float v : attention(head, {0, 130, 199}, recipe, h100(), 1))
      CHECK(v == Approx(2).epsilon(0.04));
  }
}

TEST_CASE("a row's attention does not depend on which other rows are asked for") {
  const AttentionHead head = head_of(300, 32, Distribution::outlier, 2);
  for (const AttentionRecipe recipe : all_attention_recipes()) {
    CAPTURE(name(recipe));
    const std::vector<float> all = attention(head, all_rows(300), recipe, h100(), 1);
    const std::vector<float> some = attention(head, {5, 127, 128, 299}, recipe, h100(), 1);
    const std::vector<std::size_t> rows = {5, 127, 128, 299};
    for (std::size_t i = 0; i < 4; ++i)
      for (std::size_t c = 0; c < 32; ++c) CHECK(some[i * 32 + c] == all[rows[i] * 32 + c]);
  }
}

TEST_CASE("a head dimension without a Hadamard matrix is refused") {
  const AttentionHead head = head_of(8, 48, Distribution::normal, 1);
  CHECK_THROWS_WITH(attention(head, {0}, AttentionRecipe::fp16_flash, h100(), 1),
                    "head dimension: 48 is no size that is modelled; give 16, 32, 64, 128 or 256");
}

TEST_CASE("FlashAttention-3's order of recipes and size of errors") {
  AttentionStudyOptions options;
  options.seq = 1024;
  options.head_dim = 64;
  options.queries = 0;
  options.seeds = 4;
  options.units = h100();
  std::map<AttentionRecipe, double> error;
  const std::vector<AttentionError> one = study_attention(options);
  for (const AttentionError& e : one) error[e.recipe] = e.mean;
  // Published for a size that is not given: FP16 3.2e-4 and 1.9e-4, FP8 2.4e-2 and 9.1e-3; without
  // block scales 9.3e-3, without Hadamard matrix 2.4e-2. The bands are this size's over 16 seeds.
  CHECK(error[AttentionRecipe::fp16_baseline] == Approx(2.1e-4).epsilon(0.35));
  CHECK(error[AttentionRecipe::fp16_flash] < 0.9 * error[AttentionRecipe::fp16_baseline]);
  CHECK(error[AttentionRecipe::fp8_baseline] == Approx(1.95e-2).epsilon(0.4));
  CHECK(error[AttentionRecipe::fp8_flash3] == Approx(1.12e-2).epsilon(0.3));
  CHECK(error[AttentionRecipe::fp8_incoherent] ==
        Approx(error[AttentionRecipe::fp8_flash3]).epsilon(0.1));
  CHECK(error[AttentionRecipe::fp8_block] > 1.2 * error[AttentionRecipe::fp8_flash3]);

  options.jobs = 3;
  const std::vector<AttentionError> three = study_attention(options);
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(three[i].rmse == one[i].rmse);
}
