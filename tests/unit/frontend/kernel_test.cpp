#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <tuple>
#include <utility>

#include "lowering_fixture.h"
#include "sim/frontend/kernel_attention.h"
#include "sim/frontend/kernel_gemm.h"
#include "sim/frontend/program_builder.h"
#include "sim/trace/statistics.h"

using namespace tessera;

namespace {

GemmProblem problem_of(const std::string& text) {
  const LayerGraph graph = op_graph(text);
  const Op& op = graph.blocks[0].ops[0];
  GemmProblem problem;
  problem.m = op.m;
  problem.n = op.n;
  problem.k = op.k;
  problem.a = 0;
  problem.b = 1;
  problem.c = 2;
  problem.operands = operand_format(op.precision);
  return problem;
}

/// Lowers a GEMM with a tiling of our own.
Trace gemm_with(const std::string& text, GemmTiling tiling, const ChipConfig& chip) {
  const LayerGraph graph = op_graph(text);
  SectionBuilder section(graph.blocks[0], chip);
  section.start_op(0);
  const GemmProblem problem = problem_of(text);
  REQUIRE(fits(problem, tiling, chip));
  lower_gemm(section, problem, tiling);
  Trace trace;
  trace.chip = chip.name;
  trace.sections.push_back(section.take());
  return trace;
}

GemmTiling tiling(std::int64_t m, std::int64_t n, std::int64_t consumers, std::int64_t cluster = 1,
                  std::int64_t splits = 1, bool swapped = false) {
  GemmTiling t;
  t.tile_m = m;
  t.tile_n = n;
  t.consumers = consumers;
  t.cluster = cluster;
  t.splits = splits;
  t.swapped = swapped;
  t.stages = 3;
  return t;
}

}  // namespace

TEST_CASE("every tiling covers every shape exactly once") {
  const ChipConfig chip = wide_chip();
  for (const char* shape : {"gemm m=1 n=1 k=1", "gemm m=129 n=257 k=65", "gemm m=385 n=96 k=1000",
                            "gemm m=640 n=512 k=256", "gemm m=63 n=1023 k=191"}) {
    for (const GemmTiling& t :
         {tiling(64, 8, 1), tiling(64, 256, 1), tiling(128, 256, 2), tiling(256, 128, 2),
          tiling(128, 128, 1), tiling(128, 256, 2, 2), tiling(256, 96, 2, 2), tiling(64, 48, 1, 2),
          tiling(128, 16, 1, 1, 1, true), tiling(128, 64, 2, 2, 1, true),
          tiling(64, 200, 1, 1, 1, true)}) {
      CAPTURE(shape, t.tile_m, t.tile_n, t.consumers, t.cluster, t.swapped);
      CHECK(findings(gemm_with(shape, t, chip), chip) == "");
    }
  }
}

TEST_CASE("split K adds every part into its own rows and combines them") {
  const ChipConfig chip = wide_chip();
  for (const bool swapped : {false, true}) {
    for (const std::int64_t splits : {2, 3, 8}) {
      CAPTURE(swapped, splits);
      const Trace trace =
          gemm_with("gemm m=100 n=130 k=1000", tiling(64, 32, 1, 1, splits, swapped), chip);
      CHECK(findings(trace, chip) == "");
      REQUIRE(trace.sections[0].kernels.size() == 2);
      CHECK(trace.sections[0].kernels[1].name == "gemm.combine");
      const Tensor& partial = trace.sections[0].tensors.back();
      CHECK(partial.kind == TensorKind::workspace);
      CHECK(partial.format == Format::fp32);
      CHECK(partial.rows == splits * 100);
      CHECK(partial.cols == 130);
    }
  }
}

TEST_CASE("streamed tiles are written once, by the block that begins them, with every K step") {
  const ChipConfig chip = wide_chip();
  const char* text = "gemm m=1000 n=500 k=1100";
  for (const auto& [tile_m, tile_n, consumers, cluster, swapped] :
       {std::tuple(128, 128, 2, 1, false),
        {128, 64, 2, 2, false},
        {64, 80, 1, 1, false},
        {256, 64, 2, 2, true},
        {64, 96, 1, 2, true}}) {
    GemmTiling t = tiling(tile_m, tile_n, consumers, cluster, 1, swapped);
    const Trace plain = gemm_with(text, t, chip);
    const std::int64_t units = GemmShape(problem_of(text), t).units;
    for (const auto& [streamed, clusters] : {std::pair(units, std::int64_t{7}),
                                             {units, units * 2},
                                             {units, std::int64_t{60}},
                                             {units % 9, std::int64_t{9}},
                                             {units % 5 + 5, std::int64_t{5}}}) {
      t.streamed = streamed;
      t.stream_clusters = clusters;
      CAPTURE(tile_m, tile_n, consumers, cluster, swapped, streamed, clusters);
      if (!fits(problem_of(text), t, chip)) continue;
      const Trace trace = gemm_with(text, t, chip);
      CHECK(findings(trace, chip) == "");
      REQUIRE(trace.sections[0].kernels.size() == 1);
      CHECK(trace.sections[0].kernels[0].grid == clusters * cluster);
      CHECK(statistics(trace).at(0).mma_flops == statistics(plain).at(0).mma_flops);
    }
  }
}

TEST_CASE("split K without a second kernel: the first block of a tile adds the others' parts") {
  const ChipConfig chip = wide_chip();
  GemmTiling t = tiling(64, 32, 1);
  t.streamed = 1;
  t.stream_clusters = 4;
  const Trace trace = gemm_with("gemm m=64 n=32 k=2048", t, chip);
  CHECK(findings(trace, chip) == "");
  const Kernel& kernel = trace.sections[0].kernels.at(0);
  CHECK(kernel.grid == 4);
  CHECK(kernel.flags == 4);
  const Tensor& partial = trace.sections[0].tensors.back();
  CHECK(partial.kind == TensorKind::workspace);
  CHECK(partial.format == Format::fp32);
  CHECK(partial.rows * partial.cols == 4 * 64 * 32);
  const KernelStatistics counts = statistics(trace).at(0);
  CHECK(counts.executed[Instruction(Signal{}).index()] == 3);
  CHECK(counts.executed[Instruction(AwaitSignal{}).index()] == 3);
}

TEST_CASE("streamed tiles need a share for every cluster, and room for all clusters at once") {
  const ChipConfig chip = wide_chip();
  const GemmProblem problem = problem_of("gemm m=1024 n=1024 k=1024");  // 64 tiles of 16 steps
  GemmTiling t = tiling(128, 128, 2);
  t.streamed = 64;
  t.stream_clusters = 132;
  CHECK(fits(problem, t, chip));
  t.stream_clusters = 133;
  CHECK_FALSE(fits(problem, t, chip));
  t.streamed = 4;
  t.stream_clusters = 60;
  CHECK(fits(problem, t, chip));
  t.stream_clusters = 30;
  CHECK(fits(problem, t, chip));
  t.stream_clusters = 65;  // 64 steps
  CHECK_FALSE(fits(problem, t, chip));
  t.streamed = 3;  // 61 whole tiles for 60 clusters
  t.stream_clusters = 48;
  CHECK_FALSE(fits(problem, t, chip));
}

TEST_CASE("consumers that take turns have a ring each and cover every shape exactly once") {
  const ChipConfig chip = wide_chip();
  for (const char* text : {"gemm m=1 n=1 k=1", "gemm m=2000 n=1023 k=191",
                           "gemm m=4000 n=4000 k=64", "gemm m=129 n=9000 k=300"}) {
    for (const auto& [tile_m, tile_n, cluster] :
         {std::tuple(64, 128, 1), {128, 128, 1}, {128, 128, 2}, {64, 64, 2}}) {
      GemmTiling t = tiling(tile_m, tile_n, 2, cluster);
      t.pingpong = true;
      CAPTURE(text, tile_m, tile_n, cluster);
      const Trace trace = gemm_with(text, t, chip);
      CHECK(findings(trace, chip) == "");
      const Kernel& kernel = trace.sections[0].kernels.at(0);
      REQUIRE(kernel.roles.size() == 4);
      CHECK(kernel.roles[2].name == "consumer0");
      CHECK(kernel.roles[3].name == "consumer1");
      CHECK(kernel.roles[3].copies == 1);
      CHECK(kernel.barriers.size() == 8);  // full, empty, turns to multiply and to store
      t.pingpong = false;
      t.consumers = 1;
      CHECK(statistics(trace).at(0).mma_flops ==
            statistics(gemm_with(text, t, chip)).at(0).mma_flops);
    }
  }
}

TEST_CASE("consumers that take turns multiply and store in the order of their tiles") {
  GemmTiling t = tiling(128, 128, 2);
  t.pingpong = true;
  const Trace trace = gemm_with("gemm m=4000 n=4000 k=512", t, wide_chip());
  const Kernel& kernel = trace.sections[0].kernels.at(0);
  const auto barrier = [&](const std::string& name) {
    const auto found = std::find_if(kernel.barriers.begin(), kernel.barriers.end(),
                                    [&](const Barrier& b) { return b.name == name; });
    REQUIRE(found != kernel.barriers.end());
    return static_cast<std::uint16_t>(found - kernel.barriers.begin());
  };
  for (const int own : {0, 1}) {
    const Role& consumer = kernel.roles.at(static_cast<std::size_t>(2 + own));
    const auto first = [&](auto&& is) {
      return std::find_if(consumer.code.begin(), consumer.code.end(), is);
    };
    const auto last = [&](auto&& is) {
      return std::find_if(consumer.code.rbegin(), consumer.code.rend(), is).base() - 1;
    };
    const auto of = [&](auto kind, const std::string& name, int part) {
      const std::uint16_t index = barrier(name + std::to_string(part));
      return [index, kind](const Instruction& i) {
        const auto* found = std::get_if<decltype(kind)>(&i);
        return found != nullptr && found->barrier == index;
      };
    };
    const auto is_mma = [](const Instruction& i) { return std::holds_alternative<Mma>(i); };
    const auto is_store = [](const Instruction& i) { return std::holds_alternative<Store>(i); };
    const auto is_vector = [](const Instruction& i) { return std::holds_alternative<Vector>(i); };
    // The next tile's products follow this one's last, its epilogue this one's last store.
    CHECK(first(of(Wait{}, "turn", own)) < first(is_mma));
    CHECK(last(is_mma) < first(of(Arrive{}, "turn", 1 - own)));
    CHECK(first(of(Arrive{}, "turn", 1 - own)) < first(of(Wait{}, "store_turn", own)));
    CHECK(first(of(Wait{}, "store_turn", own)) < first(is_vector));
    // The buffers are both consumers': the other's turn begins when they are free.
    const auto hands_on = first(of(Arrive{}, "store_turn", 1 - own));
    CHECK(last(is_store) < hands_on);
    CHECK(std::get<StoreWait>(*(hands_on - 1)).pending == 0);
    // Consumer 0 has the first tile.
    CHECK(kernel.barriers[barrier("turn" + std::to_string(own))].initially_complete == (own == 0));
    CHECK(kernel.barriers[barrier("store_turn" + std::to_string(own))].initially_complete ==
          (own == 0));
  }
}

TEST_CASE("every role of a GEMM begins with the chip's prologue, a row-wise kernel has none") {
  ChipConfig chip = wide_chip();
  const auto begins = [&](const Role& role) {
    const auto* setup = std::get_if<Setup>(&role.code.at(0));
    return setup == nullptr ? 0 : setup->cycles;
  };
  GemmTiling turns = tiling(128, 128, 2);
  turns.pingpong = true;
  for (const std::int64_t prologue : {0, 321}) {
    chip.dma.prologue_cycles = static_cast<int>(prologue);
    for (const GemmTiling& t : {tiling(128, 128, 2), turns, tiling(64, 64, 1, 1, 4)}) {
      const Trace trace = gemm_with("gemm m=4000 n=4000 k=2048", t, chip);
      for (const Role& role : trace.sections[0].kernels.at(0).roles) {
        CHECK(begins(role) == prologue);
      }
    }
    const Trace rows = lower_op_text("gelu rows=4096 cols=4096", chip);
    CHECK(begins(rows.sections[0].kernels.at(0).roles.at(0)) == 0);
  }
}

TEST_CASE("a cluster along N shares the loads of its rows: each block half of them, for both") {
  const ChipConfig chip = wide_chip();
  const char* text = "gemm m=500 n=512 k=512";
  GemmTiling t = tiling(128, 64, 2, 2);
  t.along_n = true;
  const Trace trace = gemm_with(text, t, chip);
  CHECK(findings(trace, chip) == "");
  const Kernel& kernel = trace.sections[0].kernels.at(0);
  CHECK(kernel.cluster == 2);
  const std::vector<Load> loads = instructions<Load>(kernel);
  REQUIRE(loads.size() == 2);
  CHECK(loads[0].multicast);
  CHECK(loads[0].rows == 64);
  CHECK_FALSE(loads[1].multicast);
  CHECK(loads[1].rows == 64);
  CHECK(instructions<Expect>(kernel).at(0).bytes == (128 + 64) * 64 * 2);
  // Seven columns of tiles are not pairs, and weights on the M side have no columns of their own.
  CHECK_FALSE(fits(problem_of("gemm m=500 n=448 k=512"), t, chip));
  t.swapped = true;
  CHECK_FALSE(fits(problem_of(text), t, chip));
}

TEST_CASE("row scales are read in a tile's epilogue, by a consumer that has the tile to itself") {
  const ChipConfig chip = wide_chip();
  const LayerGraph graph = op_graph("gemm m=4000 n=4000 k=4096 dtype=fp8");
  GemmProblem problem = problem_of("gemm m=4000 n=4000 k=4096 dtype=fp8");
  const auto lowered = [&](GemmTiling t) {
    SectionBuilder section(graph.blocks[0], chip);
    section.start_op(0);
    problem.row_scales = section.workspace("scales", Format::fp32, 1, 4000);
    t.tile_k = 128;
    REQUIRE(fits(problem, t, chip));
    lower_gemm(section, problem, t);
    Trace trace;
    trace.sections.push_back(section.take());
    // Of an earlier operation, which is not here.
    trace.sections[0].tensors[*problem.row_scales].kind = TensorKind::activation;
    if (GemmShape(problem, t).sharers == 1) CHECK(findings(trace, chip) == "");
    return trace.sections[0].kernels.at(0);
  };
  const auto scales = [&](const Kernel& kernel) {
    std::vector<Load> found;
    for (const Load& load : instructions<Load>(kernel)) {
      if (load.tensor == *problem.row_scales) found.push_back(load);
    }
    return found;
  };
  GemmTiling turns = tiling(128, 128, 2);
  turns.pingpong = true;
  const Kernel kernel = lowered(turns);
  REQUIRE(scales(kernel).size() == 2);  // one a consumer
  for (const Load& load : scales(kernel)) {
    CHECK(load.rows == 1);
    CHECK(load.cols == 128);
  }
  // Announced, asked for and awaited behind the last product, in front of the epilogue.
  const std::vector<Instruction>& code = kernel.roles.at(2).code;
  const auto load = std::find_if(code.begin(), code.end(), [](const Instruction& i) {
    return std::holds_alternative<Load>(i);
  });
  REQUIRE(load != code.end());
  CHECK(std::get<Expect>(*(load - 1)).bytes == 128 * 4);
  CHECK(std::get<Wait>(*(load + 1)).barrier == std::get<Expect>(*(load - 1)).barrier);
  CHECK(std::none_of(load, code.end(),
                     [](const Instruction& i) { return std::holds_alternative<Mma>(i); }));
  CHECK(std::none_of(code.begin(), load,
                     [](const Instruction& i) { return std::holds_alternative<Vector>(i); }));
  CHECK(scales(lowered(tiling(64, 128, 1))).size() == 1);
  // Consumers that share a tile load none.
  CHECK(scales(lowered(tiling(128, 128, 2))).empty());
  // Weights on the M side: the scales are those of the tile's N side.
  CHECK(scales(lowered(tiling(64, 32, 1, 1, 1, true))).at(0).cols == 32);
}

TEST_CASE("scales of the columns come first, then those of the rows, one after the other") {
  const ChipConfig chip = wide_chip();
  const LayerGraph graph = op_graph("gemm m=4000 n=3000 k=4096 dtype=fp8");
  GemmProblem problem = problem_of("gemm m=4000 n=3000 k=4096 dtype=fp8");
  const auto loads = [&](GemmTiling t) {
    SectionBuilder section(graph.blocks[0], chip);
    section.start_op(0);
    problem.row_scales = section.workspace("scales", Format::fp32, 1, 4000);
    problem.col_scales = section.parameter("weight_scales", Format::fp32, 1, 3000);
    t.tile_k = 128;
    REQUIRE(fits(problem, t, chip));
    lower_gemm(section, problem, t);
    const Section lowered = section.take();
    std::vector<std::pair<TensorIndex, std::int64_t>> found;
    const std::vector<Instruction>& code = lowered.kernels.at(0).roles.back().code;
    for (std::size_t i = 0; i < code.size(); ++i) {
      const auto* load = std::get_if<Load>(&code[i]);
      if (load == nullptr) continue;
      CHECK(load->rows == 1);
      found.emplace_back(load->tensor, load->cols);
      // Announced before, awaited before the next.
      CHECK(std::get<Expect>(code.at(i - 1)).bytes == 4 * load->cols);
      CHECK(std::get<Wait>(code.at(i + 1)).barrier == std::get<Expect>(code.at(i - 1)).barrier);
    }
    return found;
  };
  using Loads = std::vector<std::pair<TensorIndex, std::int64_t>>;
  // Behind A, B and C.
  static constexpr TensorIndex row_scales = 3, col_scales = 4;
  const auto both = [](std::int64_t cols, std::int64_t rows) {
    return Loads{{col_scales, cols}, {row_scales, rows}};
  };
  GemmTiling turns = tiling(128, 96, 2);
  turns.pingpong = true;
  CHECK(loads(turns) == both(96, 128));
  CHECK(loads(tiling(64, 128, 1)) == both(128, 64));
  // Weights on the M side.
  CHECK(loads(tiling(64, 32, 1, 1, 1, true)) == both(64, 32));
  CHECK(loads(tiling(128, 128, 2)).empty());
}

TEST_CASE("an epilogue's step is handed from registers to the copy engine, each time") {
  ChipConfig chip = wide_chip();
  chip.barrier.latency_cycles = 31;
  chip.scratchpad.latency_cycles = 29;
  GemmTiling turns = tiling(128, 128, 2);
  turns.pingpong = true;
  for (const GemmTiling& t : {tiling(64, 128, 1), tiling(128, 256, 2), turns,
                              tiling(64, 32, 1, 1, 4), tiling(128, 32, 2, 1, 1, true)}) {
    CAPTURE(t.tile_m, t.tile_n, t.splits, t.swapped, t.pingpong);
    const Trace trace = gemm_with("gemm m=4096 n=4096 k=2048", t, chip);
    // 32 columns at a time.
    const std::int64_t times =
        ceil_div(GemmShape(problem_of("gemm m=4096 n=4096 k=2048"), t).chunk_n, 32);
    int steps = 0;
    for (const Role& role : trace.sections[0].kernels.at(0).roles) {
      for (std::size_t i = 0; i < role.code.size(); ++i) {
        if (!std::holds_alternative<Store>(role.code[i])) continue;
        ++steps;
        // The buffer is free, then all warps know, write and know again.
        CHECK(std::get<Setup>(role.code.at(i - 1)).cycles == times * (2 * 31 + 29));
        CHECK(std::holds_alternative<StoreWait>(role.code.at(i - 2)));
      }
    }
    CHECK(steps == (t.pingpong ? 2 : 1));
  }
}

TEST_CASE("parts of streamed tiles lie in memory in whole lines, and wait for no buffer") {
  const ChipConfig chip = wide_chip();
  const char* text = "gemm m=1024 n=1920 k=2048";
  for (const auto& [tile_m, tile_n, consumers, pieces, rows] :
       {std::tuple(128, 128, 2, 4, 64),  // 256 lines a consumer
        {128, 80, 2, 4, 40},             // 160 lines in no three
        {64, 96, 1, 3, 64},
        {128, 24, 2, 1, 48},
        {256, 64, 2, 2, 128}}) {
    GemmTiling t = tiling(tile_m, tile_n, consumers);
    t.streamed = 2;
    t.stream_clusters = 3;
    CAPTURE(tile_m, tile_n);
    const GemmShape shape(problem_of(text), t);
    CHECK(shape.pieces == pieces);
    CHECK(shape.piece_rows == rows);
    CHECK(shape.pieces * shape.piece_rows * 32 == shape.consumer_m * tile_n);
    while (!fits(problem_of(text), t, chip) && t.stream_clusters < 132) ++t.stream_clusters;
    const Trace trace = gemm_with(text, t, chip);
    CHECK(findings(trace, chip) == "");
    const Section& section = trace.sections[0];
    const Tensor& partial = section.tensors.back();
    CHECK(partial.cols * 4 == chip.l2.line_bytes);
    CHECK(partial.rows == t.stream_clusters * consumers * pieces * rows);
    const std::vector<Instruction>& code = section.kernels.at(0).roles.back().code;
    int stores = 0;
    for (std::size_t i = 0; i < code.size(); ++i) {
      const auto* store = std::get_if<Store>(&code[i]);
      if (store == nullptr || &section.tensors[store->tensor] != &partial) continue;
      ++stores;
      CHECK(store->rows == rows);
      CHECK(store->cols == 32);
      const auto& move = std::get<Vector>(code.at(i - 1));
      CHECK(move.function == VectorFunction::move);
      CHECK(move.elements == rows * 32);
    }
    CHECK(stores == 1);
    // They come in boxes of all consumers' rows.
    for (const Load& load : instructions<Load>(section.kernels.at(0))) {
      if (&section.tensors[load.tensor] != &partial || load.rows == 1) continue;
      CHECK(load.rows == consumers * rows);
    }
  }
}

TEST_CASE("a split without work does not fit") {
  GemmProblem problem;
  problem.m = problem.n = 64;
  problem.k = 128;
  CHECK(fits(problem, tiling(64, 64, 1, 1, 2), wide_chip()));
  CHECK_FALSE(fits(problem, tiling(64, 64, 1, 1, 3), wide_chip()));
}

TEST_CASE("the multiply-adds of a GEMM kernel are at least the operation's") {
  const ChipConfig chip = wide_chip();
  for (const GemmTiling& t :
       {tiling(128, 256, 2, 2), tiling(64, 32, 1, 1, 3), tiling(128, 32, 2, 1, 1, true)}) {
    const Trace trace = gemm_with("gemm m=300 n=500 k=700", t, chip);
    GemmProblem problem;
    problem.m = 300;
    problem.n = 500;
    problem.k = 700;
    const GemmShape shape(problem, t);
    const std::vector<Mma> products = instructions<Mma>(trace.sections[0].kernels[0]);
    std::int64_t rows = 0;  // of one K step: the first step stands before the loop, the rest in it
    for (const Mma& mma : products) {
      CHECK(mma.n == t.tile_n);
      CHECK(mma.k == t.tile_k);
      rows += mma.m;
    }
    CHECK(rows == 2 * shape.consumer_m);
    const std::int64_t step_flops = 2 * t.tile_m * t.tile_n * t.tile_k;
    CHECK(shape.units * t.cluster * ceil_div(700, t.tile_k * t.splits) * step_flops >=
          2 * 300 * 500 * 700);
  }
}

TEST_CASE("blocks of a cluster load half of the shared operand each, for both") {
  const ChipConfig chip = wide_chip();
  const Trace trace = gemm_with("gemm m=512 n=512 k=512", tiling(128, 256, 2, 2), chip);
  const Kernel& kernel = trace.sections[0].kernels[0];
  CHECK(kernel.cluster == 2);
  CHECK(kernel.grid % 2 == 0);
  const std::vector<Load> loads = instructions<Load>(kernel);
  REQUIRE(loads.size() == 2);
  CHECK_FALSE(loads[0].multicast);
  CHECK(loads[0].rows == 128);
  CHECK(loads[1].multicast);
  CHECK(loads[1].rows == 128);
  // Full counts what lands, from both blocks; empty hears of the consumers of both.
  const std::vector<Expect> expected = instructions<Expect>(kernel);
  REQUIRE(expected.size() == 1);
  CHECK(expected[0].bytes == (128 + 256) * 64 * 2);
  CHECK(kernel.barriers[1].arrivals == 4);
  CHECK(kernel.barriers[1].initially_complete);
}

TEST_CASE("a fused residual comes by a ring of its own") {
  LayerGraph graph = op_graph("linear m=300 n=200 k=100");
  Op& op = graph.blocks[0].ops[0];
  Tensor residual = graph.blocks[0].tensors[static_cast<std::size_t>(op.outputs[0])];
  residual.name = "residual";
  residual.warm = true;
  graph.blocks[0].tensors.push_back(residual);
  op.inputs.push_back(static_cast<TensorId>(graph.blocks[0].tensors.size()) - 1);
  op.epilogue.residual = true;
  op.epilogue.bias = true;
  op.epilogue.activation = Activation::gelu;
  for (const ChipConfig& chip : {wide_chip(), plain_chip()}) {
    const Trace trace = lower(graph, chip);
    CHECK(findings(trace, chip) == "");
    const Kernel& kernel = trace.sections[0].kernels.back();
    std::vector<VectorFunction> functions;
    for (const Vector& vector : instructions<Vector>(kernel)) functions.push_back(vector.function);
    CHECK(std::count(functions.begin(), functions.end(), VectorFunction::residual) == 1);
    CHECK(std::count(functions.begin(), functions.end(), VectorFunction::gelu) == 1);
    CHECK(std::count(functions.begin(), functions.end(), VectorFunction::bias) == 1);
  }
}

TEST_CASE("softmax elements and matrix products of attention cover every pair") {
  const ChipConfig chip = wide_chip();
  const Trace trace = lower_op_text(
      "attention batch=2 q_len=1000 kv_len=1000 heads=4 kv_heads=2 head_dim=128", chip);
  const Kernel& kernel = trace.sections[0].kernels.at(0);
  const std::vector<Mma> products = instructions<Mma>(kernel);
  REQUIRE(products.size() == 4);  // the first scores, scores and values of the loop, last values
  CHECK(products[0].k == 128);
  CHECK(products[0].a == OperandSource::scratchpad);
  CHECK(products[2].n == 128);
  CHECK(products[2].k == products[0].n);
  CHECK(products[2].a == OperandSource::registers);
  for (const Vector& vector : instructions<Vector>(kernel)) {
    if (vector.function == VectorFunction::softmax) {
      CHECK(vector.elements == products[0].m * products[0].n);
    }
  }
}

TEST_CASE(
    "8-bit attention turns every element of V and, three times over, the probabilities round") {
  const ChipConfig chip = wide_chip();
  const auto turned = [&](const std::string& dtype) {
    const Trace trace = lower_op_text(
        "attention batch=1 q_len=1024 kv_len=1024 heads=1 kv_heads=1 head_dim=128 dtype=" + dtype,
        chip);
    std::vector<std::int64_t> elements;
    for (const Vector& vector : instructions<Vector>(trace.sections[0].kernels.at(0))) {
      if (vector.function == VectorFunction::transpose) elements.push_back(vector.elements);
    }
    return elements;
  };
  CHECK(turned("bf16").empty());
  // Two consumers of 64 rows share a tile of 160 keys: first softmax, loop, last values.
  const std::int64_t probabilities = 3 * 64 * 160, values = 160 * 128 / 2;
  CHECK(turned("fp8") == std::vector<std::int64_t>{probabilities, values, probabilities, values});
}

TEST_CASE("a block of attention begins with five dependent reads, whatever the sequences") {
  const auto setup = [](int batch) {
    const Trace trace = lower_op_text(
        fmt::format("attention batch={} q_len=1 kv_len=64 heads=8 kv_heads=1 head_dim=64", batch),
        wide_chip());
    return instructions<Setup>(trace.sections[0].kernels.at(0)).at(0).cycles;
  };
  // Copy engine 140, L2 at 260 near and 470 far.
  CHECK(setup(1) == 5 * (140 + 365));
  CHECK(setup(2048) == setup(1));
}

TEST_CASE("the list of tiles takes a read of memory for each 32 sequences") {
  const auto plan = [](int batch, int heads) {
    const Trace trace = lower_op_text(
        fmt::format("attention batch={} q_len=1 kv_len=64 heads={} kv_heads=1 head_dim=64 "
                    "kv_dtype=bf16",
                    batch, heads),
        wide_chip());
    REQUIRE(trace.sections[0].kernels.at(1).name == "attention.plan");
    return instructions<Setup>(trace.sections[0].kernels.at(1)).at(0).cycles;
  };
  CHECK(plan(32, 8) == plan(1, 8));
  const auto read = plan(33, 8) - plan(32, 8);
  CHECK(read > 5 * 100);
  CHECK(std::abs(plan(2048, 8) - plan(32, 8) - 63 * read) <= 63);
  // Without groups there is no list.
  CHECK(plan(2048, 1) == plan(1, 1));
}

TEST_CASE("a query with K and V of its own takes small tiles, two blocks a core") {
  const Trace trace = lower_op_text(
      "attention batch=64 q_len=1 kv_len=4096 heads=8 kv_heads=8 head_dim=256", wide_chip());
  const Kernel& kernel = trace.sections[0].kernels.at(0);
  std::int64_t registers = 0;
  for (const Role& role : kernel.roles) registers += 32 * role.copies * role.warps * role.registers;
  CHECK(registers > wide_chip().core.registers / 3);
  CHECK(registers <= wide_chip().core.registers / 2);
  CHECK(instructions<Mma>(kernel).at(0).n == 16);
}

TEST_CASE("split attention leaves an FP32 part for each split, and one kernel combines them") {
  const Trace trace = lower_op_text(
      "attention batch=1 q_len=1 kv_len=2048 heads=8 kv_heads=1 head_dim=64", wide_chip());
  const Section& section = trace.sections[0];
  REQUIRE(section.kernels.size() == 2);
  const Tensor& partial = section.tensors.back();
  CHECK(partial.format == Format::fp32);
  // 16 tiles of 128 keys; 14 splits would do, so each takes two tiles.
  CHECK(partial.rows == 8);
  CHECK(partial.cols == 8 * 64);
  CHECK(section.kernels[0].grid == 8);
}

TEST_CASE("a library's call of attention appends, plans and attends, a bare kernel only attends") {
  const ChipConfig chip = wide_chip();
  const auto kernels = [&](const std::string& fields) {
    const Trace trace = lower_op_text(
        "attention batch=2 q_len=128 kv_len=128 heads=4 kv_heads=2 head_dim=64 " + fields, chip);
    CHECK(findings(trace, chip) == "");
    std::vector<std::string> names;
    for (const Kernel& kernel : trace.sections[0].kernels) {
      const std::size_t dot = kernel.name.rfind('.');
      names.push_back(kernel.name.substr(dot == std::string::npos ? 0 : dot + 1));
    }
    return names;
  };
  CHECK(kernels("causal=1").size() == 1);
  CHECK(kernels("causal=1 kv_dtype=bf16") ==
        std::vector<std::string>{"append", "clear", "plan", kernels("causal=1").front()});
  CHECK(kernels("kv_dtype=bf16") ==
        std::vector<std::string>{"append", "plan", kernels("causal=1").front()});
  CHECK(kernels("causal=1 dtype=fp8 kv_dtype=fp8") == kernels("causal=1 kv_dtype=bf16"));
}

TEST_CASE("an 8-bit call reads queries, keys and values once and writes them quantised") {
  const Trace trace = lower_op_text(
      "attention batch=2 q_len=128 kv_len=128 heads=4 kv_heads=2 head_dim=64 causal=1 dtype=fp8 "
      "kv_dtype=fp8",
      wide_chip());
  const Section& section = trace.sections[0];
  const auto named = [&](const std::string& name) {
    return *std::find_if(section.tensors.begin(), section.tensors.end(),
                         [&](const Tensor& t) { return t.name == name; });
  };
  CHECK(named("QKV").cols == (4 + 2 * 2) * 64);
  CHECK(named("QKV").format == Format::bf16);
  CHECK(named("O").format == Format::e4m3);
  const KernelStatistics append = statistics(trace).front();
  CHECK(append.load_bytes == 2 * 128 * 8 * 64 * 2);
  CHECK(append.store_bytes == 2 * 128 * 8 * 64);
}

TEST_CASE("the rows of a paged cache are copied by threads, those of other keys by boxes") {
  // Cycles for which the producer is busy with each tile of K and V but a block's first.
  const auto gathers = [](const std::string& fields) {
    const Trace trace = lower_op_text(
        "attention batch=8 q_len=1280 kv_len=1280 heads=32 kv_heads=32 causal=1 " + fields,
        wide_chip());
    std::vector<std::int64_t> cycles;
    for (const Setup& setup : instructions<Setup>(trace.sections[0].kernels.back())) {
      cycles.push_back(setup.cycles);
    }
    cycles.erase(cycles.begin());  // the look-ups a block begins with
    return cycles;
  };
  using Cycles = std::vector<std::int64_t>;
  CHECK(gathers("head_dim=256").empty());
  // 80 keys of 512 bytes, 16 a copy, 128 threads: 20 copies of K and of V.
  CHECK(gathers("head_dim=256 kv_dtype=bf16") == Cycles{20 * 95, 20 * 95});
  CHECK(gathers("head_dim=128 kv_dtype=bf16") == Cycles{16 * 95, 16 * 95});
  CHECK(gathers("head_dim=64 dtype=fp8 kv_dtype=fp8") == Cycles{5 * 95, 5 * 95});
}

TEST_CASE("a library's call writes the new keys and values, once, behind those in the cache") {
  const ChipConfig chip = wide_chip();
  const Trace trace = lower_op_text(
      "attention batch=3 q_len=2 kv_len=50 heads=4 kv_heads=2 head_dim=64 causal=1 kv_dtype=bf16",
      chip);
  const Kernel& append = trace.sections[0].kernels.front();
  std::int64_t written = 0;
  for (const Store& store : instructions<Store>(append)) {
    const std::string& name = trace.sections[0].tensors[store.tensor].name;
    CHECK((name == "K" || name == "V"));
    written += store.rows * store.cols;
  }
  CHECK(written > 0);
  // What the call itself writes is no compulsory read: 48 of 50 rows of K and V, two heads.
  CHECK(trace.sections[0].ops[0].compulsory_read.value == 2 * 3 * 48 * 2 * 64 * 2);
}

TEST_CASE("a loop known to run once, and a condition known while building, leave no code") {
  RoleBuilder role("r", 1, 4, 32);
  role.loop("i", 0, 64, 64, [&](const Expr& i) { role.load(0, i, 0, 64, 64); });
  role.loop("i", 5, 5, 1, [&](const Expr&) { role.wait(0); });
  role.when_less(3, 4, [&] { role.arrive(0); });
  role.when_less(4, 4, [&] { role.wait(1); });
  CHECK(role.minimum("m", 3, 4) == Expr(3));
  CHECK(role.quotient("q", 7, 2) == Expr(3));
  CHECK(role.remainder("r", 7, 2) == Expr(1));
  const Role built = role.take();
  REQUIRE(built.code.size() == 2);
  CHECK(std::holds_alternative<Load>(built.code[0]));
  CHECK(std::holds_alternative<Arrive>(built.code[1]));
  CHECK(built.variables.size() == first_free_var);
}

TEST_CASE("nested scopes with the same name have different variables, successive ones share") {
  RoleBuilder role("r", 1, 4, 32);
  const Expr n = RoleBuilder::cluster();
  role.loop("i", 0, n, 1, [&](const Expr& outer) {
    role.loop("i", 0, n, 1, [&](const Expr& inner) { CHECK_FALSE(outer == inner); });
  });
  role.when_less(0, n, [&] { role.when_less(1, n, [&] { role.wait(0); }); });
  Expr first, second;
  role.loop("j", 0, n, 1, [&](const Expr& j) { first = j; });
  role.loop("j", 0, n, 1, [&](const Expr& j) { second = j; });
  CHECK(first == second);
  const Role built = role.take();
  CHECK(std::find(built.variables.begin(), built.variables.end(), "if2") != built.variables.end());
}

TEST_CASE("a role that needs too many variables is a mistake of ours, caught at once") {
  RoleBuilder role("r", 1, 4, 32);
  for (std::size_t i = first_free_var; i < max_variables; ++i) {
    role.minimum("v" + std::to_string(i), RoleBuilder::cluster(), 5);
  }
  CHECK_THROWS_AS(role.minimum("one too many", RoleBuilder::cluster(), 5), std::logic_error);
}
