#include "sim/precision/ranking.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "sim/base/random.h"

namespace tessera {
namespace {

TEST_CASE("rank correlations of known lists") {
  const std::vector<double> x = {1, 2, 3, 4, 5};
  CHECK(spearman(x, x) == Approx(1));
  CHECK(kendall(x, x) == Approx(1));
  CHECK(spearman(x, {5, 4, 3, 2, 1}) == Approx(-1));
  CHECK(kendall(x, {5, 4, 3, 2, 1}) == Approx(-1));
  // One exchange of neighbours: 1 - 6 * 2 / (5 * 24) and (10 - 2) / 10.
  CHECK(spearman(x, {1, 3, 2, 4, 5}) == Approx(0.9));
  CHECK(kendall(x, {1, 3, 2, 4, 5}) == Approx(0.8));
}

TEST_CASE("constant lists correlate with one another only") {
  CHECK(spearman({1, 1}, {2, 2}) == 1);
  CHECK(kendall({1, 1}, {2, 2}) == 1);
  CHECK(spearman({1, 1}, {2, 3}) == 0);
  CHECK(kendall({2, 3}, {1, 1}) == 0);
}

TEST_CASE("Kendall's tau-b equals its definition over all pairs, ties included") {
  const Random random(7);
  std::vector<double> x, y;
  for (std::uint64_t i = 0; i < 60; ++i) {
    x.push_back(std::floor(10 * random.uniform(2 * i)));
    y.push_back(std::floor(x.back() / 2 + 5 * random.uniform(2 * i + 1)));
  }
  double sum = 0, untied_x = 0, untied_y = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = i + 1; j < x.size(); ++j) {
      const double dx = x[i] - x[j], dy = y[i] - y[j];
      sum += (dx * dy > 0) - (dx * dy < 0);
      untied_x += dx != 0;
      untied_y += dy != 0;
    }
  }
  CHECK(kendall(x, y) == Approx(sum / std::sqrt(untied_x * untied_y)));
}

TEST_CASE("cosines of vectors, and of one without length") {
  const std::vector<float> vectors = {1, 0, 1, 1, 0, 0};
  const std::vector<double> c = cosines(vectors.data(), 3, 2);
  CHECK(c[1] == Approx(std::sqrt(0.5)));
  CHECK(c[3] == c[1]);
  CHECK(c[2] == 0);
}

TEST_CASE("a ranking that moves says by how much and where") {
  const std::vector<double> before = {1, 0.9, 0.2, 0.9, 1, 0.3, 0.2, 0.3, 1};
  CHECK(nearest_to(before, 3, 0) == 1);
  CHECK(nearest_to(before, 3, 2) == 1);
  const RankingChange none = ranking_change(before, before, 3);
  CHECK(none.pairs == 3);
  CHECK(none.spearman == Approx(1));
  CHECK(none.top1_changes == 0);
  CHECK(none.largest_change == 0);
  const std::vector<double> after = {1, 0.9, 0.5, 0.9, 1, 0.3, 0.5, 0.3, 1};
  const RankingChange moved = ranking_change(before, after, 3);
  CHECK(moved.top1_changes == 1);  // item 2 is now nearest to 0
  CHECK(moved.largest_change == Approx(0.3));
  CHECK(moved.first == 0);
  CHECK(moved.second == 2);
  CHECK(moved.mean_change == Approx(0.1));
  CHECK(moved.spearman == Approx(0.5));
}

}  // namespace
}  // namespace tessera
