#include "sim/frontend/layer_graph.h"

#include <catch2/catch.hpp>

#include "sim/base/error.h"
#include "sim/frontend/op_text.h"

using namespace tessera;
using Catch::Matchers::Contains;

namespace {

const GraphBlock& block(const LayerGraph& graph) { return graph.blocks.front(); }
const Op& op(const LayerGraph& graph) { return graph.blocks.front().ops.front(); }

std::int64_t pairs_by_counting(std::int64_t q, std::int64_t kv, std::int64_t window) {
  std::int64_t pairs = 0;
  for (std::int64_t i = 0; i < q; ++i) {
    const std::int64_t position = kv - q + i;
    for (std::int64_t j = 0; j <= position; ++j) {
      if (window == 0 || j > position - window) ++pairs;
    }
  }
  return pairs;
}

}  // namespace

TEST_CASE("attention pairs equal those a loop over the mask counts") {
  for (std::int64_t q = 1; q <= 9; ++q) {
    for (std::int64_t past = 0; past <= 9; ++past) {
      for (std::int64_t window = 0; window <= 20; ++window) {
        INFO(q << " queries after " << past << ", window " << window);
        REQUIRE(attention_pairs(q, past + q, true, window) ==
                pairs_by_counting(q, past + q, window));
      }
      REQUIRE(attention_pairs(q, past + q, true, 0) == q * past + q * (q + 1) / 2);
      REQUIRE(attention_pairs(q, past + q, false, 0) == q * (past + q));
    }
  }
}

TEST_CASE("a product that exceeds its limit is refused before it overflows") {
  const std::int64_t big = std::int64_t{1} << 40;
  CHECK(checked_product("x", {big, 256}, max_tensor_elements) == max_tensor_elements);
  CHECK_THROWS_AS(checked_product("x", {big, 257}, max_tensor_elements), InputError);
  CHECK_THROWS_WITH(checked_product("x", {big, big, big}, max_flops), Contains("x: the product"));
  CHECK(checked_product("x", {big, 0, big, big}, max_flops) == 0);
}

TEST_CASE("precisions are read by name and know their formats") {
  for (const Precision p : {Precision::tf32, Precision::fp16, Precision::bf16, Precision::fp8,
                            Precision::fp8_promote, Precision::fp8_block}) {
    CHECK(parse_precision(name(p)) == p);
  }
  CHECK_THROWS_WITH(parse_precision("bf61", "--precision"),
                    Contains("--precision: unknown precision 'bf61'; did you mean 'bf16'?"));
  CHECK(operand_format(Precision::fp8_promote) == Format::e4m3);
  CHECK(operand_format(Precision::fp8_block) == Format::e4m3);
  CHECK_FALSE(promotes(Precision::fp8));
  CHECK(promotes(Precision::fp8_promote));
  CHECK(promotes(Precision::fp8_block));
  CHECK(activation_format(Precision::fp8) == Format::bf16);
  CHECK(activation_format(Precision::tf32) == Format::fp32);
}

TEST_CASE("a GEMM has 2mnk FLOPs, reads its cold weights and writes its result") {
  const LayerGraph graph = op_graph("gemm m=100 n=200 k=300 dtype=bf16");
  CHECK(op(graph).tensor_flops() == Flops(2 * 100 * 200 * 300));
  CHECK(op(graph).vector_flops() == Flops(4 * 2 * 100 * 200));  // epilogue: four lane operations
  CHECK(compulsory_read(block(graph), op(graph)) == Bytes(200 * 300 * 2));
  CHECK(compulsory_write(block(graph), op(graph)) == Bytes(100 * 200 * 2));

  const LayerGraph fp8 = op_graph("gemm m=100 n=200 k=300 dtype=fp8");
  CHECK(compulsory_read(block(fp8), op(fp8)) == Bytes(200 * 300));
  CHECK(compulsory_write(block(fp8), op(fp8)) == Bytes(100 * 200 * 2));
}

TEST_CASE("attention counts the pairs its mask keeps and the cache it must read") {
  const LayerGraph full =
      op_graph("attention batch=2 q_len=10 kv_len=30 heads=8 kv_heads=2 head_dim=64");
  CHECK(op(full).tensor_flops() == Flops(4 * 2 * 8 * 64 * 10 * 30));
  CHECK(compulsory_read(block(full), op(full)) == Bytes(2 * 2 * 30 * 2 * 64 * 2));
  CHECK(compulsory_write(block(full), op(full)) == Bytes(2 * 10 * 8 * 64 * 2));

  const LayerGraph causal =
      op_graph("attention batch=2 q_len=10 kv_len=30 heads=8 kv_heads=2 head_dim=64 causal=1");
  CHECK(op(causal).tensor_flops() == Flops(4 * 2 * 8 * 64 * (10 * 20 + 10 * 11 / 2)));

  const LayerGraph window = op_graph(
      "attention batch=2 q_len=10 kv_len=30 heads=8 kv_heads=2 head_dim=64 causal=1 window=5");
  CHECK(op(window).tensor_flops() == Flops(4 * 2 * 8 * 64 * 10 * 5));
  CHECK(compulsory_read(block(window), op(window)) == Bytes(2 * 2 * (10 + 5 - 1) * 2 * 64 * 2));

  const LayerGraph narrow =
      op_graph("attention batch=1 q_len=1 kv_len=1000 heads=8 kv_heads=8 head_dim=64 kv_dtype=fp8");
  // The call itself appends the newest key.
  CHECK(compulsory_read(block(narrow), op(narrow)) == Bytes(2 * 999 * 8 * 64));
}

TEST_CASE("experts without a token are not read") {
  const LayerGraph one = op_graph("moe tokens=1 hidden=64 inter=128 topk=2 experts=8");
  CHECK(op(one).tensor_flops() == Flops(2 * 2 * 3 * 64 * 128));
  CHECK(compulsory_read(block(one), op(one)) == Bytes(2 * 3 * 64 * 128 * 2));
  const LayerGraph many = op_graph("moe tokens=100 hidden=64 inter=128 topk=2 experts=8 gated=0");
  CHECK(op(many).tensor_flops() == Flops(100 * 2 * 2 * 2 * 64 * 128));
  CHECK(compulsory_read(block(many), op(many)) == Bytes(8 * 2 * 64 * 128 * 2));
}

TEST_CASE("operations just handed warm data need no reads") {
  for (const char* text : {"softmax rows=64 cols=128", "add rows=64 cols=128",
                           "layernorm rows=64 cols=128", "transpose rows=64 cols=128"}) {
    INFO(text);
    const LayerGraph graph = op_graph(text);
    CHECK(compulsory_read(block(graph), op(graph)) == Bytes(0));
    CHECK(compulsory_write(block(graph), op(graph)) == Bytes(64 * 128 * 2));
    CHECK(op(graph).tensor_flops() == Flops(0));
  }
}

TEST_CASE("every operation kind and precision has a name of its own") {
  std::vector<std::string> names;
  for (int i = 0; i <= static_cast<int>(OpKind::p2p); ++i) {
    const std::string text(name(static_cast<OpKind>(i)));
    CHECK_FALSE(text.empty());
    CHECK(std::find(names.begin(), names.end(), text) == names.end());
    names.push_back(text);
  }
}
