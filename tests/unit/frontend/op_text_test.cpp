#include "sim/frontend/op_text.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <string>

#include "sim/base/error.h"

using namespace tessera;
using Catch::Matchers::Contains;

namespace {

std::string complaint(const std::string& text) {
  try {
    op_graph(text);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

const Op& op(const LayerGraph& graph) { return graph.blocks.front().ops.front(); }

const Tensor& input(const LayerGraph& graph, std::size_t i) {
  return graph.blocks.front().tensors[static_cast<std::size_t>(op(graph).inputs[i])];
}
const Tensor& output(const LayerGraph& graph) {
  return graph.blocks.front().tensors[static_cast<std::size_t>(op(graph).outputs.front())];
}

}  // namespace

TEST_CASE("a GEMM's operands are cold weights and warm activations") {
  const LayerGraph graph = op_graph("  gemm\tm=4096 n=2048  k=1024 dtype=fp8 ");
  CHECK(graph.workload == "gemm m=4096 n=2048 k=1024 dtype=fp8");
  REQUIRE(graph.blocks.size() == 1);
  CHECK(graph.blocks.front().repeat == 1);
  CHECK(op(graph).precision == Precision::fp8);
  CHECK_FALSE(op(graph).quantise_input);
  CHECK(input(graph, 0).rows == 4096);
  CHECK(input(graph, 0).cols == 1024);
  CHECK(input(graph, 0).format == Format::e4m3);
  CHECK(input(graph, 0).warm);
  CHECK(input(graph, 1).rows == 2048);
  CHECK(input(graph, 1).cols == 1024);
  CHECK_FALSE(input(graph, 1).warm);
  CHECK(input(graph, 1).kind == TensorKind::weight);
  CHECK(output(graph).format == Format::bf16);
  CHECK(output(graph).rows == 4096);
  CHECK(output(graph).cols == 2048);
  CHECK(graph.weight_bytes == Bytes(2048 * 1024));
}

TEST_CASE("a linear in fp8 takes bf16 and quantises it itself") {
  for (const char* dtype : {"fp8", "fp8+promote", "fp8-block"}) {
    const LayerGraph graph = op_graph(std::string("linear m=8 n=16 k=32 dtype=") + dtype);
    CHECK(name(op(graph).precision) == dtype);
    CHECK(op(graph).quantise_input);
    CHECK(input(graph, 0).format == Format::bf16);
    CHECK(input(graph, 1).format == Format::e4m3);
  }
  CHECK_FALSE(op(op_graph("linear m=8 n=16 k=32")).quantise_input);
}

TEST_CASE("attention reads warm queries and a cold cache in its own format") {
  const LayerGraph graph = op_graph(
      "attention batch=3 q_len=1 kv_len=500 heads=32 kv_heads=8 head_dim=128 causal=1 dtype=bf16 "
      "kv_dtype=fp8");
  CHECK(op(graph).kv_format == Format::e4m3);
  CHECK(input(graph, 0).rows == 3);
  CHECK(input(graph, 0).cols == 4096);
  CHECK(input(graph, 0).warm);
  CHECK(input(graph, 1).rows == 1500);
  CHECK(input(graph, 1).cols == 1024);
  CHECK(input(graph, 1).kind == TensorKind::kv_cache);
  CHECK_FALSE(input(graph, 1).warm);
  // fp8 attention: fp8 operands, bf16 result.
  const LayerGraph fp8 =
      op_graph("attention batch=1 q_len=64 kv_len=64 heads=1 kv_heads=1 head_dim=64 dtype=fp8");
  CHECK(input(fp8, 0).format == Format::e4m3);
  CHECK(input(fp8, 1).format == Format::e4m3);
  CHECK(output(fp8).format == Format::bf16);
}

TEST_CASE("every operation of the catalogue parses from its own fields") {
  REQUIRE(op_catalogue().size() == 17);
  for (const OpEntry& entry : op_catalogue()) {
    std::string text = entry.name;
    for (const std::string& field : entry.fields) text += " " + field + "=2";
    INFO(text);
    const LayerGraph graph = op_graph(text);
    CHECK(name(op(graph).kind) == entry.name);
    CHECK_FALSE(entry.sentence.empty());
    // Each field is needed.
    for (const std::string& left_out : entry.fields) {
      std::string less = entry.name;
      for (const std::string& field : entry.fields) {
        if (field != left_out) less += " " + field + "=2";
      }
      CHECK_THAT(complaint(less), Contains("missing: " + left_out));
    }
    // No value of one is taken on trust.
    for (const std::string& field : entry.fields) {
      for (const char* value : {"0", "-1", "99999999999999999999", "9223372036854775807", "1.5",
                                "1e3", "0x10", "+2", "two"}) {
        std::string wrong = entry.name;
        for (const std::string& each : entry.fields) {
          wrong += " " + each + "=" + (each == field ? value : "2");
        }
        INFO(wrong);
        CHECK_THAT(complaint(wrong), Contains("--op: " + field + ": "));
      }
    }
  }
}

TEST_CASE("shapes of elementwise operations") {
  CHECK(input(op_graph("silu_mul rows=8 cols=16"), 0).cols == 32);
  CHECK(output(op_graph("silu_mul rows=8 cols=16")).cols == 16);
  CHECK(op(op_graph("add rows=8 cols=16")).inputs.size() == 2);
  CHECK(output(op_graph("transpose rows=8 cols=16")).rows == 16);
  CHECK(output(op_graph("cast rows=8 cols=16 dtype=fp8")).format == Format::e4m3);
  CHECK(input(op_graph("cast rows=8 cols=16 dtype=bf16"), 0).format == Format::fp32);
  CHECK(input(op_graph("softmax rows=8 cols=16 dtype=fp32"), 0).format == Format::fp32);
}

TEST_CASE("wrong operations and fields are named, with the nearest right one") {
  CHECK_THAT(complaint("gem m=1 n=1 k=1"),
             Contains("--op: op: unknown operation 'gem'; did you mean 'gemm'?"));
  CHECK_THAT(complaint("gemm m=1 n=1 k=1 dtyp=bf16"), Contains("did you mean 'dtype'?"));
  CHECK_THAT(complaint("gemm m=1 n=1"), Contains("--op: gemm: a field is missing: k"));
  CHECK_THAT(complaint("gemm"), Contains("fields are missing: m, n, k"));
  CHECK_THAT(complaint("gemm m=1 m=2 n=1 k=1"), Contains("--op: m: is given more than once"));
  CHECK_THAT(complaint("gemm m=1 n=1 k=1 dtype=fp4"), Contains("'gemm' does not take 'fp4'"));
  CHECK_THAT(complaint("gemm m=1 n=1 k=1 dtype=fp8-block"), Contains("give one of"));
  CHECK_THAT(complaint("gemm m=1 n= k=1"), Contains("'n=' is not a field"));
  CHECK_THAT(complaint("gemm m=1 =3 k=1"), Contains("'=3' is not a field"));
  CHECK_THAT(complaint("gemm m 1"), Contains("'m' is not a field"));
  CHECK_THAT(complaint(""), Contains("--op: is empty"));
  CHECK_THAT(complaint("   "), Contains("--op: is empty"));
}

TEST_CASE("operations that make no sense are refused") {
  CHECK_THAT(
      complaint("attention batch=1 q_len=5 kv_len=4 heads=1 kv_heads=1 head_dim=64 causal=1"),
      Contains("5 causal queries have only 4 keys"));
  CHECK_THAT(complaint("attention batch=1 q_len=4 kv_len=4 heads=6 kv_heads=4 head_dim=64"),
             Contains("do not share 4 KV heads evenly"));
  CHECK_THAT(
      complaint("attention batch=1 q_len=4 kv_len=4 heads=4 kv_heads=4 head_dim=64 window=2"),
      Contains("add causal=1"));
  CHECK_THAT(
      complaint("attention batch=1 q_len=4 kv_len=4 heads=4 kv_heads=4 head_dim=64 causal=2"),
      Contains("causal: 2 is out of range"));
  CHECK_THAT(complaint("moe tokens=1 hidden=8 inter=8 topk=3 experts=2"),
             Contains("topk: 3 of 2 experts"));
  for (const char* ranks : {"0", "1", "65537"})
    CHECK(
        complaint(fmt::format("allreduce ranks={} bytes=8", ranks)) ==
        fmt::format("--op: ranks: {} is out of range; give a whole number from 2 to 65536", ranks));
  CHECK_THAT(complaint("allreduce ranks=two bytes=8"), Contains("from 2 to 65536"));
}

TEST_CASE("products beyond the bounds are refused before they overflow") {
  CHECK_THAT(complaint("gemm m=1073741824 n=1073741824 k=1"), Contains("more than"));
  CHECK_THAT(complaint("gemm m=1073741824 n=262144 k=1073741824"), Contains("2^62"));
  CHECK_THAT(complaint("softmax rows=4294967296 cols=1073741824"), Contains("2^48"));
  CHECK_THAT(complaint("attention batch=1048576 q_len=16777216 kv_len=134217728 heads=65536 "
                       "kv_heads=65536 head_dim=65536"),
             Contains("2^62"));
  CHECK_THAT(complaint("moe tokens=1073741824 hidden=1000000 inter=16000000 topk=65536 "
                       "experts=65536"),
             Contains("2^62"));
  CHECK_THAT(complaint("moe tokens=1 hidden=1000000 inter=16000000 topk=1 experts=65536"),
             Contains("2^48"));
}

TEST_CASE("a row of a table names its file and line in errors") {
  CHECK_THROWS_WITH(op_graph("gemm", {{"m", "4"}, {"n", "0"}, {"k", "4"}}, {"rows.csv", 12}),
                    Contains("rows.csv:12: n: 0 is out of range"));
}

TEST_CASE("any truncation or single wrong byte of an operation is accepted or refused") {
  const std::string text = "attention batch=2 q_len=8 kv_len=16 heads=4 kv_heads=2 head_dim=64";
  for (std::size_t i = 0; i < text.size(); ++i) {
    complaint(text.substr(0, i));
    for (int c = 0; c < 256; ++c) {
      std::string wrong = text;
      wrong[i] = static_cast<char>(c);
      complaint(wrong);
    }
  }
  CHECK(complaint(text).empty());
}
