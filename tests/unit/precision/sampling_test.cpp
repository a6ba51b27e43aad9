#include "sim/precision/sampling.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <set>

#include "sim/precision/normal.h"
#include "sim/precision/sampled_tensor.h"

using namespace tessera;

TEST_CASE("sampled rows hold the first and the last token and stand for all") {
  const RowSample sample = sample_rows(1, 2048, 16, 1);
  REQUIRE(sample.rows.size() == 16);
  CHECK(sample.rows.front() == 0);
  CHECK(sample.rows.back() == 2047);
  CHECK(std::is_sorted(sample.rows.begin(), sample.rows.end()));
  CHECK(std::accumulate(sample.weights.begin(), sample.weights.end(), 0.0) == Approx(2048));
  CHECK(sample.weights.front() == 1);
  const RowSample many = sample_rows(8, 256, 16, 1);
  CHECK(many.weights.front() == 8);
  CHECK(std::count(many.rows.begin(), many.rows.end(), 255) == 1);
  CHECK(sample_rows(1, 10, 16, 1).whole());
  CHECK(sample_rows(1, 1, 16, 1).rows == std::vector<std::int64_t>{0});
}

TEST_CASE("sampled columns come one from each part") {
  const std::vector<std::int64_t> columns = sample_columns(100, 640, 64, 1, 2);
  REQUIRE(columns.size() == 64);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    CHECK(columns[i] >= 100 + static_cast<std::int64_t>(i) * 10);
    CHECK(columns[i] < 110 + static_cast<std::int64_t>(i) * 10);
  }
  CHECK(sample_columns(0, 5, 64, 1, 2) == std::vector<std::int64_t>{0, 1, 2, 3, 4});
}

TEST_CASE("an error is relative to the reference and weighed by what its row stands for") {
  RowSample rows;
  rows.size = 4;
  rows.rows = {0, 1};
  rows.weights = {1, 3};
  const float reference[] = {1, 1, 2, 2};
  const float computed[] = {1.25F, 1, 2, 3};
  const Estimate e = estimate_error(computed, reference, rows, separate_columns(2));
  // (1 * 0.0625 + 3 * 1) / (1 * 2 + 3 * 8)
  CHECK(e.measure.rel_rmse == Approx(std::sqrt(3.0625 / 26)));
  CHECK(e.measure.sqnr_db == Approx(-20 * std::log10(e.measure.rel_rmse)));
  CHECK(e.measure.max_over_rms == Approx(1 / std::sqrt(26.0 / 8)));
  CHECK(e.low < e.measure.rel_rmse);
  CHECK(e.high > e.measure.rel_rmse);
  // Each row relative to itself: (1 * 0.03125 + 3 * 0.125) / 4
  CHECK(estimate_row_error(computed, reference, rows, separate_columns(2)).measure.rel_rmse ==
        Approx(std::sqrt(0.1015625)));
  CHECK(estimate_error(reference, reference, rows, separate_columns(2)).measure.rel_rmse == 0);
}

TEST_CASE("where everything was computed the interval is the estimate") {
  RowSample rows;
  rows.size = 2;
  rows.rows = {0, 1};
  rows.weights = {1, 1};
  const float reference[] = {1, 1, 2, 2};
  const float computed[] = {1.5F, 1, 2, 3};
  const Estimate e = estimate_error(computed, reference, rows, separate_columns(2));
  CHECK(e.low == e.measure.rel_rmse);
  CHECK(e.high == e.measure.rel_rmse);
}

TEST_CASE("the interval of a sample holds the value of the whole as often as it says") {
  // Errors with row and column effects: 64 x 512, of which 16 x 32 are seen.
  constexpr std::int64_t all_rows = 64, all_columns = 512;
  int held = 0;
  constexpr int trials = 200;
  for (int trial = 0; trial < trials; ++trial) {
    const auto seed = static_cast<std::uint64_t>(trial);
    std::vector<float> noise(all_rows * all_columns), value(noise.size()), row(all_rows),
        column(all_columns);
    standard_normals(seed, 1, 0, all_rows * all_columns, noise.data());
    standard_normals(seed, 2, 0, all_rows * all_columns, value.data());
    standard_normals(seed, 3, 0, all_rows, row.data());
    standard_normals(seed, 4, 0, all_columns, column.data());
    const auto error = [&](std::int64_t t, std::int64_t j) {
      return double{noise[static_cast<std::size_t>(t * all_columns + j)]} *
             std::exp(0.3 * double{row[static_cast<std::size_t>(t)]} +
                      0.3 * double{column[static_cast<std::size_t>(j)]});
    };
    double e2 = 0, r2 = 0;
    for (std::int64_t t = 0; t < all_rows; ++t)
      for (std::int64_t j = 0; j < all_columns; ++j) {
        const double r = double{value[static_cast<std::size_t>(t * all_columns + j)]};
        e2 += error(t, j) * error(t, j);
        r2 += r * r;
      }
    RowSample rows;
    rows.size = all_rows;
    rows.rows = sample_columns(0, all_rows, 16, seed, 5);
    rows.weights.assign(16, 4);
    const auto columns = sample_columns(0, all_columns, 32, seed, 6);
    ColumnClusters clusters = separate_columns(32);
    clusters.size = all_columns;
    std::vector<double> computed, reference;
    for (const std::int64_t t : rows.rows)
      for (const std::int64_t j : columns) {
        reference.push_back(double{value[static_cast<std::size_t>(t * all_columns + j)]});
        computed.push_back(reference.back() + error(t, j));
      }
    const Estimate e = estimate_error(computed.data(), reference.data(), rows, clusters);
    const double truth = std::sqrt(e2 / r2);
    held += e.low <= truth && truth <= e.high ? 1 : 0;
  }
  CHECK(held >= 180);  // 190 of 200 expected
}
