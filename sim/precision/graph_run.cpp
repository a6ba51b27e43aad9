#include "sim/precision/graph_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "sim/base/error.h"

namespace tessera {

namespace {

GraphValue placeholder(const GraphModel& model, const GraphNode& node,
                       const std::map<std::string, GraphValue>& inputs) {
  const auto found = inputs.find(node.name);
  if (found == inputs.end()) {
    throw InputError({model.file, 0}, node.name, "the graph's input is missing", "give its tensor");
  }
  const auto dtype = node.attributes.find("dtype");
  if (dtype != node.attributes.end()) {
    const auto* type = std::get_if<GraphElement>(&dtype->second);
    if (type != nullptr && *type != found->second->type) {
      throw InputError({model.file, 0}, node.name,
                       fmt::format("the graph's input is {}", name(found->second->type)),
                       fmt::format("give {}", name(*type)));
    }
  }
  return found->second;
}

}  // namespace

std::vector<GraphValue> run_graph(const GraphModel& model,
                                  const std::map<std::string, GraphValue>& inputs,
                                  GraphArithmetic& arithmetic) {
  std::vector<std::string> known;
  for (const int input : model.inputs) {
    known.push_back(model.nodes[static_cast<std::size_t>(input)].name);
  }
  for (const auto& [input, value] : inputs) {
    if (std::find(known.begin(), known.end(), input) == known.end()) {
      throw InputError({model.file, 0}, input, "is no input of the graph",
                       fmt::format("its inputs are {}", fmt::join(known, ", ")));
    }
  }
  std::vector<int> readers(model.nodes.size());
  for (const GraphNode& node : model.nodes) {
    for (const GraphInput& input : node.inputs) ++readers[static_cast<std::size_t>(input.node)];
  }
  for (const int output : model.outputs) ++readers[static_cast<std::size_t>(output)];

  std::vector<std::vector<GraphValue>> values(model.nodes.size());
  for (std::size_t i = 0; i < model.nodes.size(); ++i) {
    const GraphNode& node = model.nodes[i];
    if (node.constant != nullptr) {
      values[i] = {node.constant};
      continue;
    }
    if (node.op == "Placeholder") {
      values[i] = {placeholder(model, node, inputs)};
      continue;
    }
    std::vector<GraphValue> arguments;
    for (const GraphInput& input : node.inputs) {
      const auto& results = values[static_cast<std::size_t>(input.node)];
      if (static_cast<std::size_t>(input.output) >= results.size()) {
        throw InputError(
            {model.file, 0}, node.name,
            fmt::format("{} has no output {}",
                        model.nodes[static_cast<std::size_t>(input.node)].name, input.output),
            "give an output that the node has");
      }
      arguments.push_back(results[static_cast<std::size_t>(input.output)]);
    }
    const bool constant_weights =
        node.inputs.size() > 1 &&
        model.nodes[static_cast<std::size_t>(node.inputs[1].node)].constant != nullptr;
    for (GraphTensor& result : find_graph_op(node.op)->compute(
             {node, model.file, arguments, constant_weights, arithmetic})) {
      values[i].push_back(std::make_shared<GraphTensor>(std::move(result)));
    }
    for (const GraphInput& input : node.inputs) {
      const auto producer = static_cast<std::size_t>(input.node);
      if (--readers[producer] == 0) values[producer].clear();
    }
  }
  std::vector<GraphValue> results;
  for (const int output : model.outputs) {
    results.push_back(values[static_cast<std::size_t>(output)].front());
  }
  return results;
}

}  // namespace tessera
