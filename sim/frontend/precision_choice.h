#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sim/frontend/layer_graph.h"

namespace tessera {

/// One workload in several precisions, as build_graph makes them: blocks, operations and tensors
/// correspond, and the operations that compute in a precision differ in nothing else.
using GraphVariants = std::map<Precision, LayerGraph>;

/// Indices of the operations of a block whose precision is free: those that differ between the
/// variants. Empty if there is only one variant.
std::vector<std::size_t> free_ops(const GraphVariants& variants, std::size_t block);

/// Some of a block's repetitions: which, and the precision of each of its free operations.
struct PrecisionGroup {
  std::string layers;       ///< "0", "1-47": the number of the first repetition is 0
  std::int64_t repeat = 1;  ///< how many they are
  std::vector<Precision> precisions;
};

/// The workload with precisions of its own for each operation. `groups[b]` says how block b's
/// repetitions divide; their counts sum to its repeat, and a block without free operations has no
/// groups. Several groups of a block become blocks named "layer[1-47]", with the same tensors but
/// for the weights' formats. Weight bytes follow. Every variant that a group names must be there.
LayerGraph with_precisions(const GraphVariants& variants, Precision wide,
                           const std::vector<std::vector<PrecisionGroup>>& groups,
                           const std::string& workload);

}  // namespace tessera
