#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/frontend/layer_graph.h"
#include "sim/report/policy_result.h"

namespace tessera {

/// An operation whose precision is to be chosen, and its cycles in each.
struct FreeOp {
  std::string name;
  std::vector<Precision> precisions;  ///< the first is the wide one
  std::vector<std::int64_t> cycles;   ///< of one execution
};

/// Layers that share their choices, the numbers of one of them standing for all.
struct LayerClass {
  std::string layers;  ///< "0", "1-94"
  std::int64_t repeat = 1;
  std::int64_t other_cycles = 0;  ///< of one layer's operations without a choice
  std::vector<FreeOp> ops;
};

/// A layer to compute: of which class, and the precision of each of its free operations.
struct LayerCase {
  std::size_t layer_class = 0;
  std::vector<Precision> precisions;
};

/// Mean square of the error of the layer's output relative to the output's, for each case. Equal
/// cases give equal numbers.
using MeasureLayers = std::function<std::vector<double>(const std::vector<LayerCase>&)>;

/// The choice: for each class the precision of each free operation, and how it came about.
struct LayerPolicy {
  std::vector<std::vector<Precision>> precisions;
  PolicyResult result;
};

/// Relative RMSE of a layer's output that `--error-budget` allows by default: about that of a GPT-3
/// layer with all its linear layers in fp8, whose published quality is that of 16 bits.
/// docs/precision-policy.md has the numbers.
constexpr double default_error_budget = 0.03;

/// The fastest precisions whose error is within `budget`, a relative RMSE of the layers' output,
/// root mean square over the layers:
///
/// 1. measure each layer in the wide precision, and with each operation alone in each other one;
/// 2. treat what that adds to the mean square as additive and take the cheapest choice of the
///    Pareto front within the budget (policy.h), of equal layers all or none;
/// 3. measure the choice as a whole; while it is beyond the budget, take the next slower one of the
///    front. The choice with everything wide ends this.
///
/// A larger budget never gives a slower choice, a budget of 0 gives the wide one.
LayerPolicy choose_precisions(const std::vector<LayerClass>& classes, double budget,
                              const MeasureLayers& measure);

}  // namespace tessera
