#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tessera {

// The choice of precisions as a multiple-choice knapsack: every item takes exactly one of its
// options, and
//
//     minimise   sum of cost[i][choice[i]]
//     subject to sum of error[i][choice[i]] <= budget
//
// Costs are cycles and errors mean squares, so both add up; docs/precision-policy.md says how they
// are measured. Everything here is a pure function, and of equal choices the first found counts.

/// One way to run an item. Costs and errors are finite and not negative.
struct PolicyOption {
  double cost = 0;
  double error = 0;
};

/// Its options; at least one.
using PolicyItem = std::vector<PolicyOption>;

/// A choice: for each item the index of its option, and the totals.
struct PolicyPoint {
  double cost = 0;
  double error = 0;
  std::vector<std::size_t> choice;
};

/// Choices of which none is beaten by another in both cost and error, by growing error and falling
/// cost. The first has the least error there is, the last the least cost.
///
/// Items are added one after the other, and partial choices that another beats are dropped
/// (Nemhauser and Ullmann's dynamic programming): the front is exact as long as no step leaves more
/// than `most` of them. Beyond that each of `most` equal stretches of error keeps its cheapest
/// choice, and the choices of hull() are put in, so that the front is never worse than theirs.
/// Because the front does not depend on a budget, a larger budget never buys a slower choice.
std::vector<PolicyPoint> pareto_front(const std::vector<PolicyItem>& items,
                                      std::size_t most = std::size_t{1} << 14);

/// The greedy choices: from the choice of least error on, always the exchange that saves the most
/// cost for the error it adds. Exact at their own errors (the corners of the lower convex hull of
/// all choices); by growing error.
std::vector<PolicyPoint> hull(const std::vector<PolicyItem>& items);

/// Index of the cheapest point of a front or hull whose error is at most `budget`; -1 if even the
/// first exceeds it.
std::ptrdiff_t within(const std::vector<PolicyPoint>& points, double budget);

/// No choice within the budget costs less: the linear relaxation, where an item may mix two
/// options. Interpolates hull(items); infinite if no choice is within the budget.
double lower_bound(const std::vector<PolicyPoint>& hull, double budget);

}  // namespace tessera
