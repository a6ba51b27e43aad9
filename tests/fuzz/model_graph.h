#pragma once

#include "sim/frontend/graph_builder.h"
#include "tests/fuzz/target.h"

namespace tessera::test {

/// Builds what a parsed model is for: the graphs of its phases. A model that was accepted has
/// work to do, and no size in it overflows.
inline void build_graphs(const ModelConfig& model) {
  require(parameters(model) > 0, "an accepted model has parameters");
  WorkloadOptions options;
  options.batch = 3;
  for (const Phase phase : {Phase::prefill, Phase::decode}) {
    options.phase = phase;
    options.seq = phase == Phase::prefill ? 7 : 1;
    options.past = phase == Phase::prefill ? 0 : 100;
    for (const Precision precision : {Precision::bf16, Precision::fp8_block}) {
      options.precision = precision;
      const LayerGraph graph = build_graph(model, options);
      require(!graph.blocks.empty() && graph.weight_bytes.value > 0, "an accepted model has work");
    }
  }
}

}  // namespace tessera::test
