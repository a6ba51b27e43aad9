#include "sim/frontend/precision_choice.h"

#include <utility>

namespace tessera {
namespace {

/// Bytes of the weights that an operation reads, scales of their blocks included.
Bytes weight_bytes(const GraphBlock& block, const Op& op) {
  Bytes total = weight_scale_bytes(op);
  for (const TensorId id : op.inputs) {
    if (id < 0) continue;
    const Tensor& tensor = block.tensors[static_cast<std::size_t>(id)];
    if (tensor.kind == TensorKind::weight) total += tensor.size();
  }
  return total;
}

}  // namespace

std::vector<std::size_t> free_ops(const GraphVariants& variants, std::size_t block) {
  std::vector<std::size_t> free;
  const std::vector<Op>& ops = variants.begin()->second.blocks[block].ops;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    bool differs = false;
    for (const auto& [precision, graph] : variants) {
      differs = differs || graph.blocks[block].ops[i].precision != ops[i].precision;
    }
    if (differs) free.push_back(i);
  }
  return free;
}

LayerGraph with_precisions(const GraphVariants& variants, Precision wide,
                           const std::vector<std::vector<PrecisionGroup>>& groups,
                           const std::string& workload) {
  const LayerGraph& base = variants.at(wide);
  LayerGraph graph = base;
  graph.workload = workload;
  graph.blocks.clear();
  for (std::size_t b = 0; b < base.blocks.size(); ++b) {
    if (groups[b].empty()) {
      graph.blocks.push_back(base.blocks[b]);
      continue;
    }
    const std::vector<std::size_t> free = free_ops(variants, b);
    for (const PrecisionGroup& group : groups[b]) {
      GraphBlock block = base.blocks[b];
      block.repeat = group.repeat;
      if (groups[b].size() > 1) block.name += "[" + group.layers + "]";
      for (std::size_t f = 0; f < free.size(); ++f) {
        const GraphBlock& variant = variants.at(group.precisions[f]).blocks[b];
        const Op& op = variant.ops[free[f]];
        graph.weight_bytes -= weight_bytes(block, block.ops[free[f]]) * group.repeat;
        graph.weight_bytes += weight_bytes(variant, op) * group.repeat;
        for (const TensorId id : op.inputs) {
          const auto tensor = static_cast<std::size_t>(id);
          if (id >= 0 && variant.tensors[tensor].kind == TensorKind::weight) {
            block.tensors[tensor] = variant.tensors[tensor];
          }
        }
        block.ops[free[f]] = op;
      }
      graph.blocks.push_back(std::move(block));
    }
  }
  return graph;
}

}  // namespace tessera
