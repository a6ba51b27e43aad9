#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "sim/precision/graph_tensor.h"

namespace tessera {

/// What an attribute of a node can hold; std::monostate for kinds that no operation here reads.
using GraphAttribute = std::variant<std::monostate, bool, std::int64_t, std::string,
                                    std::vector<std::int64_t>, GraphElement>;

/// Result `output` of node `node` (an index of GraphModel::nodes).
struct GraphInput {
  int node = 0;
  int output = 0;
};

/// One operation, named and typed as TensorFlow does.
struct GraphNode {
  std::string name;
  std::string op;
  std::vector<GraphInput> inputs;
  std::map<std::string, GraphAttribute> attributes;
  GraphValue constant;  ///< of a Const, else null
};

/// A TensorFlow.js graph model: operations over named inputs, and its weights.
struct GraphModel {
  std::string file;              ///< its model.json, for errors
  std::vector<GraphNode> nodes;  ///< each behind those it reads
  std::vector<int> inputs;       ///< the Placeholders
  std::vector<int> outputs;      ///< nodes whose results nobody reads
  std::int64_t parameters = 0;   ///< floating-point weights
};

/// Reads `folder`/model.json, as tensorflowjs_converter writes it (`modelTopology` and
/// `weightsManifest`), and the weight shards it names.
///
/// Throws InputError naming the file and the node, weight or key: a missing or unreadable file;
/// JSON that is not; more than 64 MiB or 64 levels of it; an operation that is not among
/// graph_ops(), with too few or too many inputs; inputs that do not exist, or a cycle; repeated
/// names; a Const without weight or a weight without Const; element types other than float32, int32
/// and bool; quantised weights; shards that are shorter or longer than the weights; weights that
/// are infinite or NaN.
GraphModel load_graph_model(const std::string& folder);

}  // namespace tessera
