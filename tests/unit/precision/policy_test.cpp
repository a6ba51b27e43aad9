#include "sim/precision/policy.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "sim/base/random.h"

using namespace tessera;

namespace {

/// Whole numbers below a limit, one after the other.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}
  std::uint64_t below(std::uint64_t limit) { return random_.bits(next_++) % limit; }

 private:
  Random random_;
  std::uint64_t next_ = 0;
};

/// Random items, coarse values among them so that ties occur.
std::vector<PolicyItem> random_items(Draw& random, std::size_t count, std::size_t most_options) {
  std::vector<PolicyItem> items(count);
  const bool coarse = random.below(2) == 0;
  for (PolicyItem& item : items) {
    item.resize(1 + random.below(most_options));
    for (PolicyOption& option : item) {
      option.cost = static_cast<double>(random.below(coarse ? 8 : 100000));
      option.error = static_cast<double>(random.below(coarse ? 8 : 100000)) / 1024;
    }
  }
  return items;
}

/// Every choice there is, in order.
template <class Body>
void for_each_choice(const std::vector<PolicyItem>& items, Body&& body) {
  std::vector<std::size_t> choice(items.size());
  while (true) {
    double cost = 0, error = 0;
    for (std::size_t i = 0; i < items.size(); ++i) {
      cost += items[i][choice[i]].cost;
      error += items[i][choice[i]].error;
    }
    body(cost, error);
    std::size_t i = 0;
    while (i < items.size() && ++choice[i] == items[i].size()) choice[i++] = 0;
    if (i == items.size()) return;
  }
}

/// Least cost within the budget by trying everything; infinite if nothing is.
double least_cost(const std::vector<PolicyItem>& items, double budget) {
  double least = std::numeric_limits<double>::infinity();
  for_each_choice(items, [&](double cost, double error) {
    if (error <= budget) least = std::min(least, cost);
  });
  return least;
}

double cost_within(const std::vector<PolicyPoint>& points, double budget) {
  const std::ptrdiff_t at = within(points, budget);
  return at < 0 ? std::numeric_limits<double>::infinity()
                : points[static_cast<std::size_t>(at)].cost;
}

double largest_saving(const std::vector<PolicyItem>& items) {
  double largest = 0;
  for (const PolicyItem& item : items) {
    for (const PolicyOption& a : item) {
      for (const PolicyOption& b : item) largest = std::max(largest, a.cost - b.cost);
    }
  }
  return largest;
}

void check_is_front(const std::vector<PolicyItem>& items, const std::vector<PolicyPoint>& points) {
  REQUIRE_FALSE(points.empty());
  for (std::size_t p = 0; p < points.size(); ++p) {
    REQUIRE(points[p].choice.size() == items.size());
    double cost = 0, error = 0;
    for (std::size_t i = 0; i < items.size(); ++i) {
      cost += items[i].at(points[p].choice[i]).cost;
      error += items[i][points[p].choice[i]].error;
    }
    CHECK(points[p].cost == cost);
    CHECK(points[p].error == error);
    if (p == 0) continue;
    CHECK(points[p].error > points[p - 1].error);
    CHECK(points[p].cost < points[p - 1].cost);
  }
}

}  // namespace

TEST_CASE("the front holds the cheapest choice for every budget, against trying everything") {
  Draw random(1);
  for (int round = 0; round < 300; ++round) {
    const std::vector<PolicyItem> items = random_items(random, 1 + random.below(6), 4);
    const std::vector<PolicyPoint> front = pareto_front(items);
    check_is_front(items, front);
    for (int i = 0; i < 12; ++i) {
      const double budget = static_cast<double>(random.below(400)) / 2;
      CHECK(cost_within(front, budget) == least_cost(items, budget));
    }
  }
}

TEST_CASE("the greedy choice lies between the exact one and one item's exchange above it") {
  Draw random(2);
  for (int round = 0; round < 300; ++round) {
    const std::vector<PolicyItem> items = random_items(random, 1 + random.below(6), 4);
    const std::vector<PolicyPoint> greedy = hull(items);
    check_is_front(items, greedy);
    for (const PolicyPoint& corner : greedy) {
      CHECK(least_cost(items, corner.error) == corner.cost);
    }
    for (int i = 0; i < 12; ++i) {
      const double budget = static_cast<double>(random.below(400)) / 2;
      const double exact = least_cost(items, budget);
      CHECK(cost_within(greedy, budget) >= exact);
      if (std::isinf(exact)) {
        CHECK(std::isinf(lower_bound(greedy, budget)));
        continue;
      }
      CHECK(cost_within(greedy, budget) <= exact + largest_saving(items));
      CHECK(lower_bound(greedy, budget) <= exact * (1 + 1e-12));
    }
  }
}

TEST_CASE("many items: the front stays small, within the bound, and no worse than greedy") {
  Draw random(3);
  const std::vector<PolicyItem> items = random_items(random, 400, 4);
  const std::vector<PolicyPoint> greedy = hull(items);
  const std::vector<PolicyPoint> front = pareto_front(items, 512);
  check_is_front(items, front);
  CHECK(front.size() <= 512 + greedy.size());
  for (const double part : {0.0, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0}) {
    const double budget =
        greedy.front().error + part * (greedy.back().error - greedy.front().error);
    const double bound = lower_bound(greedy, budget);
    CHECK(cost_within(front, budget) >= bound * (1 - 1e-12));
    CHECK(cost_within(front, budget) <= cost_within(greedy, budget));
    CHECK(cost_within(front, budget) <= bound + largest_saving(items));
  }
}

TEST_CASE("a larger budget never costs more, thinned front or not") {
  Draw random(4);
  for (int round = 0; round < 60; ++round) {
    const std::vector<PolicyItem> items = random_items(random, 1 + random.below(12), 4);
    for (const std::size_t most : {std::size_t{2}, std::size_t{16}, std::size_t{1} << 14}) {
      const std::vector<PolicyPoint> front = pareto_front(items, most);
      check_is_front(items, front);
      double cost = std::numeric_limits<double>::infinity();
      for (double budget = 0; budget < 1300; budget += 7.25) {
        CHECK(cost_within(front, budget) <= cost);
        cost = cost_within(front, budget);
      }
    }
  }
}

TEST_CASE("no budget buys the least error, any budget the least cost") {
  const std::vector<PolicyItem> items = {{{10, 0}, {6, 1}, {5, 3}}, {{20, 0}, {10, 8}}, {{7, 0}}};
  const std::vector<PolicyPoint> front = pareto_front(items);
  CHECK(within(front, -0.001) == -1);
  CHECK(front[static_cast<std::size_t>(within(front, 0))].choice ==
        std::vector<std::size_t>{0, 0, 0});
  CHECK(front[static_cast<std::size_t>(within(front, 1e9))].choice ==
        std::vector<std::size_t>{2, 1, 0});
  // Saved for the error added: 4, 10/8, 1/2.
  const std::vector<PolicyPoint> corners = hull(items);
  REQUIRE(corners.size() == 4);
  CHECK(corners[1].choice == std::vector<std::size_t>{1, 0, 0});
  CHECK(corners[2].choice == std::vector<std::size_t>{1, 1, 0});
  CHECK(lower_bound(corners, 5) == 33 - 5);
}

TEST_CASE("of equal options the first counts, and one that costs more for nothing is never taken") {
  const std::vector<PolicyItem> items = {{{5, 1}, {5, 1}, {9, 2}}, {{3, 1}, {3, 1}}};
  for (const auto& points : {pareto_front(items), hull(items)}) {
    REQUIRE(points.size() == 1);
    CHECK(points[0].choice == std::vector<std::size_t>{0, 0});
  }
  CHECK(pareto_front({}).size() == 1);
  CHECK(lower_bound(hull({}), 0) == 0);
}
