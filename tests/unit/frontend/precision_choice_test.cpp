#include "sim/frontend/precision_choice.h"

#include <catch2/catch.hpp>

#include "sim/frontend/graph_builder.h"
#include "sim/frontend/lowering.h"
#include "sim/frontend/workload.h"
#include "tests/unit/frontend/lowering_fixture.h"

using namespace tessera;

namespace {

const std::vector<Precision> precisions = {Precision::bf16, Precision::fp8, Precision::fp8_promote,
                                           Precision::fp8_block};

GraphVariants variants_of(const std::string& model, std::int64_t layers) {
  GraphVariants variants;
  for (const Precision precision : precisions) {
    WorkloadOptions options;
    options.seq = 128;
    options.layers = layers;
    options.precision = precision;
    variants[precision] =
        build_workload(model, {std::string(TESSERA_SOURCE_DIR) + "/models"}, options);
  }
  return variants;
}

}  // namespace

TEST_CASE("the projections and experts of the layers are free, nothing else") {
  const auto names = [](const char* model) {
    const GraphVariants variants = variants_of(model, 0);
    std::vector<std::string> all;
    for (std::size_t b = 0; b < variants.begin()->second.blocks.size(); ++b) {
      for (const std::size_t i : free_ops(variants, b)) {
        all.push_back(variants.begin()->second.blocks[b].ops[i].name);
      }
    }
    return all;
  };
  CHECK(names("llama-3.1-8b") ==
        std::vector<std::string>{"attention.qkv", "attention.output", "mlp.gate_up", "mlp.down"});
  CHECK(names("mixtral-8x7b") ==
        std::vector<std::string>{"attention.qkv", "attention.output", "moe.experts"});
  const LayerGraph one = variants_of("gpt2-xl", 1).at(Precision::bf16);
  CHECK(free_ops({{Precision::bf16, one}}, 0).empty());
}

TEST_CASE("one group of one precision is that precision's own graph") {
  const GraphVariants variants = variants_of("mixtral-8x7b", 0);
  for (const Precision precision : precisions) {
    std::vector<std::vector<PrecisionGroup>> groups(3);
    groups[1] = {{"0-31", 32, {precision, precision, precision}}};
    const LayerGraph& own = variants.at(precision);
    const LayerGraph graph = with_precisions(variants, Precision::bf16, groups, own.workload);
    CHECK(graph.weight_bytes == own.weight_bytes);
    CHECK(to_text(lower(graph, wide_chip())) == to_text(lower(own, wide_chip())));
  }
}

TEST_CASE("layers and operations take precisions of their own, weights and kernels follow") {
  const GraphVariants variants = variants_of("llama-3.1-8b", 4);
  const Precision bf16 = Precision::bf16, fp8 = Precision::fp8, block = Precision::fp8_block;
  const LayerGraph graph = with_precisions(
      variants, bf16,
      {{{"0,3", 2, {fp8, bf16, block, bf16}}, {"1-2", 2, {fp8, fp8, fp8, Precision::fp8_promote}}}},
      "mixed");
  REQUIRE(graph.blocks.size() == 2);
  CHECK(graph.workload == "mixed");
  CHECK(graph.blocks[0].name == "layer[0,3]");
  CHECK(graph.blocks[0].repeat == 2);
  CHECK(graph.blocks[1].name == "layer[1-2]");

  const std::int64_t qkv = 4096 * 6144, output = 4096 * 4096, up = 2 * 4096 * 14336,
                     down = 4096 * 14336;
  const std::int64_t norms = 2 * 4096 * 2;
  CHECK(graph.weight_bytes ==
        Bytes(2 * (qkv + 2 * output + up + 4 * (224 * 32) + 2 * down + norms) +
              2 * (qkv + output + up + down + norms)));

  const Trace trace = lower(graph, wide_chip());
  REQUIRE(trace.sections.size() == 2);
  std::vector<std::string> precision_of, kernels;
  for (const OpRecord& op : trace.sections[0].ops) {
    if (op.kind == "linear") precision_of.push_back(op.precision);
  }
  CHECK(precision_of == std::vector<std::string>{"fp8", "bf16", "fp8-block", "bf16"});
  for (const Kernel& kernel : trace.sections[0].kernels) {
    if (kernel.name.find("quantise") != std::string::npos) kernels.push_back(kernel.name);
  }
  CHECK(kernels == std::vector<std::string>{"attention.qkv.quantise", "mlp.gate_up.quantise"});
}
