#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "sim/precision/graph_ops.h"

namespace tessera {

/// Runs a graph: `inputs` by the names of its Placeholders; the results of model.outputs in order.
/// A value is dropped as soon as its last reader has run.
///
/// Throws InputError: an input that is missing, unknown, or of another element type than the
/// Placeholder's; what GraphOp::compute throws.
std::vector<GraphValue> run_graph(const GraphModel& model,
                                  const std::map<std::string, GraphValue>& inputs,
                                  GraphArithmetic& arithmetic);

}  // namespace tessera
