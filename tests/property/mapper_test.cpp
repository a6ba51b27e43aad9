#include "sim/frontend/mapper.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <tuple>
#include <vector>

#include "sim/frontend/op_text.h"
#include "tests/property/random_op.h"
#include "tests/property/sound_run.h"

using namespace tessera;
using namespace tessera::test;

namespace {

std::int64_t cycles(const GemmTiling& tiling, const GemmProblem& problem, const LayerGraph& graph,
                    const ChipConfig& on) {
  SectionBuilder section(graph.blocks[0], on);
  section.start_op(0);
  lower_gemm(section, problem, tiling);
  Trace trace;
  trace.chip = on.name;
  trace.sections.push_back(section.take());
  std::int64_t sum = 0;
  for (const OpResult& op : simulate(trace, on).ops) sum += op.cycles.value * op.repeat;
  return sum;
}

/// The mapper's choice against the best of its candidates, both simulated. Of each kind of
/// candidate (form and tile size) the one that the formulas like best takes part.
double regret(const std::string& text, const ChipConfig& on) {
  const LayerGraph graph = op_graph(text);
  const SectionBuilder section(graph.blocks[0], on);
  const Op& op = graph.blocks[0].ops[0];
  GemmProblem problem;
  problem.m = op.m;
  problem.n = op.n;
  problem.k = op.k;
  problem.a = section.input(0);
  problem.b = section.input(1);
  problem.c = section.output(0);
  problem.operands = operand_format(op.precision);

  std::vector<std::pair<double, GemmTiling>> candidates;
  for (const GemmTiling& t : gemm_candidates(section, problem)) {
    candidates.emplace_back(estimate_gemm(section, problem, t).cycles, t);
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  const auto chosen =
      static_cast<double>(cycles(choose_gemm(section, problem), problem, graph, on));
  double best = chosen;
  std::set<std::tuple<bool, bool, bool, std::int64_t, std::int64_t>> kinds;
  for (const auto& [estimate, t] : candidates) {
    if (estimate > 1.5 * candidates.front().first || kinds.size() == 10) break;
    const auto kind = std::tuple(t.pingpong, t.streamed > 0, t.splits > 1, t.tile_m, t.tile_n / 64);
    if (!kinds.insert(kind).second) continue;
    best = std::min(best, static_cast<double>(cycles(t, problem, graph, on)));
  }
  return chosen / best - 1;
}

}  // namespace

TEST_CASE("the GEMM mapper's choice is close to the best candidate in simulation") {
  const ChipConfig on = chip("h100-sxm");
  std::vector<double> regrets;
  for (const char* text :
       {"gemm m=32 n=32 k=2048", "gemm m=2048 n=64 k=4096", "gemm m=1025 n=1024 k=1024",
        "gemm m=512 n=512 k=4096", "gemm m=16 n=4096 k=4096", "gemm m=257 n=2048 k=4096",
        "gemm m=4096 n=4096 k=256", "gemm m=128 n=128 k=8192", "gemm m=1536 n=1024 k=4096",
        "gemm m=1280 n=2048 k=2048", "gemm m=2048 n=2048 k=2048 dtype=fp8"}) {
    CAPTURE(text);
    regrets.push_back(regret(text, on));
    CHECK(regrets.back() < 0.2);
  }
  std::nth_element(regrets.begin(), regrets.begin() + regrets.size() / 2, regrets.end());
  CHECK(regrets[regrets.size() / 2] < 0.05);
}

TEST_CASE("the order of a GEMM's tiles changes what it reads from memory") {
  // Operands of 8 MiB each through an L2 of 2 MiB, tiles in 32 rows of 16.
  const ChipConfig on = chip("h100-sxm", {"core.count=16", "l2.size_mib=2"});
  const Trace chosen = op_trace("gemm m=4096 n=4096 k=1024 dtype=bf16", on);
  const auto groups_of = [](Trace& trace) {
    std::vector<std::int64_t*> groups;
    for (Kernel& kernel : trace.sections[0].kernels) {
      for (Role& role : kernel.roles) {
        for (Instruction& instruction : role.code) {
          if (auto* raster = std::get_if<Raster>(&instruction)) groups.push_back(&raster->group);
        }
      }
    }
    return groups;
  };
  SimulationOptions options;
  options.clock_mhz = on.clock.core_mhz;
  const auto read_in_groups_of = [&](std::int64_t rows) {
    Trace trace = chosen;
    for (std::int64_t* group : groups_of(trace)) *group = rows;
    return static_cast<double>(simulate(trace, on, options).ops[0].hbm_read.value);
  };
  Trace copy = chosen;
  REQUIRE_FALSE(groups_of(copy).empty());
  const std::int64_t group = *groups_of(copy).front();
  REQUIRE(group > 1);
  REQUIRE(group < 32);
  const double read = read_in_groups_of(group);
  // One row of tiles after the other reads all of B for each, one column after the other all of A.
  CHECK(read_in_groups_of(1) > 1.2 * read);
  CHECK(read_in_groups_of(32) > 1.2 * read);
}
