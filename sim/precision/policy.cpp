#include "sim/precision/policy.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace tessera {
namespace {

/// A partial choice: of the items so far, the last takes `option` and the others what `before` of
/// the previous step says.
struct State {
  double cost = 0;
  double error = 0;
  std::uint32_t before = 0;
  std::uint32_t option = 0;
};

bool less_error(const State& a, const State& b) {
  return a.error != b.error ? a.error < b.error : a.cost < b.cost;
}

/// Sorts and drops what another state beats, or equals and stands before.
void keep_best(std::vector<State>& states) {
  std::stable_sort(states.begin(), states.end(), less_error);
  std::size_t kept = 0;
  for (const State& state : states) {
    if (kept > 0 && state.cost >= states[kept - 1].cost) continue;
    states[kept++] = state;
  }
  states.resize(kept);
}

/// At most `most` of the states, which are sorted: the last, which is the cheapest, of each of as
/// many equal stretches of error; the first in any case.
void thin(std::vector<State>& states, std::size_t most) {
  if (states.size() <= most) return;
  const double first = states.front().error;
  const double width = (states.back().error - first) / static_cast<double>(most - 1);
  std::size_t kept = 1;
  for (std::size_t i = 1; i < states.size(); ++i) {
    const auto stretch = [&](const State& s) {
      return static_cast<std::size_t>((s.error - first) / width);
    };
    if (i + 1 < states.size() && stretch(states[i + 1]) == stretch(states[i])) continue;
    states[kept++] = states[i];
  }
  states.resize(kept);
}

PolicyPoint point_of(const std::vector<PolicyItem>& items, std::vector<std::size_t> choice) {
  PolicyPoint point;
  for (std::size_t i = 0; i < items.size(); ++i) {
    point.cost += items[i][choice[i]].cost;
    point.error += items[i][choice[i]].error;
  }
  point.choice = std::move(choice);
  return point;
}

/// The corners of the lower convex hull of one item's options, by growing error: from one to the
/// next the cost saved for each unit of error falls.
std::vector<std::size_t> corners(const PolicyItem& item) {
  std::vector<std::size_t> order(item.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return item[a].error != item[b].error ? item[a].error < item[b].error
                                          : item[a].cost < item[b].cost;
  });
  std::vector<std::size_t> hull;
  for (const std::size_t next : order) {
    if (!hull.empty() && item[next].cost >= item[hull.back()].cost) continue;
    while (hull.size() >= 2) {
      const PolicyOption& a = item[hull[hull.size() - 2]];
      const PolicyOption& b = item[hull.back()];
      const PolicyOption& c = item[next];
      // b stays if it lies below the line from a to c.
      if ((a.cost - b.cost) * (c.error - a.error) > (a.cost - c.cost) * (b.error - a.error)) break;
      hull.pop_back();
    }
    hull.push_back(next);
  }
  return hull;
}

/// Sorts and drops what another point beats, or equals and stands before.
void keep_best(std::vector<PolicyPoint>& points) {
  std::stable_sort(points.begin(), points.end(), [](const PolicyPoint& a, const PolicyPoint& b) {
    return a.error != b.error ? a.error < b.error : a.cost < b.cost;
  });
  std::vector<PolicyPoint> kept;
  for (PolicyPoint& point : points) {
    if (!kept.empty() && point.cost >= kept.back().cost) continue;
    kept.push_back(std::move(point));
  }
  points = std::move(kept);
}

}  // namespace

std::vector<PolicyPoint> hull(const std::vector<PolicyItem>& items) {
  struct Exchange {
    std::size_t item, option;
    double saved, added;
  };
  std::vector<Exchange> exchanges;
  std::vector<std::size_t> choice;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::vector<std::size_t> steps = corners(items[i]);
    choice.push_back(steps.front());
    for (std::size_t s = 1; s < steps.size(); ++s) {
      const PolicyOption& from = items[i][steps[s - 1]];
      const PolicyOption& to = items[i][steps[s]];
      exchanges.push_back({i, steps[s], from.cost - to.cost, to.error - from.error});
    }
  }
  // An item's own exchanges are in this order already, and stay so among equals.
  std::stable_sort(exchanges.begin(), exchanges.end(), [](const Exchange& a, const Exchange& b) {
    return a.saved * b.added > b.saved * a.added;
  });
  std::vector<PolicyPoint> points = {point_of(items, choice)};
  for (const Exchange& exchange : exchanges) {
    choice[exchange.item] = exchange.option;
    points.push_back(point_of(items, choice));
  }
  keep_best(points);
  return points;
}

std::vector<PolicyPoint> pareto_front(const std::vector<PolicyItem>& items, std::size_t most) {
  most = std::max<std::size_t>(2, most);
  std::vector<std::vector<State>> steps = {{State()}};
  bool exact = true;
  for (const PolicyItem& item : items) {
    const std::vector<State>& before = steps.back();
    std::vector<State> after;
    after.reserve(before.size() * item.size());
    for (std::size_t b = 0; b < before.size(); ++b) {
      for (std::size_t o = 0; o < item.size(); ++o) {
        after.push_back({before[b].cost + item[o].cost, before[b].error + item[o].error,
                         static_cast<std::uint32_t>(b), static_cast<std::uint32_t>(o)});
      }
    }
    keep_best(after);
    exact = exact && after.size() <= most;
    thin(after, most);
    steps.push_back(std::move(after));
  }
  std::vector<PolicyPoint> points;
  for (std::size_t last = 0; last < steps.back().size(); ++last) {
    std::vector<std::size_t> choice(items.size());
    std::size_t state = last;
    for (std::size_t i = items.size(); i-- > 0;) {
      choice[i] = steps[i + 1][state].option;
      state = steps[i + 1][state].before;
    }
    points.push_back(point_of(items, std::move(choice)));
  }
  if (!exact) {
    for (PolicyPoint& point : hull(items)) points.push_back(std::move(point));
  }
  keep_best(points);
  return points;
}

std::ptrdiff_t within(const std::vector<PolicyPoint>& points, double budget) {
  const auto beyond =
      std::upper_bound(points.begin(), points.end(), budget,
                       [](double limit, const PolicyPoint& point) { return limit < point.error; });
  return beyond - points.begin() - 1;
}

double lower_bound(const std::vector<PolicyPoint>& hull, double budget) {
  const std::ptrdiff_t at = within(hull, budget);
  if (at < 0) return std::numeric_limits<double>::infinity();
  const PolicyPoint& below = hull[static_cast<std::size_t>(at)];
  if (static_cast<std::size_t>(at) + 1 == hull.size()) return below.cost;
  const PolicyPoint& above = hull[static_cast<std::size_t>(at) + 1];
  const double part = (budget - below.error) / (above.error - below.error);
  return below.cost + part * (above.cost - below.cost);
}

}  // namespace tessera
