#include "sim/sweep/analysis.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>

namespace tessera {
namespace {

/// Axes x, y (numbers) and word, metrics time_us and cost.
SweepResults empty_results() {
  SweepResults results;
  const auto add = [&](const char* name, ColumnRole role, bool numeric) {
    SweepColumn column;
    column.name = name;
    column.role = role;
    column.numeric = numeric;
    results.columns.push_back(column);
  };
  add("x", ColumnRole::axis, true);
  add("y", ColumnRole::axis, true);
  add("word", ColumnRole::axis, false);
  add("time_us", ColumnRole::metric, true);
  add("cost", ColumnRole::metric, true);
  results.objectives = {{3, true}, {4, true}};
  return results;
}

void add_point(SweepResults& results, double x, double y, const std::string& word, double time,
               double cost) {
  ResultPoint point;
  point.id = static_cast<std::int64_t>(results.points.size()) + 1;
  point.status = PointStatus::done;
  point.numbers = {x, y, std::numeric_limits<double>::quiet_NaN(), time, cost};
  point.texts = {"", "", word, "", ""};
  results.points.push_back(point);
}

std::vector<std::int64_t> front_ids(const SweepResults& results) {
  std::vector<std::int64_t> ids;
  for (const std::size_t i : results.front()) ids.push_back(results.points[i].id);
  return ids;
}

TEST_CASE("the front holds the points that no other is better than") {
  SweepResults results = empty_results();
  add_point(results, 1, 1, "a", 10, 1);
  add_point(results, 2, 1, "a", 5, 5);
  add_point(results, 3, 1, "a", 6, 5);  // slower than 2 at the same cost
  add_point(results, 4, 1, "a", 1, 20);
  add_point(results, 5, 1, "a", 10, 1);  // as good as 1
  add_point(results, 6, 1, "a", std::numeric_limits<double>::quiet_NaN(), 0);
  analyse(results);
  CHECK(front_ids(results) == std::vector<std::int64_t>{4, 2, 1, 5});
  results.objectives[1].minimise = false;  // now the dearer the better
  for (ResultPoint& point : results.points) point.on_front = false;
  results.sensitivities.clear();
  results.fits.clear();
  analyse(results);
  CHECK(front_ids(results) == std::vector<std::int64_t>{4});
}

TEST_CASE("an axis as an objective takes part in the front and has no sensitivities") {
  SweepResults results = empty_results();
  results.objectives = {{3, true}, {0, true}};
  add_point(results, 1, 1, "a", 10, 1);
  add_point(results, 2, 1, "a", 5, 1);
  add_point(results, 3, 1, "a", 5, 1);
  add_point(results, 0, 1, "a", 1, 1);
  results.points[3].status = PointStatus::failed;
  analyse(results);
  CHECK(front_ids(results) == std::vector<std::int64_t>{2, 1});
  REQUIRE(results.fits.size() == 1);
  CHECK(results.fits[0].metric == 3);
}

TEST_CASE("the best points stand in order, those without a value are left out") {
  SweepResults results = empty_results();
  add_point(results, 1, 1, "a", 10, 1);
  add_point(results, 2, 1, "a", std::numeric_limits<double>::quiet_NaN(), 5);
  add_point(results, 3, 1, "a", 6, 5);
  CHECK(results.best({3, true}, 5) == std::vector<std::size_t>{2, 0});
  CHECK(results.best({3, false}, 1) == std::vector<std::size_t>{0});
}

TEST_CASE("a power law is found exactly, whatever the texts beside it") {
  SweepResults results = empty_results();
  for (const double x : {1.0, 2.0, 4.0})
    for (const double y : {3.0, 5.0, 11.0})
      for (const char* word : {"a", "b"})
        add_point(results, x, y, word,
                  (word[0] == 'a' ? 7 : 100) * std::pow(x, -0.5) * std::pow(y, 2), x);
  analyse(results);
  REQUIRE(results.sensitivities.size() == 6);  // three axes, two metrics
  CHECK(results.sensitivities[0].elasticity == Approx(-0.5));
  CHECK(results.sensitivities[0].standard_error < 1e-9);
  CHECK(results.sensitivities[1].elasticity == Approx(2));
  CHECK_FALSE(results.sensitivities[2].known);
  CHECK(results.sensitivities[2].note == "a text");
  CHECK(results.sensitivities[3].elasticity == Approx(1));  // cost = x
  CHECK(results.sensitivities[4].elasticity == Approx(0).margin(1e-9));
  CHECK(results.fits[0].r_squared == Approx(1));
}

TEST_CASE("a metric that is no power law has an error and a worse fit") {
  SweepResults results = empty_results();
  for (double x = 1; x <= 64; x *= 2) add_point(results, x, 1, "a", std::max(8 / x, 1.0), x);
  analyse(results);
  CHECK(results.sensitivities[0].elasticity < -0.2);
  CHECK(results.sensitivities[0].elasticity > -0.9);
  CHECK(results.sensitivities[0].standard_error > 0.02);
  CHECK(results.fits[0].r_squared < 0.99);
}

TEST_CASE("axes that cannot be told apart, never change or reach 0 have a note instead") {
  SweepResults results = empty_results();
  for (const double x : {1.0, 2.0, 4.0}) add_point(results, x, x * x, "a", x, 0);
  analyse(results);
  CHECK(results.sensitivities[0].elasticity == Approx(1));
  CHECK(results.sensitivities[1].note == "moves together with the axes before it");
  // No cost is above 0: nothing is known of it.
  CHECK_FALSE(results.sensitivities[3].known);

  SweepResults zero = empty_results();
  for (const double x : {1.0, 2.0, 4.0})
    for (const double y : {0.0, 1.0}) add_point(zero, x, y, "a", 3 * x + 100 * y, 1);
  analyse(zero);
  CHECK(zero.sensitivities[0].known);
  CHECK(zero.sensitivities[1].note == "not above 0 everywhere");

  SweepResults still = empty_results();
  for (const double x : {1.0, 2.0}) add_point(still, x, 5, "a", x, 1);
  analyse(still);
  CHECK(still.sensitivities[1].note == "never changes");
}

}  // namespace
}  // namespace tessera
