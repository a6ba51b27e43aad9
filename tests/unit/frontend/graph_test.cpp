#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "sim/base/error.h"
#include "sim/frontend/graph_builder.h"
#include "sim/frontend/workload.h"

using namespace tessera;
using Catch::Matchers::Contains;

namespace {

const std::vector<std::string> models = {std::string(TESSERA_SOURCE_DIR) + "/models"};

WorkloadOptions prefill(std::int64_t batch, std::int64_t seq, std::int64_t past = 0) {
  WorkloadOptions options;
  options.batch = batch;
  options.seq = seq;
  options.past = past;
  return options;
}

WorkloadOptions decode(std::int64_t batch, std::int64_t past) {
  WorkloadOptions options = prefill(batch, 1, past);
  options.phase = Phase::decode;
  return options;
}

LayerGraph graph_of(const std::string& model, const WorkloadOptions& options) {
  return build_workload(model, models, options);
}

const GraphBlock& block(const LayerGraph& graph, const std::string& name) {
  for (const GraphBlock& each : graph.blocks) {
    if (each.name == name) return each;
  }
  throw std::runtime_error("no block " + name);
}

const Op* find(const GraphBlock& in, const std::string& name) {
  for (const Op& op : in.ops) {
    if (op.name == name) return &op;
  }
  return nullptr;
}

const Op& op(const LayerGraph& graph, const std::string& name) {
  for (const GraphBlock& each : graph.blocks) {
    if (const Op* found = find(each, name)) return *found;
  }
  throw std::runtime_error("no op " + name);
}

std::vector<std::string> op_names(const GraphBlock& in) {
  std::vector<std::string> names;
  for (const Op& each : in.ops) names.push_back(each.name);
  return names;
}

const Tensor& tensor(const GraphBlock& in, TensorId id) {
  return in.tensors.at(static_cast<std::size_t>(id));
}

Flops total(const LayerGraph& graph, bool attention) {
  Flops flops;
  for (const GraphBlock& each : graph.blocks) {
    for (const Op& op : each.ops) {
      if ((op.kind == OpKind::attention) == attention) flops += op.tensor_flops() * each.repeat;
    }
  }
  return flops;
}

}  // namespace

TEST_CASE("GPT-3 175B's linears do 2 FLOPs per weight and token, its attention 4 per pair") {
  const std::int64_t L = 96, d = 12288, V = 50257, kv = 1001;
  const LayerGraph graph = graph_of("gpt3-175b", decode(1, kv - 1));
  CHECK(graph.parameters == 174'604'259'328);
  CHECK(total(graph, false) == Flops(2 * (12 * L * d * d + V * d)));
  CHECK(total(graph, true) == Flops(L * 4 * d * kv));
  // 2 N per token, but for positions, biases and norms, which multiply nothing.
  const double ratio = static_cast<double>(total(graph, false).value) /
                       (2.0 * static_cast<double>(graph.parameters));
  CHECK(ratio > 0.999);
  CHECK(ratio < 1.0);

  // Prefill: every token through the layers, the last of each sequence through the head.
  const LayerGraph full = graph_of("gpt3-175b", prefill(2, 512));
  CHECK(total(full, false) == Flops(2 * (2 * 512 * 12 * L * d * d + 2 * V * d)));
  CHECK(total(full, true) == Flops(L * 4 * d * 2 * (512 * 513 / 2)));
}

TEST_CASE("Llama 3.1 8B and Mixtral do the FLOPs their active weights imply") {
  const std::int64_t d = 4096, inter = 14336, kv = 1024;
  CHECK(total(graph_of("llama-3.1-8b", decode(1, 0)), false) ==
        Flops(2 * (32 * (2 * d * d + 2 * d * kv + 3 * d * inter) + 128256 * d)));
  // Two of eight experts and the router.
  CHECK(total(graph_of("mixtral-8x7b", decode(1, 0)), false) ==
        Flops(2 * (32 * (2 * d * d + 2 * d * kv + 2 * 3 * d * inter + 8 * d) + 32000 * d)));
}

TEST_CASE("a whole model is embedding, layers and head, --layers N is N layers alone") {
  const LayerGraph whole = graph_of("llama-3.1-8b", prefill(1, 128));
  REQUIRE(whole.blocks.size() == 3);
  CHECK(whole.blocks[0].name == "embedding");
  CHECK(whole.blocks[1].name == "layer");
  CHECK(whole.blocks[1].repeat == 32);
  CHECK(whole.blocks[2].name == "head");
  CHECK(whole.workload ==
        "--model llama-3.1-8b --phase prefill --batch 1 --seq 128 --precision bf16");

  WorkloadOptions options = prefill(1, 128);
  options.layers = 2;
  const LayerGraph two = graph_of("llama-3.1-8b", options);
  REQUIRE(two.blocks.size() == 1);
  CHECK(two.blocks[0].repeat == 2);
  CHECK(two.parameters == 8'030'261'248);
  // 218,112,000 parameters a layer.
  CHECK(two.weight_bytes == Bytes(2 * 2 * 218'112'000));
  options.layers = 33;
  CHECK_THROWS_WITH(graph_of("llama-3.1-8b", options), Contains("--layers: 33 is out of range"));
}

TEST_CASE("in bf16 a whole model's weights are two bytes a parameter") {
  for (const std::string& name : model_names(models)) {
    INFO(name);
    const LayerGraph graph = graph_of(name, prefill(1, 16));
    CHECK(graph.weight_bytes == Bytes(2 * graph.parameters));
  }
}

TEST_CASE("the operations of a Llama layer, in order, with their shapes") {
  const LayerGraph graph = graph_of("llama-3.1-8b", prefill(2, 128, 64));
  const GraphBlock& layer = block(graph, "layer");
  CHECK(op_names(layer) == std::vector<std::string>{"attention.norm", "attention.qkv",
                                                    "attention.rotary", "attention.core",
                                                    "attention.output", "mlp.norm", "mlp.gate_up",
                                                    "mlp.activation", "mlp.down"});
  const Op& qkv = op(graph, "attention.qkv");
  CHECK(qkv.m == 256);
  CHECK(qkv.n == (32 + 2 * 8) * 128);
  CHECK(qkv.k == 4096);
  CHECK_FALSE(qkv.epilogue.bias);

  const Op& attention = op(graph, "attention.core");
  CHECK(attention.batch == 2);
  CHECK(attention.q_len == 128);
  CHECK(attention.kv_len == 192);
  CHECK(attention.heads == 32);
  CHECK(attention.kv_heads == 8);
  CHECK(attention.head_dim == 128);
  CHECK(attention.causal);
  REQUIRE(attention.inputs.size() == 3);
  CHECK(attention.inputs[0] == qkv.outputs.front());
  CHECK(tensor(layer, attention.inputs[1]).rows == 2 * 192);
  CHECK(tensor(layer, attention.inputs[1]).cols == 8 * 128);
  CHECK(tensor(layer, attention.inputs[1]).kind == TensorKind::kv_cache);
  // The 64 tokens of each sequence that were there before come from memory.
  CHECK(compulsory_read(layer, attention) == Bytes(2 * 2 * 64 * 8 * 128 * 2));
  CHECK(attention.tensor_flops() == Flops(4 * 2 * 32 * 128 * (128 * 64 + 128 * 129 / 2)));

  const Op& rotary = op(graph, "attention.rotary");
  CHECK(rotary.outputs ==
        std::vector<TensorId>{attention.inputs[0], attention.inputs[1], attention.inputs[2]});
  CHECK(rotary.k == 128);
  CHECK(compulsory_read(layer, rotary) == Bytes(0));
  CHECK(compulsory_write(layer, rotary) == Bytes(256 * (32 + 16) * 128 * 2));

  const Op& output = op(graph, "attention.output");
  CHECK(output.epilogue.residual);
  CHECK(tensor(layer, output.inputs.back()).name == "x");
  CHECK(tensor(layer, output.inputs.back()).warm);
  CHECK(op(graph, "mlp.gate_up").n == 2 * 14336);
  CHECK(op(graph, "mlp.activation").cols == 14336);
  const Op& down = op(graph, "mlp.down");
  CHECK(down.k == 14336);
  CHECK(down.inputs.back() == output.outputs.front());
}

TEST_CASE("where positions are learned the QKV projection fills the cache itself") {
  const LayerGraph graph = graph_of("gpt3-175b", decode(4, 100));
  const GraphBlock& layer = block(graph, "layer");
  CHECK(op_names(layer) == std::vector<std::string>{"attention.norm", "attention.qkv",
                                                    "attention.core", "attention.output",
                                                    "mlp.norm", "mlp.up", "mlp.down"});
  const Op& qkv = op(graph, "attention.qkv");
  const Op& attention = op(graph, "attention.core");
  CHECK(qkv.epilogue.bias);
  REQUIRE(qkv.outputs.size() == 3);
  CHECK(qkv.outputs[1] == attention.inputs[1]);
  CHECK(compulsory_write(layer, qkv) == Bytes(4 * 3 * 12288 * 2));
  CHECK(compulsory_read(layer, qkv) == Bytes(3 * std::int64_t{12288} * 12288 * 2));
  CHECK(compulsory_read(layer, attention) == Bytes(2 * 4 * 100 * 12288 * 2));
  CHECK(op(graph, "mlp.up").epilogue.activation == Activation::gelu);
  CHECK(op(graph, "mlp.down").epilogue.residual);
}

TEST_CASE("the head sees the last token of each sequence, all of them in decode") {
  CHECK(op(graph_of("llama-3.1-8b", prefill(3, 128)), "head.lm").m == 3);
  CHECK(op(graph_of("llama-3.1-8b", prefill(3, 128)), "head.norm").rows == 3 * 128);
  CHECK(op(graph_of("llama-3.1-8b", decode(3, 10)), "head.lm").m == 3);
  const LayerGraph bert = graph_of("bert-large", prefill(3, 128));
  CHECK(op(bert, "head.pooler").m == 3);
  CHECK(find(block(bert, "head"), "head.lm") == nullptr);
}

TEST_CASE("BERT attends both ways without a cache, with its norms behind the residuals") {
  const LayerGraph graph = graph_of("bert-large", prefill(2, 128));
  CHECK(op_names(block(graph, "layer")) ==
        std::vector<std::string>{"attention.qkv", "attention.core", "attention.output",
                                 "attention.norm", "mlp.up", "mlp.down", "mlp.norm"});
  const Op& attention = op(graph, "attention.core");
  CHECK_FALSE(attention.causal);
  CHECK(compulsory_read(block(graph, "layer"), attention) == Bytes(0));
  CHECK(graph.kv_cache_bytes == Bytes(0));
  CHECK(attention.tensor_flops() == Flops(4 * 2 * 16 * 64 * 128 * 128));
  CHECK(op_names(block(graph, "embedding")).back() == "embedding.norm");
  CHECK_THROWS_WITH(graph_of("bert-large", decode(1, 0)), Contains("--phase"));
  CHECK_THROWS_WITH(graph_of("bert-large", prefill(1, 8, 8)), Contains("--past"));
}

TEST_CASE("parallel residual: both sublayers read the input, one norm for Phi, two for NeoX") {
  const LayerGraph phi = graph_of("phi-2", prefill(1, 64));
  const GraphBlock& layer = block(phi, "layer");
  CHECK(find(layer, "mlp.norm") == nullptr);
  CHECK(op(phi, "mlp.up").inputs.front() == op(phi, "attention.qkv").inputs.front());
  CHECK(op(phi, "mlp.down").inputs.back() == op(phi, "attention.output").outputs.front());
  CHECK(op(phi, "attention.rotary").k == 32);

  const LayerGraph neox = graph_of("gpt-neox-20b", prefill(1, 64));
  CHECK(op(neox, "mlp.norm").inputs == op(neox, "attention.norm").inputs);
}

TEST_CASE("Mixtral routes, Qwen3 normalises heads, Gemma 2 has its norms on both sides") {
  const LayerGraph mixtral = graph_of("mixtral-8x7b", decode(1, 10));
  const GraphBlock& layer = block(mixtral, "layer");
  CHECK(op(mixtral, "moe.router").n == 8);
  const Op& experts = op(mixtral, "moe.experts");
  CHECK(experts.epilogue.residual);
  CHECK(tensor(layer, experts.inputs[1]).rows == 8 * 2 * 14336);
  CHECK(compulsory_read(layer, experts) == Bytes(2 * 3 * std::int64_t{4096} * 14336 * 2));

  const LayerGraph qwen3 = graph_of("qwen3-8b", prefill(1, 64));
  const Op& qk_norm = op(qwen3, "attention.qk_norm");
  CHECK(qk_norm.cols == (32 + 8) * 128);
  CHECK(qk_norm.inputs == qk_norm.outputs);
  CHECK(compulsory_write(block(qwen3, "layer"), qk_norm) == Bytes(64 * 40 * 128 * 2));

  const LayerGraph gemma2 = graph_of("gemma-2-9b", prefill(1, 64));
  CHECK(op_names(block(gemma2, "layer")) ==
        std::vector<std::string>{"attention.norm", "attention.qkv", "attention.rotary",
                                 "attention.core", "attention.output", "attention.post_norm",
                                 "attention.residual", "mlp.norm", "mlp.gate_up", "mlp.activation",
                                 "mlp.down", "mlp.post_norm", "mlp.residual"});
  CHECK_FALSE(op(gemma2, "mlp.down").epilogue.residual);
}

TEST_CASE("sliding layers are apart only when the context is longer than the window") {
  const LayerGraph short_one = graph_of("gemma-2-9b", decode(1, 4095));
  CHECK(short_one.blocks.size() == 3);
  CHECK(op(short_one, "attention.core").window == 0);

  const LayerGraph long_one = graph_of("gemma-2-9b", decode(1, 4096));
  REQUIRE(long_one.blocks.size() == 4);
  CHECK(block(long_one, "layer.sliding").repeat == 21);
  CHECK(block(long_one, "layer.full").repeat == 21);
  const Op* sliding = find(block(long_one, "layer.sliding"), "attention.core");
  const Op* full = find(block(long_one, "layer.full"), "attention.core");
  CHECK(sliding->tensor_flops() == Flops(4 * 16 * 256 * 4096));
  CHECK(full->tensor_flops() == Flops(4 * 16 * 256 * 4097));
  // One of the 4096 tokens in the window is new.
  CHECK(compulsory_read(block(long_one, "layer.sliding"), *sliding) ==
        Bytes(2 * 4095 * 8 * 256 * 2));

  const LayerGraph mistral = graph_of("mistral-7b", prefill(1, 8192));
  CHECK(mistral.blocks.size() == 3);
  CHECK(op(mistral, "attention.core").window == 4096);
  CHECK(op(mistral, "attention.core").tensor_flops() ==
        Flops(4 * std::int64_t{32} * 128 *
              (4096 * std::int64_t{4097} / 2 + 4096 * std::int64_t{4096})));
}

TEST_CASE("fp8 applies to the layers' linears and experts and nothing else") {
  WorkloadOptions options = prefill(1, 64);
  for (const Precision precision : {Precision::fp8, Precision::fp8_block}) {
    options.precision = precision;
    for (const char* model : {"llama-3.1-8b", "mixtral-8x7b"}) {
      const LayerGraph graph = graph_of(model, options);
      for (const GraphBlock& each : graph.blocks) {
        for (const Op& op : each.ops) {
          INFO(op.name);
          const bool narrow =
              each.name == "layer" && (op.kind == OpKind::linear || op.kind == OpKind::moe);
          CHECK(op.precision == (narrow ? precision : Precision::bf16));
          CHECK(op.quantise_input == narrow);
        }
        for (const Tensor& t : each.tensors) {
          INFO(t.name);
          if (t.kind != TensorKind::weight) CHECK(t.format == Format::bf16);
        }
      }
    }
  }
  options.precision = Precision::fp8;
  const LayerGraph graph = graph_of("llama-3.1-8b", options);
  const std::int64_t linears = 32 * (218'112'000 - 2 * std::int64_t{4096});
  CHECK(graph.weight_bytes == Bytes(2 * graph.parameters - linears));
  options.precision = Precision::fp16;
  CHECK(op(graph_of("llama-3.1-8b", options), "attention.core").kv_format == Format::fp16);
  options.precision = Precision::tf32;
  CHECK_THROWS_WITH(graph_of("llama-3.1-8b", options), Contains("--precision"));
}

TEST_CASE("the KV cache and the activations alive at once are counted") {
  const LayerGraph graph = graph_of("llama-3.1-8b", decode(16, 1023));
  CHECK(graph.kv_cache_bytes == Bytes(std::int64_t{32} * 2 * 16 * 1024 * 8 * 128 * 2));
  // Largest at the activation: gate_up [16, 28672], its result [16, 14336] and the residual; the
  // logits [16, 128256] with their input are larger.
  CHECK(graph.activation_bytes == Bytes(16 * (128256 + 4096) * 2));
  WorkloadOptions options = decode(16, 1023);
  options.layers = 1;
  CHECK(graph_of("llama-3.1-8b", options).activation_bytes ==
        Bytes(16 * (28672 + 14336 + 4096) * 2));
}

TEST_CASE("tensor parallelism divides the work and adds allreduces before the residual") {
  WorkloadOptions options = prefill(1, 128);
  options.tp = 8;
  const LayerGraph graph = graph_of("llama-3.1-70b", options);
  CHECK(op_names(block(graph, "layer")) ==
        std::vector<std::string>{"attention.norm", "attention.qkv", "attention.rotary",
                                 "attention.core", "attention.output", "attention.allreduce",
                                 "attention.residual", "mlp.norm", "mlp.gate_up", "mlp.activation",
                                 "mlp.down", "mlp.allreduce", "mlp.residual"});
  CHECK(op(graph, "attention.qkv").n == (8 + 2) * 128);
  CHECK(op(graph, "attention.core").kv_heads == 1);
  CHECK(op(graph, "attention.output").k == 8 * 128);
  CHECK_FALSE(op(graph, "attention.output").epilogue.residual);
  CHECK(op(graph, "mlp.down").k == 28672 / 8);
  CHECK(op(graph, "mlp.allreduce").ranks == 8);
  CHECK(op(graph, "mlp.allreduce").bytes == 128 * 8192 * 2);
  CHECK(op(graph, "head.lm").n == 128256 / 8);

  // Linears divide exactly; FLOPs per chip are an eighth.
  options.tp = 1;
  const LayerGraph one = graph_of("llama-3.1-70b", options);
  CHECK(total(graph, false) * 8 == total(one, false));
  CHECK(total(graph, true) * 8 == total(one, true));

  options.tp = 16;
  CHECK(op(graph_of("llama-3.1-70b", options), "attention.core").kv_heads == 1);
  options.tp = 3;
  CHECK_THROWS_WITH(graph_of("llama-3.1-70b", options),
                    Contains("--tp: 3 does not divide the 64 attention heads"));
  options.tp = 5;  // divides gpt2-xl's 25 heads and 6400 columns; its vocabulary is rounded up
  CHECK(op(graph_of("gpt2-xl", options), "head.lm").n == 10052);
}

TEST_CASE("options out of range are refused by name") {
  CHECK_THROWS_WITH(graph_of("phi-2", prefill(0, 1)), Contains("--batch: 0 is out of range"));
  CHECK_THROWS_WITH(graph_of("phi-2", prefill(-1, 1)), Contains("--batch"));
  CHECK_THROWS_WITH(graph_of("phi-2", prefill(1, 0)), Contains("--seq"));
  CHECK_THROWS_WITH(graph_of("phi-2", prefill(1, 1, -1)), Contains("--past"));
  CHECK_THROWS_WITH(graph_of("phi-2", prefill(INT64_MAX, 1)), Contains("--batch"));
  CHECK_THROWS_WITH(graph_of("phi-2", prefill(1, INT64_MAX)), Contains("--seq"));
  CHECK_THROWS_WITH(graph_of("phi-2", prefill(1, 1, INT64_MAX)), Contains("--past"));
  WorkloadOptions options = decode(1, 1);
  options.seq = 2;
  CHECK_THROWS_WITH(graph_of("phi-2", options), Contains("--seq: 2 new tokens in decode"));
  options = prefill(1, 1);
  options.tp = 0;
  CHECK_THROWS_WITH(graph_of("phi-2", options), Contains("--tp"));
  // In range each, too large together.
  CHECK_THROWS_AS(graph_of("gpt3-175b", prefill(1 << 20, 1 << 24)), InputError);
  CHECK_THROWS_AS(graph_of("gpt3-175b", decode(1 << 20, 1 << 27)), InputError);
  CHECK_THROWS_AS(graph_of("gpt3-175b", prefill(1 << 10, 1 << 14)), InputError);
}

TEST_CASE("phases are read by name") {
  CHECK(parse_phase("prefill") == Phase::prefill);
  CHECK(parse_phase("decode") == Phase::decode);
  CHECK_THROWS_WITH(parse_phase("prefil"), Contains("did you mean 'prefill'?"));
}

TEST_CASE("every tensor of every graph has a shape, and every operation's operands exist") {
  for (const std::string& name : model_names(models)) {
    const LayerGraph graph = graph_of(name, prefill(2, 32));
    for (const GraphBlock& each : graph.blocks) {
      INFO(name << " " << each.name);
      for (const Tensor& t : each.tensors) {
        REQUIRE(t.rows > 0);
        REQUIRE(t.cols > 0);
      }
      for (const Op& op : each.ops) {
        INFO(op.name);
        REQUIRE_FALSE(op.inputs.empty());
        REQUIRE_FALSE(op.outputs.empty());
        for (const TensorId id : op.inputs) {
          REQUIRE(id >= 0);
          REQUIRE(static_cast<std::size_t>(id) < each.tensors.size());
        }
        if (op.kind == OpKind::linear) {
          REQUIRE(tensor(each, op.inputs[0]).rows == op.m);
          REQUIRE(tensor(each, op.inputs[0]).cols == op.k);
          REQUIRE(tensor(each, op.inputs[1]).rows == op.n);
          REQUIRE(tensor(each, op.inputs[1]).cols == op.k);
          REQUIRE(tensor(each, op.outputs[0]).rows == op.m);
          REQUIRE(tensor(each, op.outputs[0]).cols == op.n);
          if (op.epilogue.residual) {
            REQUIRE(tensor(each, op.inputs.back()).rows == op.m);
            REQUIRE(tensor(each, op.inputs.back()).cols == op.n);
          }
        }
      }
    }
  }
}
