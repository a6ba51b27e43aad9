#include "sim/precision/evaluation.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "sim/base/error.h"
#include "sim/config/loader.h"
#include "sim/frontend/graph_builder.h"
#include "sim/frontend/op_text.h"
#include "sim/precision/tensor_source.h"
#include "tests/support/scratch_folder.h"

using namespace tessera;
using Catch::Contains;

namespace {

ChipConfig chip(const std::string& name = "h100-sxm") {
  return load_chip(name, {}, {TESSERA_SOURCE_DIR "/configs/chips"});
}

ModelConfig small_model(Family family) {
  ModelConfig model = family_traits(family);
  model.name = "small";
  model.layers = 4;
  model.hidden = 128;
  model.heads = 4;
  model.kv_heads = family == Family::llama || family == Family::mixtral ? 2 : 4;
  model.head_dim = 32;
  model.inter = 256;
  model.vocab = 1000;
  model.max_positions = 512;
  if (family == Family::mixtral) {
    model.experts = 4;
    model.topk = 2;
  }
  fill_derived(model, KeyNames());
  return model;
}

LayerGraph small_graph(Family family, Precision precision, std::int64_t layers = 2) {
  WorkloadOptions options;
  options.seq = 96;
  options.layers = layers;
  options.precision = precision;
  return build_graph(small_model(family), options);
}

const OpError& error_of(const LayerGraph& graph, const Evaluation& evaluation,
                        const std::string& op) {
  for (std::size_t i = 0; i < graph.blocks.front().ops.size(); ++i)
    if (graph.blocks.front().ops[i].name == op) return evaluation.errors.front()[i];
  throw std::runtime_error("no operation " + op);
}

std::string npy(std::int64_t rows, std::int64_t cols, float value) {
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                             std::to_string(rows) + ", " + std::to_string(cols) + ")}";
  std::string text = "\x93NUMPY\x01";
  text += '\0';
  text += static_cast<char>(header.size());
  text += '\0';
  text += header;
  for (std::int64_t i = 0; i < rows * cols; ++i) {
    char word[4];
    std::memcpy(word, &value, 4);
    text.append(word, 4);
  }
  return text;
}

}  // namespace

TEST_CASE("the error of a GEMM by cause is that of the literature") {
  EvaluationOptions options;
  const auto gemm = [&](const std::string& dtype) {
    return evaluate(op_graph("gemm m=512 n=1024 k=4096 dtype=" + dtype), chip(), options)
        .errors.front()
        .front();
  };
  // E4M3 of normal numbers: 2.64e-2 each, 3.73e-2 for the product of two (both rounded).
  const OpError fp8 = gemm("fp8");
  CHECK(fp8.quantisation.rel_rmse == Approx(3.73e-2).epsilon(0.08));
  // 13 fraction bits over K = 4096: 1.33e-3.
  CHECK(fp8.accumulation.rel_rmse == Approx(1.33e-3).epsilon(0.15));
  CHECK(fp8.total.rel_rmse == Approx(3.73e-2).epsilon(0.08));
  CHECK(fp8.outputs == 512 * 1024);
  CHECK(fp8.sampled == 16 * 64);
  // BF16 inputs are exact; the weights and the result are rounded: 1.66e-3 each.
  const OpError bf16 = gemm("bf16");
  CHECK(bf16.quantisation.rel_rmse == Approx(1.66e-3).epsilon(0.1));
  CHECK(bf16.accumulation.rel_rmse < 1e-5);
  CHECK(bf16.total.rel_rmse == Approx(2.35e-3).epsilon(0.1));
}

TEST_CASE("a sampled error agrees with that of every output within its interval") {
  for (const char* text : {"linear m=128 n=384 k=512 dtype=fp8", "gemm m=96 n=320 k=256 dtype=bf16",
                           "linear m=96 n=384 k=256 dtype=fp8-block"}) {
    const LayerGraph graph = op_graph(text);
    EvaluationOptions options;
    options.exact = true;
    const OpError exact = evaluate(graph, chip(), options).errors.front().front();
    CHECK(exact.sampled == exact.outputs);
    CHECK(exact.total_low == exact.total.rel_rmse);
    int held = 0;
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      options.exact = false;
      options.seed = 1;  // the tensors of the exact run; the sample's size differs instead
      options.columns = 24 + static_cast<std::int64_t>(seed);
      const OpError sampled = evaluate(graph, chip(), options).errors.front().front();
      held +=
          sampled.total_low <= exact.total.rel_rmse && exact.total.rel_rmse <= sampled.total_high
              ? 1
              : 0;
    }
    INFO(text);
    CHECK(held >= 7);
  }
}

TEST_CASE("a layer can be computed alone, by its number") {
  const LayerGraph graph = small_graph(Family::llama, Precision::fp8, 4);
  EvaluationOptions options;
  options.layers = 1;
  const double first = evaluate(graph, chip(), options).summary.layer_output;
  LayerGraph split = graph;
  split.blocks.front().name = "layer[0-3]";
  CHECK(evaluate(split, chip(), options).summary.layer_output == first);
  options.first_layer = 2;
  const double third = evaluate(graph, chip(), options).summary.layer_output;
  CHECK(third != first);
  CHECK(third == Approx(first).epsilon(0.5));
  // Blocks behind one another are layers behind one another.
  split.blocks.push_back(graph.blocks.front());
  split.blocks[0].name = "layer[0-1]";
  split.blocks[0].repeat = 2;
  split.blocks[1].name = "layer[2-3]";
  split.blocks[1].repeat = 2;
  options.first_layer = 0;
  CHECK(evaluate(split, chip(), options).summary.layers == 4);
}

TEST_CASE("errors flow through a layer and from layer to layer") {
  const LayerGraph graph = small_graph(Family::llama, Precision::fp8);
  const Evaluation evaluation = evaluate(graph, chip(), {});
  const OpError& qkv = error_of(graph, evaluation, "attention.qkv");
  const OpError& down = error_of(graph, evaluation, "mlp.down");
  CHECK(qkv.total.rel_rmse > 0.02);
  CHECK(qkv.propagated.rel_rmse >= 0.9 * qkv.total.rel_rmse);
  CHECK(error_of(graph, evaluation, "attention.core").propagated.rel_rmse >
        error_of(graph, evaluation, "attention.core").total.rel_rmse);
  CHECK(down.quantisation.rel_rmse > 10 * down.accumulation.rel_rmse);
  const PrecisionResult& summary = evaluation.summary;
  CHECK(summary.evaluated_layers == 2);
  CHECK(summary.layers == 2);
  CHECK(summary.layer_output > 0);
  CHECK(summary.output > summary.layer_output);
  CHECK(summary.recipe == "current");
  const Evaluation wide = evaluate(small_graph(Family::llama, Precision::bf16), chip(), {});
  CHECK(wide.summary.layer_output < summary.layer_output / 3);
  CHECK(wide.summary.recipe.empty());
}

TEST_CASE("a layer's sampled error agrees with that of every output") {
  EvaluationOptions options;
  options.layers = 1;
  options.tokens = 24;
  const LayerGraph graph = small_graph(Family::llama, Precision::fp8, 1);
  const Evaluation sampled = evaluate(graph, chip(), options);
  options.exact = true;
  const Evaluation exact = evaluate(graph, chip(), options);
  for (const char* op : {"attention.qkv", "mlp.gate_up", "mlp.down"}) {
    INFO(op);
    CHECK(error_of(graph, sampled, op).total.rel_rmse ==
          Approx(error_of(graph, exact, op).total.rel_rmse).epsilon(0.1));
    CHECK(error_of(graph, sampled, op).propagated.rel_rmse ==
          Approx(error_of(graph, exact, op).propagated.rel_rmse).epsilon(0.25));
  }
  CHECK(sampled.summary.layer_output == Approx(exact.summary.layer_output).epsilon(0.2));
}

TEST_CASE("every family and precision can be studied, and equal seeds give equal numbers") {
  for (const Family family : {Family::gpt2, Family::bert, Family::mixtral, Family::gemma2,
                              Family::gpt_neox, Family::phi, Family::qwen3}) {
    for (const Precision precision :
         {Precision::fp16, Precision::fp8_promote, Precision::fp8_block}) {
      INFO(name(family) << " " << name(precision));
      const LayerGraph graph = small_graph(family, precision, 0);
      const Evaluation one = evaluate(graph, chip(), {});
      CHECK(one.summary.layer_output > 0);
      CHECK(std::isfinite(one.summary.output));
      CHECK(one.summary.output == evaluate(graph, chip(), {}).summary.output);
      EvaluationOptions other;
      other.seed = 2;
      CHECK(one.summary.output != evaluate(graph, chip(), other).summary.output);
    }
  }
}

TEST_CASE("decoding is studied too") {
  WorkloadOptions workload;
  workload.phase = Phase::decode;
  workload.past = 200;
  workload.layers = 1;
  for (const std::int64_t batch : {1, 40}) {
    workload.batch = batch;
    const LayerGraph graph = build_graph(small_model(Family::llama), workload);
    const Evaluation evaluation = evaluate(graph, chip(), {});
    CHECK(evaluation.summary.sampled_tokens == std::min<std::int64_t>(batch, 16));
    CHECK(evaluation.summary.layer_output > 0);
  }
}

TEST_CASE("each recipe scales as it says, and unfit ones are refused") {
  const LayerGraph fp8 = op_graph("linear m=64 n=256 k=512 dtype=fp8");
  EvaluationOptions options;
  for (const Recipe recipe : {Recipe::delayed, Recipe::current, Recipe::token}) {
    options.recipe = recipe;
    const Evaluation evaluation = evaluate(fp8, chip(), options);
    CHECK(evaluation.summary.recipe == name(recipe));
    CHECK(evaluation.errors.front().front().total.rel_rmse == Approx(0.037).epsilon(0.15));
  }
  options.recipe = Recipe::mxfp8;
  CHECK_THROWS_AS(evaluate(fp8, chip(), options), InputError);
  options.recipe = Recipe::block;
  CHECK_THROWS_WITH(evaluate(fp8, chip(), options), Contains("--precision fp8-block"));
  options.recipe = Recipe::current;
  CHECK_THROWS_WITH(evaluate(op_graph("gemm m=64 n=64 k=64 dtype=bf16"), chip(), options),
                    Contains("no operation computes in FP8"));
  CHECK_THROWS_WITH(parse_recipe("curent"), Contains("did you mean 'current'?"));
}

TEST_CASE("tensors of a folder are used, and wrong ones refused") {
  const LayerGraph graph = op_graph("gemm m=8 n=32 k=64 dtype=bf16");
  const ScratchFolder folder;
  EvaluationOptions options;
  const auto study = [&] {
    const TensorSource source(folder.path());
    options.tensors = &source;
    return evaluate(graph, chip(), options);
  };
  CHECK_THROWS_WITH(study(), Contains("holds no tensors"));
  folder.write("op.gemm.weight.npy", npy(32, 64, 0.5F));
  const Evaluation evaluation = study();
  CHECK(evaluation.summary.tensors == folder.path());
  // 0.5 is a BF16 number: nothing is lost.
  CHECK(evaluation.errors.front().front().quantisation.rel_rmse == 0);
  folder.write("op.gemm.weight.npy", npy(64, 32, 0.5F));
  CHECK_THROWS_WITH(study(), Contains("op.gemm.weight") && Contains("has shape [64, 32]") &&
                                 Contains("expected [32, 64]"));
  folder.write("op.gemm.weight.npy", "short");
  CHECK_THROWS_AS(study(), InputError);
  CHECK_THROWS_WITH(TensorSource(folder.path() + "/none"), Contains("cannot be read"));
}

TEST_CASE("the fused QKV of a checkpoint is found under its parts' names") {
  const LayerGraph graph = small_graph(Family::llama, Precision::bf16, 1);
  const ScratchFolder folder;
  const std::string prefix = "model.layers.0.self_attn.";
  folder.write(prefix + "q_proj.weight.npy", npy(128, 128, 0.25F));
  folder.write(prefix + "k_proj.weight.npy", npy(64, 128, 0.5F));
  folder.write(prefix + "v_proj.weight.npy", npy(64, 128, 1.0F));
  const TensorSource source(folder.path());
  EvaluationOptions options;
  options.tensors = &source;
  const Evaluation evaluation = evaluate(graph, chip(), options);
  CHECK(error_of(graph, evaluation, "attention.qkv").quantisation.rel_rmse == 0);
  CHECK(error_of(graph, evaluation, "mlp.down").quantisation.rel_rmse > 0);
  REQUIRE(evaluation.summary.notes.size() == 1);
  CHECK_THAT(evaluation.summary.notes.front(), Contains("weight matrices are synthetic"));
}

TEST_CASE("an exact study that nobody could wait for is refused") {
  EvaluationOptions options;
  options.exact = true;
  CHECK_THROWS_WITH(evaluate(op_graph("gemm m=65536 n=65536 k=65536 dtype=bf16"), chip(), options),
                    Contains("--exact"));
}

TEST_CASE("errors are put beside the cycles by name") {
  const LayerGraph graph = small_graph(Family::llama, Precision::bf16, 2);
  EvaluationOptions options;
  options.layers = 1;
  const Evaluation evaluation = evaluate(graph, chip(), options);
  RunResult run;
  for (const char* op : {"layer.mlp.down", "layer[1].mlp.down", "other"}) {
    run.ops.emplace_back();
    run.ops.back().name = op;
  }
  attach(graph, evaluation, run);
  CHECK(run.ops[0].error.studied);
  CHECK(run.ops[1].error.total.rel_rmse == run.ops[0].error.total.rel_rmse);
  CHECK_FALSE(run.ops[2].error.studied);
  CHECK(run.precision.studied);
  REQUIRE(run.precision.notes.size() == 1);
  CHECK_THAT(run.precision.notes.front(), Contains("extrapolated from 1"));
}
