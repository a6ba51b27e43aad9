#include "sim/frontend/mapper.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "lowering_fixture.h"
#include "sim/base/error.h"

using namespace tessera;

namespace {

/// A GEMM problem and the section it is part of.
struct GemmCase {
  GemmCase(std::int64_t m, std::int64_t n, std::int64_t k, const ChipConfig& on = wide_chip(),
           const std::string& dtype = "bf16")
      : chip(on),
        graph(op_graph(fmt::format("gemm m={} n={} k={} dtype={}", m, n, k, dtype))),
        section(graph.blocks[0], chip) {
    problem.m = m;
    problem.n = n;
    problem.k = k;
    problem.a = 0;
    problem.b = 1;
    problem.c = 2;
    problem.operands = operand_format(graph.blocks[0].ops[0].precision);
  }
  GemmCase(const GemmCase&) = delete;
  GemmCase& operator=(const GemmCase&) = delete;

  GemmTiling choose() const { return choose_gemm(section, problem); }

  ChipConfig chip;
  LayerGraph graph;
  SectionBuilder section;
  GemmProblem problem;
};

struct AttentionCase {
  AttentionCase(const std::string& text, const ChipConfig& on = wide_chip())
      : chip(on), graph(op_graph("attention " + text)), section(graph.blocks[0], chip) {
    const Op& op = graph.blocks[0].ops[0];
    problem.batch = op.batch;
    problem.q_len = op.q_len;
    problem.kv_len = op.kv_len;
    problem.heads = op.heads;
    problem.kv_heads = op.kv_heads;
    problem.head_dim = op.head_dim;
    problem.causal = op.causal;
    problem.q = 0;
    problem.k = 1;
    problem.v = 2;
    problem.o = 3;
    problem.operands = operand_format(op.precision);
  }
  AttentionCase(const AttentionCase&) = delete;
  AttentionCase& operator=(const AttentionCase&) = delete;

  AttentionTiling choose() const { return choose_attention(section, problem); }

  ChipConfig chip;
  LayerGraph graph;
  SectionBuilder section;
  AttentionProblem problem;
};

}  // namespace

TEST_CASE("a large bf16 GEMM gets 128x256x64 tiles, two consumers and pairs of blocks") {
  const GemmTiling t = GemmCase(8192, 8192, 8192).choose();
  CHECK(t.tile_m == 128);
  CHECK(t.tile_n == 256);
  CHECK(t.tile_k == 64);
  CHECK(t.consumers == 2);
  CHECK(t.cluster == 2);
  CHECK(t.splits == 1);
  CHECK(t.stages >= 3);
  CHECK_FALSE(t.swapped);
}

TEST_CASE("a K step is 128 bytes of operand in every format") {
  CHECK(GemmCase(4096, 4096, 4096, wide_chip(), "fp8").choose().tile_k == 128);
  CHECK(GemmCase(4096, 4096, 4096, wide_chip(), "tf32").choose().tile_k == 32);
}

TEST_CASE("few rows: the weights fill the matrix instruction's rows, the activations its N") {
  const GemmTiling t = GemmCase(8, 8192, 8192).choose();
  CHECK(t.swapped);
  CHECK(t.tile_n == 8);
  // Enough in flight for every core to keep the memory busy.
  const GemmCase decode(8, 8192, 8192);
  const GemmShape shape(decode.problem, t);
  CHECK(shape.units * t.cluster >= 64);
  CHECK(t.stages * shape.stage_bytes >= 32768);
}

TEST_CASE("few tiles and a long K are split over the cores") {
  const GemmCase tall(64, 64, 65536);
  CHECK(tall.choose().splits >= 8);
  CHECK(GemmCase(64, 64, 128).choose().splits == 1);
}

TEST_CASE("a few large tiles are split, without a second kernel where its launch costs more") {
  const GemmCase c(640, 2048, 4096);
  const GemmTiling t = c.choose();
  CHECK(t.splits == 1);
  CHECK(t.streamed == GemmShape(c.problem, t).units);
  CHECK(t.stream_clusters == 2 * t.streamed);
  ChipConfig quick = wide_chip();
  quick.launch.gap_us = 0.5;
  const GemmTiling two = GemmCase(640, 2048, 4096, quick).choose();
  CHECK(two.splits == 2);
  CHECK(two.streamed == 0);
}

TEST_CASE("a wave and a little: the K steps of the rest are dealt out") {
  const GemmTiling t = GemmCase(2304, 2048, 16384).choose();
  CHECK(t.streamed > 0);
  CHECK(GemmCase(8192, 8192, 8192).choose().streamed == 0);
}

TEST_CASE("every candidate fits, and every way to run a GEMM is among them") {
  bool split = false, fixed = false, streamed = false, turns = false, swapped = false;
  for (const std::int64_t m : {512, 2176}) {
    const GemmCase c(m, 1024, 4096);
    for (const GemmTiling& t : gemm_candidates(c.section, c.problem)) {
      CHECK(fits(c.problem, t, c.chip));
      const GemmShape shape(c.problem, t);
      split |= t.splits > 1;
      fixed |= t.streamed == shape.units && t.stream_clusters % shape.units == 0;
      streamed |= t.streamed > 0 && t.streamed < shape.units;
      turns |= t.pingpong;
      swapped |= t.swapped;
    }
  }
  CHECK(split);
  CHECK(fixed);
  CHECK(streamed);
  CHECK(turns);
  CHECK(swapped);
}

TEST_CASE("the mapper's choice fits the chip, and costs no more than plain alternatives") {
  for (const std::int64_t m : {1, 17, 100, 1000, 5000}) {
    for (const std::int64_t n : {1, 64, 777, 4096}) {
      for (const std::int64_t k : {1, 100, 4096}) {
        for (const ChipConfig& chip : {wide_chip(), plain_chip()}) {
          CAPTURE(m, n, k, chip.name);
          const GemmCase c(m, n, k, chip);
          const GemmTiling chosen = c.choose();
          CHECK(fits(c.problem, chosen, chip));
          GemmTiling plain;
          plain.stages = 3;
          if (fits(c.problem, plain, chip)) {
            CHECK(estimate_gemm(c.section, c.problem, chosen).cycles <=
                  estimate_gemm(c.section, c.problem, plain).cycles * 1.001);
          }
        }
      }
    }
  }
}

TEST_CASE("a chip without multicast gets no clusters") {
  CHECK(GemmCase(8192, 8192, 8192, plain_chip()).choose().cluster == 1);
}

TEST_CASE("budgets are limits: what is one byte or register over does not fit") {
  const GemmCase c(4096, 4096, 4096);
  GemmTiling t = c.choose();
  ChipConfig chip = c.chip;
  const GemmShape shape(c.problem, t);
  const std::int64_t need = shape.scratchpad_bytes + chip.scratchpad.reserved_per_block_bytes;
  chip.scratchpad.size_kib = static_cast<int>(ceil_div(need, 1024));
  CHECK(fits(c.problem, t, chip));
  chip.scratchpad.size_kib -= 1;
  CHECK_FALSE(fits(c.problem, t, chip));
  chip = c.chip;
  chip.core.registers = 32 * (producer_warps * producer_registers +
                              t.consumers * consumer_warps * shape.consumer_registers);
  CHECK(fits(c.problem, t, chip));
  chip.core.registers -= 1;
  CHECK_FALSE(fits(c.problem, t, chip));
  t.cluster = c.chip.core.max_cluster * 2;
  CHECK_FALSE(fits(c.problem, t, c.chip));
}

TEST_CASE("an estimate grows with the work") {
  double last = 0;
  for (const std::int64_t k : {64, 512, 4096, 32768}) {
    const GemmCase c(2048, 2048, k);
    const double cycles = estimate_gemm(c.section, c.problem, c.choose()).cycles;
    CHECK(cycles > last);
    last = cycles;
  }
}

TEST_CASE("an estimate is never below the arithmetic and the cold operand's bytes") {
  for (const std::int64_t m : {1, 64, 512, 4096}) {
    const GemmCase c(m, 4096, 4096);
    const CostEstimate e = estimate_gemm(c.section, c.problem, c.choose());
    const double flops = 2.0 * static_cast<double>(m) * 4096 * 4096;
    CHECK(e.cycles > flops / (132 * 4096));
    CHECK(e.cycles > 4096.0 * 4096 * 2 / (3350.0 / 2.0));  // bytes per cycle at 2 GHz
  }
}

TEST_CASE("prefill takes the tiles of FlashAttention-3 for its head dimension") {
  const auto tile = [](int head_dim, const std::string& dtype) {
    const AttentionTiling t =
        AttentionCase(fmt::format("batch=1 q_len=8192 kv_len=8192 heads=32 kv_heads=8 head_dim={} "
                                  "causal=1 dtype={} kv_dtype={}",
                                  head_dim, dtype, dtype))
            .choose();
    CHECK(t.stages == 2);
    CHECK(t.splits == 1);
    CHECK(t.packed_heads == 0);
    CHECK(t.blocks_per_core == 1);
    return std::pair(t.consumers, t.kv_tile);
  };
  CHECK(tile(64, "bf16") == std::pair<std::int64_t, std::int64_t>(3, 128));
  CHECK(tile(128, "bf16") == std::pair<std::int64_t, std::int64_t>(2, 128));
  CHECK(tile(256, "bf16") == std::pair<std::int64_t, std::int64_t>(2, 80));
  CHECK(tile(64, "fp8") == std::pair<std::int64_t, std::int64_t>(3, 160));
  CHECK(tile(128, "fp8") == std::pair<std::int64_t, std::int64_t>(2, 160));
  CHECK(tile(256, "fp8") == std::pair<std::int64_t, std::int64_t>(2, 128));
}

TEST_CASE("a core too small for the library's tile takes the widest that fits") {
  ChipConfig small = wide_chip();
  small.scratchpad.size_kib = 100;
  const AttentionCase c("batch=1 q_len=4096 kv_len=4096 heads=8 kv_heads=8 head_dim=128 causal=1",
                        small);
  const AttentionTiling t = c.choose();
  CHECK(fits(c.section, c.problem, t));
  AttentionTiling wider = t;
  wider.kv_tile += 16;
  CHECK_FALSE(fits(c.section, c.problem, wider));
}

TEST_CASE("a block that deals out the whole core's registers is alone on it") {
  const AttentionCase c("batch=64 q_len=1 kv_len=4096 heads=32 kv_heads=4 head_dim=64");
  AttentionTiling t = c.choose();
  REQUIRE(t.blocks_per_core == 1);
  const auto held = [&] {
    return resident_attention_blocks(AttentionShape(c.section, c.problem, t), t, c.chip);
  };
  CHECK(held() == 1);
  t.blocks_per_core = 0;
  CHECK(held() > 1);
}

TEST_CASE("decode packs the heads of a group into one tile's rows") {
  const AttentionTiling t =
      AttentionCase("batch=64 q_len=1 kv_len=4096 heads=32 kv_heads=4 head_dim=128").choose();
  CHECK(t.packed_heads == 8);
  CHECK(AttentionCase("batch=64 q_len=1 kv_len=4096 heads=4 kv_heads=4 head_dim=128")
            .choose()
            .packed_heads == 0);
}

TEST_CASE("the KV sequence is split when blocks fill less than 80 % of the cores") {
  // 132 cores, one block each; 105 fill 79.5 %, 106 fill 80.3 %.
  const auto splits = [](int batch, int kv_len) {
    return AttentionCase(fmt::format("batch={} q_len=1 kv_len={} heads=8 kv_heads=1 head_dim=128",
                                     batch, kv_len),
                         wide_chip())
        .choose()
        .splits;
  };
  CHECK(splits(106, 65536) == 1);
  CHECK(splits(105, 65536) > 1);
  // At most 4 tiles are not worth a second kernel, 5 are.
  CHECK(splits(1, 512) == 1);
  CHECK(splits(1, 513) == 5);
}

TEST_CASE("a long sequence on few heads is split to occupy the cores") {
  const AttentionCase c("batch=1 q_len=1 kv_len=65536 heads=8 kv_heads=1 head_dim=128");
  const AttentionTiling t = c.choose();
  const AttentionShape shape(c.section, c.problem, t);
  CHECK(shape.splits == t.splits);
  CHECK(shape.units >= 100);
  CHECK((shape.splits - 1) * shape.split_tiles < shape.kv_tiles);  // none is empty
}

TEST_CASE("heads that share K and V and fit the L2 run side by side") {
  const AttentionCase c(
      "batch=4 q_len=16384 kv_len=16384 heads=32 kv_heads=32 head_dim=128 causal=1");
  const AttentionShape shape(c.section, c.problem, c.choose());
  CHECK(shape.section_pairs < shape.pairs);
  CHECK(shape.pairs % shape.section_pairs == 0);
}

TEST_CASE("row-wise tiles keep whole lines together and every core busy") {
  const ChipConfig chip = wide_chip();
  const LayerGraph graph = op_graph("gelu rows=8192 cols=8192");
  const SectionBuilder section(graph.blocks[0], chip);
  RowwiseProblem problem;
  problem.rows = 8192;
  problem.cols = 8192;
  problem.inputs.push_back({0});
  problem.steps.push_back({VectorFunction::gelu});
  problem.output = 1;
  const RowwiseTiling t = choose_rowwise(section, problem);
  CHECK(t.tile_cols * 2 % 128 == 0);
  CHECK(t.tile_rows * t.tile_cols * 2 >= 4096);
  CHECK((8192 / t.tile_rows) * (8192 / t.tile_cols) >= 4 * 132);
  CHECK(t.resident >= 2);
}

TEST_CASE("a row too long for the scratchpad is read twice") {
  const ChipConfig chip = wide_chip();
  const LayerGraph graph = op_graph("layernorm rows=3 cols=1000000");
  const SectionBuilder section(graph.blocks[0], chip);
  RowwiseProblem problem;
  problem.rows = 3;
  problem.cols = 1000000;
  problem.whole_row = true;
  problem.inputs.push_back({0});
  problem.steps = {{VectorFunction::norm_statistics}, {VectorFunction::norm_apply}};
  problem.output = 1;
  CHECK(choose_rowwise(section, problem).two_passes);
  problem.cols = 8192;
  CHECK_FALSE(choose_rowwise(section, problem).two_passes);
}
