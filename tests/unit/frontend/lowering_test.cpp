#include "sim/frontend/lowering.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <random>
#include <set>

#include "lowering_fixture.h"
#include "sim/base/error.h"

using namespace tessera;

namespace {

class Shapes {
 public:
  explicit Shapes(std::uint64_t seed) : random_(seed) {}
  std::int64_t one_of(const std::vector<std::int64_t>& values) {
    return values[random_() % values.size()];
  }
  std::string one_of(const std::vector<std::string>& values) {
    return values[random_() % values.size()];
  }
  std::int64_t size() {
    return one_of(std::vector<std::int64_t>{1,   2,   3,   7,   8,   13,   16,   17,  31,  33,
                                            64,  65,  96,  100, 127, 128,  129,  191, 200, 256,
                                            257, 300, 512, 777, 999, 1000, 1024, 1025});
  }

 private:
  std::mt19937_64 random_;
};

std::string matmul(Shapes& shapes, const std::vector<std::string>& dtypes) {
  const std::string dtype = shapes.one_of(dtypes);
  const bool linear = dtype.substr(0, 3) == "fp8";
  return fmt::format("{} m={} n={} k={} dtype={}", linear ? "linear" : "gemm", shapes.size(),
                     shapes.size(), shapes.size(), dtype);
}

std::string attention(Shapes& shapes, const std::vector<std::string>& dtypes) {
  const std::int64_t q = shapes.one_of(std::vector<std::int64_t>{1, 2, 7, 16, 64, 65, 129, 300});
  const std::int64_t past = shapes.one_of(std::vector<std::int64_t>{0, 1, 100, 777});
  const std::int64_t kv_heads = shapes.one_of(std::vector<std::int64_t>{1, 2, 3, 8});
  const std::int64_t group = shapes.one_of(std::vector<std::int64_t>{1, 2, 5, 8, 32});
  std::string op =
      fmt::format("attention batch={} q_len={} kv_len={} heads={} kv_heads={} head_dim={} dtype={}",
                  shapes.one_of(std::vector<std::int64_t>{1, 2, 5}), q, q + past, kv_heads * group,
                  kv_heads, shapes.one_of(std::vector<std::int64_t>{16, 40, 64, 80, 128, 192, 256}),
                  shapes.one_of(dtypes));
  if (shapes.one_of(std::vector<std::int64_t>{0, 1}) == 1) {
    op += fmt::format(" causal=1 window={}",
                      shapes.one_of(std::vector<std::int64_t>{0, 1, 50, 1000}));
  }
  return op;
}

std::string row_wise(Shapes& shapes) {
  return fmt::format(
      "{} rows={} cols={}",
      shapes.one_of(std::vector<std::string>{"softmax", "layernorm", "rmsnorm", "gelu", "silu_mul",
                                             "add", "cast", "transpose"}),
      shapes.size(), shapes.size() * shapes.one_of(std::vector<std::int64_t>{1, 17}));
}

std::string experts(Shapes& shapes, const std::vector<std::string>& dtypes) {
  const std::int64_t count = shapes.one_of(std::vector<std::int64_t>{1, 2, 7, 8, 64});
  return fmt::format(
      "moe tokens={} hidden={} inter={} topk={} experts={} gated={} dtype={}",
      shapes.one_of(std::vector<std::int64_t>{1, 2, 16, 100, 333}),
      shapes.one_of(std::vector<std::int64_t>{8, 100, 256}),
      shapes.one_of(std::vector<std::int64_t>{8, 77, 300}),
      std::min<std::int64_t>(count, shapes.one_of(std::vector<std::int64_t>{1, 2, 8})), count,
      shapes.one_of(std::vector<std::int64_t>{0, 1}), shapes.one_of(dtypes));
}

/// Blocks of one decoder layer with `batch` sequences of `q_len` new and `past` old tokens.
LayerGraph attention_layer(std::int64_t batch, std::int64_t q_len, std::int64_t past,
                           std::int64_t heads, std::int64_t kv_heads, std::int64_t head_dim,
                           bool with_rotary) {
  const std::int64_t tokens = batch * q_len;
  const std::int64_t hidden = heads * head_dim;
  const std::int64_t kv_cols = kv_heads * head_dim;
  const std::int64_t qkv_cols = hidden + 2 * kv_cols;
  GraphBlock block;
  block.name = "layer";
  const auto tensor = [&](const char* name, std::int64_t rows, std::int64_t cols, TensorKind kind) {
    Tensor t;
    t.name = name;
    t.rows = rows;
    t.cols = cols;
    t.kind = kind;
    block.tensors.push_back(t);
    return static_cast<TensorId>(block.tensors.size()) - 1;
  };
  const TensorId x = tensor("x", tokens, hidden, TensorKind::activation);
  block.tensors.back().warm = true;
  const TensorId w = tensor("w", qkv_cols, hidden, TensorKind::weight);
  const TensorId qkv = tensor("qkv", tokens, qkv_cols, TensorKind::activation);
  const TensorId k = tensor("k", batch * (q_len + past), kv_cols, TensorKind::kv_cache);
  const TensorId v = tensor("v", batch * (q_len + past), kv_cols, TensorKind::kv_cache);
  const TensorId o = tensor("o", tokens, hidden, TensorKind::activation);

  Op linear;
  linear.name = "qkv";
  linear.kind = OpKind::linear;
  linear.m = tokens;
  linear.n = qkv_cols;
  linear.k = hidden;
  linear.inputs = {x, w};
  linear.outputs = {qkv};
  if (!with_rotary) linear.outputs = {qkv, k, v};
  block.ops.push_back(linear);

  Op op;
  op.batch = batch;
  op.q_len = q_len;
  op.kv_len = q_len + past;
  op.heads = heads;
  op.kv_heads = kv_heads;
  op.head_dim = head_dim;
  if (with_rotary) {
    op.name = "rotary";
    op.kind = OpKind::rotary;
    op.rows = tokens;
    op.cols = qkv_cols;
    op.k = head_dim;
    op.inputs = {qkv};
    op.outputs = {qkv, k, v};
    block.ops.push_back(op);
  }
  op.name = "attention";
  op.kind = OpKind::attention;
  op.causal = true;
  op.inputs = {qkv, k, v};
  op.outputs = {o};
  block.ops.push_back(op);
  LayerGraph graph;
  graph.workload = "one attention layer";
  graph.blocks.push_back(block);
  return graph;
}

/// Multiply-adds of all contexts of a kernel's blocks cannot be counted from its text; the verifier
/// executes it, so a bound from the tiles does: grid loops cover `units`, each k step once.
std::int64_t code_size(const Trace& trace) {
  std::size_t longest = 0;
  for (const Section& section : trace.sections) {
    for (const Kernel& kernel : section.kernels) {
      std::size_t size = 0;
      for (const Role& role : kernel.roles) size += role.code.size();
      longest = std::max(longest, size);
    }
  }
  return static_cast<std::int64_t>(longest);
}

/// Load instructions of a kernel that bring scales.
std::int64_t scale_loads(const Section& section, const Kernel& kernel) {
  std::int64_t count = 0;
  for (const Load& load : instructions<Load>(kernel)) {
    count += section.tensors[load.tensor].name.find("scales") != std::string::npos ? 1 : 0;
  }
  return count;
}

}  // namespace

TEST_CASE("random shapes lower to sound traces of at most a hundred instructions a kernel") {
  const std::vector<std::string> wide = {"bf16", "fp16", "tf32", "fp8", "fp8+promote", "fp8-block"};
  const std::vector<std::string> narrow = {"bf16", "fp16"};
  for (const bool fp8 : {true, false}) {
    const ChipConfig chip = fp8 ? wide_chip() : plain_chip();
    Shapes shapes(fp8 ? 1 : 2);
    for (int i = 0; i < 400; ++i) {
      std::string op;
      switch (i % 4) {
        case 0:
          op = matmul(shapes, fp8 ? wide : narrow);
          break;
        case 1:
          op = attention(shapes, fp8 ? std::vector<std::string>{"bf16", "fp8"} : narrow);
          break;
        case 2:
          op = row_wise(shapes);
          break;
        default:
          op = experts(
              shapes,
              fp8 ? std::vector<std::string>{"bf16", "fp8", "fp8+promote", "fp8-block"} : narrow);
      }
      CAPTURE(chip.name, op);
      const Trace trace = lower_op_text(op, chip);
      CHECK(findings(trace, chip) == "");
      CHECK(code_size(trace) <= 100);
    }
  }
}

TEST_CASE("a layer's keys and values land in the cache, whoever appends them") {
  const ChipConfig chip = wide_chip();
  for (const bool rotary : {false, true}) {
    for (const auto& [batch, q_len, past] : {std::array<std::int64_t, 3>{1, 300, 0},
                                             {3, 1, 77},
                                             {3, 64, 0},
                                             {2, 100, 28},
                                             {5, 1, 0},
                                             {1, 1, 4096},
                                             {4, 6, 10}}) {
      for (const auto& [heads, kv_heads, head_dim] :
           {std::array<std::int64_t, 3>{25, 25, 64}, {8, 2, 128}, {7, 1, 80}}) {
        CAPTURE(rotary, batch, q_len, past, heads, kv_heads, head_dim);
        const Trace trace =
            lower(attention_layer(batch, q_len, past, heads, kv_heads, head_dim, rotary), chip);
        CHECK(findings(trace, chip) == "");
        CHECK(code_size(trace) <= 100);
      }
    }
  }
}

TEST_CASE("tensors get addresses of 8 KiB granularity that do not overlap") {
  const Trace trace = lower_op_text("linear m=100 n=300 k=500 dtype=fp8", wide_chip());
  const std::vector<Tensor>& tensors = trace.sections.at(0).tensors;
  REQUIRE(tensors.size() == 6);  // A, B, C, the quantised A, its scales and those of the weights
  std::int64_t end = 0;
  for (const Tensor& tensor : tensors) {
    CHECK(tensor.address % 8192 == 0);
    CHECK(tensor.address >= end);
    end = tensor.address + tensor.size().value;
  }
}

TEST_CASE("each operation has a record of its FLOPs and compulsory bytes") {
  const Trace trace = lower_op_text("gemm m=64 n=128 k=256 dtype=bf16", wide_chip());
  REQUIRE(trace.sections.size() == 1);
  REQUIRE(trace.sections[0].ops.size() == 1);
  const OpRecord& op = trace.sections[0].ops[0];
  CHECK(op.name == "gemm");
  CHECK(op.kind == "gemm");
  CHECK(op.precision == "bf16");
  CHECK(op.format == Format::bf16);
  CHECK(op.tensor_flops.value == 2 * 64 * 128 * 256);
  CHECK(op.vector_flops.value == 4 * 2 * 64 * 128);  // the epilogue's scale
  CHECK(op.compulsory_read.value == 128 * 256 * 2);  // B; A is warm
  CHECK(op.compulsory_write.value == 64 * 128 * 2);
  CHECK(trace.workload == "gemm m=64 n=128 k=256 dtype=bf16");
  CHECK(trace.chip == "wide");
}

TEST_CASE("a block of the graph becomes a section with its name and repetitions") {
  LayerGraph graph = op_graph("add rows=16 cols=64");
  graph.blocks.push_back(graph.blocks.front());
  graph.blocks.back().name = "layer";
  graph.blocks.back().repeat = 96;
  graph.blocks.push_back({});  // without operations: nothing to run
  LoweringOptions options;
  options.tool_version = "1.2.3";
  options.chip_digest = "abc";
  const Trace trace = lower(graph, wide_chip(), options);
  REQUIRE(trace.sections.size() == 2);
  CHECK(trace.sections[1].name == "layer");
  CHECK(trace.sections[1].repeat == 96);
  CHECK(trace.tool_version == "1.2.3");
  CHECK(trace.chip_digest == "abc");
}

TEST_CASE("early launch marks every kernel but a section's first") {
  LoweringOptions options;
  options.early_launch = true;
  const LayerGraph graph = op_graph("linear m=64 n=256 k=256 dtype=fp8");
  const Trace trace = lower(graph, wide_chip(), options);
  REQUIRE(trace.sections.at(0).kernels.size() == 2);
  CHECK_FALSE(trace.sections[0].kernels[0].early_launch);
  CHECK(trace.sections[0].kernels[1].early_launch);
  const Trace plain = lower(graph, wide_chip());
  CHECK_FALSE(plain.sections[0].kernels[1].early_launch);
}

TEST_CASE("fp8 layers quantise their activation first, fp8 GEMMs do not") {
  const ChipConfig chip = wide_chip();
  CHECK(kernel_names(lower_op_text("linear m=4096 n=4096 k=4096 dtype=fp8", chip).sections[0]) ==
        std::vector<std::string>{"linear.quantise", "linear"});
  CHECK(kernel_names(lower_op_text("gemm m=4096 n=4096 k=4096 dtype=fp8", chip).sections[0]) ==
        std::vector<std::string>{"gemm"});
}

TEST_CASE(
    "activations with a scale for each 128 elements are quantised by groups, others by rows") {
  const auto quantised = [](const std::string& dtype) {
    const Trace trace = lower_op_text("linear m=4096 n=4096 k=4096 dtype=" + dtype, wide_chip());
    std::set<VectorFunction> functions;
    for (const Vector& vector : instructions<Vector>(trace.sections[0].kernels.at(0))) {
      functions.insert(vector.function);
    }
    return functions;
  };
  using Functions = std::set<VectorFunction>;
  CHECK(quantised("fp8") == Functions{VectorFunction::amax, VectorFunction::quantise});
  CHECK(quantised("fp8-block") == Functions{VectorFunction::amax, VectorFunction::quantise_groups});
  CHECK(vector_cost(VectorFunction::quantise_groups).fma >
        vector_cost(VectorFunction::quantise).fma);
}

TEST_CASE(
    "block-scaled fp8 promotes its partial sums every 128 k, with scales of rows and blocks") {
  const Trace trace = lower_op_text("linear m=4096 n=4096 k=4096 dtype=fp8-block", wide_chip());
  const Kernel& gemm = trace.sections[0].kernels.at(1);
  const std::vector<Mma> products = instructions<Mma>(gemm);
  REQUIRE_FALSE(products.empty());
  CHECK(products[0].format == Format::e4m3);
  CHECK(products[0].k == 128);
  std::int64_t promoted = 0;
  for (const Vector& vector : instructions<Vector>(gemm)) {
    if (vector.function == VectorFunction::promote) promoted += vector.elements;
  }
  CHECK(promoted == static_cast<std::int64_t>(products.size()) * products[0].m * products[0].n);
  // A's with each stage, B's by the consumers.
  CHECK(scale_loads(trace.sections[0], gemm) == 2);
  CHECK(findings(trace, wide_chip()) == "");
}

TEST_CASE("block-scaled fp8 multiplies and promotes 64 rows at a time, after two reads of scales") {
  ChipConfig chip = wide_chip();
  chip.scratchpad.latency_cycles = 29;
  const Trace trace = lower_op_text("linear m=4096 n=4096 k=4096 dtype=fp8-block", chip);
  const Role& consumer = trace.sections[0].kernels.at(1).roles.back();
  // Two consumers share 256 rows: two instructions a step, each behind its own scales.
  int products = 0;
  for (std::size_t i = 0; i < consumer.code.size(); ++i) {
    const auto* mma = std::get_if<Mma>(&consumer.code[i]);
    if (mma == nullptr) continue;
    ++products;
    CHECK(mma->m == 64);
    CHECK(std::get<Setup>(consumer.code.at(i - 1)).cycles == 2 * 29);
    CHECK(std::get<MmaWait>(consumer.code.at(i + 1)).pending == 0);
    // The stage is released behind the last of them.
    const std::size_t promotion = products == 2 ? i + 3 : i + 2;
    const auto& promote = std::get<Vector>(consumer.code.at(promotion));
    CHECK(promote.function == VectorFunction::promote);
    CHECK(promote.elements == 64 * 128);
  }
  CHECK(products == 2);
}

TEST_CASE("block-scaled fp8 fetches a tile's scales of B, of all its k, in front of its products") {
  const auto check = [](const std::string& text, std::int64_t tile_n, std::int64_t rows,
                        std::int64_t blocks) {
    CAPTURE(text);
    const Trace trace = lower_op_text(text, wide_chip());
    CHECK(findings(trace, wide_chip()) == "");
    const Section& section = trace.sections[0];
    const std::vector<Instruction>& code = section.kernels.at(1).roles.back().code;
    const auto load = std::find_if(code.begin(), code.end(), [](const Instruction& i) {
      return std::holds_alternative<Load>(i);
    });
    REQUIRE(load != code.end());
    const auto& scales = std::get<Load>(*load);
    CHECK(section.tensors[scales.tensor].name == "linear.weight_scales");
    CHECK(section.tensors[scales.tensor].kind == TensorKind::weight);
    CHECK_FALSE(section.tensors[scales.tensor].warm);
    CHECK(scales.rows == rows);
    CHECK(scales.cols == blocks);
    CHECK(section.tensors[scales.tensor].cols == blocks);
    CHECK(std::get<Expect>(*(load - 1)).bytes == 4 * rows * blocks);
    CHECK(std::get<Wait>(*(load + 1)).barrier == std::get<Expect>(*(load - 1)).barrier);
    const auto first = std::find_if(code.begin(), code.end(), [](const Instruction& i) {
      return std::holds_alternative<Mma>(i);
    });
    CHECK(load < first);
    CHECK(std::get<Mma>(*first).n == tile_n);
  };
  // A width that divides 128 lies in one block; another can begin anywhere in one.
  check("linear m=4096 n=4096 k=4096 dtype=fp8-block", 128, 1, 32);
  check("linear m=64 n=4096 k=500 dtype=fp8-block", 32, 1, 4);
  check("linear m=256 n=3584 k=4096 dtype=fp8-block", 112, 2, 32);
  check("linear m=4096 n=2112 k=4096 dtype=fp8-block", 192, 3, 32);
  // No more than there are: ceil(100 / 128).
  check("linear m=8448 n=96 k=4096 dtype=fp8-block", 96, 1, 32);
}

TEST_CASE("a layer's weights in fp8 have a scale for each column, cold in memory") {
  const Trace trace = lower_op_text("linear m=4096 n=2048 k=1024 dtype=fp8", wide_chip());
  const std::vector<Tensor>& tensors = trace.sections[0].tensors;
  const auto scales = std::find_if(tensors.begin(), tensors.end(), [](const Tensor& t) {
    return t.name == "linear.weight_scales";
  });
  REQUIRE(scales != tensors.end());
  CHECK(scales->format == Format::fp32);
  CHECK(scales->kind == TensorKind::weight);
  CHECK_FALSE(scales->warm);
  CHECK(scales->rows == 1);
  CHECK(scales->cols == 2048);
  // Each consumer of the ping-pong kernel loads the columns' and the rows'.
  CHECK(scale_loads(trace.sections[0], trace.sections[0].kernels.at(1)) == 2 * 2);
}

TEST_CASE("fp8 promotes its partial sums where asked to, without loading scales for blocks") {
  const Trace fast = lower_op_text("gemm m=4096 n=4096 k=4096 dtype=fp8", wide_chip());
  const Trace promoted = lower_op_text("gemm m=4096 n=4096 k=4096 dtype=fp8+promote", wide_chip());
  const auto promotions = [](const Trace& trace) {
    std::int64_t elements = 0;
    for (const Vector& vector : instructions<Vector>(trace.sections[0].kernels.at(0))) {
      if (vector.function == VectorFunction::promote) elements += vector.elements;
    }
    return elements;
  };
  CHECK(promotions(fast) == 0);
  const Kernel& gemm = promoted.sections[0].kernels.at(0);
  const std::vector<Mma> products = instructions<Mma>(gemm);
  CHECK(promotions(promoted) ==
        static_cast<std::int64_t>(products.size()) * products.at(0).m * products[0].n);
  CHECK(scale_loads(promoted.sections[0], gemm) == 0);
  CHECK(promoted.sections[0].ops[0].precision == "fp8+promote");
}

TEST_CASE("a collective is one block with one exchange") {
  const Trace trace = lower_op_text("allgather ranks=8 bytes=1048576", wide_chip());
  const Kernel& kernel = trace.sections[0].kernels.at(0);
  CHECK(kernel.grid == 1);
  const std::vector<Collective> exchanges = instructions<Collective>(kernel);
  REQUIRE(exchanges.size() == 1);
  CHECK(exchanges[0].kind == CollectiveKind::allgather);
  CHECK(exchanges[0].ranks == 8);
  CHECK(exchanges[0].bytes == 1048576);
}

TEST_CASE("lowering the same graph twice gives the same trace") {
  const std::string op = "attention batch=3 q_len=77 kv_len=300 heads=6 kv_heads=3 head_dim=80";
  CHECK(to_text(lower_op_text(op, wide_chip())) == to_text(lower_op_text(op, wide_chip())));
}

TEST_CASE("the size of a GEMM does not show in the size of its trace") {
  const auto small = code_size(lower_op_text("gemm m=1024 n=1024 k=1024", wide_chip()));
  const auto large = code_size(lower_op_text("gemm m=131072 n=65536 k=65536", wide_chip()));
  CHECK(small <= 50);
  CHECK(large <= 50);
}

TEST_CASE("what a chip cannot do is an error that names the operation") {
  const auto message = [](const LayerGraph& graph, const ChipConfig& chip) {
    try {
      lower(graph, chip);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  CHECK_THAT(message(op_graph("gemm m=8 n=8 k=8 dtype=fp8"), plain_chip()),
             Catch::Contains("gemm: plain has no tensor-core rate for e4m3"));
  ChipConfig tiny = wide_chip();
  tiny.scratchpad.size_kib = 8;
  CHECK_THAT(message(op_graph("gemm m=512 n=512 k=512"), tiny),
             Catch::Contains("no GEMM tile of bf16 fits a core of wide"));
  CHECK_THAT(message(op_graph("attention batch=1 q_len=64 kv_len=64 heads=1 kv_heads=1 "
                              "head_dim=2048"),
                     wide_chip()),
             Catch::Contains("heads of 2048 elements"));
  LayerGraph broken = op_graph("gemm m=8 n=8 k=8");
  broken.blocks[0].ops[0].inputs.pop_back();
  CHECK_THAT(message(broken, wide_chip()), Catch::Contains("operation gemm has no input 1"));
  broken.blocks[0].ops[0].inputs = {0, 99};
  CHECK_THAT(message(broken, wide_chip()), Catch::Contains("tensor 99 does not exist"));
}
