#include "sim/report/figures.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "tests/unit/report/example_run.h"

using namespace tessera;
using tessera::test::example_run;

namespace {

double sum(const Stalls& stalls) {
  double total = 0;
  for (const double fraction : stalls) total += fraction;
  return total;
}

double at(const Stalls& stalls, Cause cause) { return stalls[static_cast<std::size_t>(cause)]; }

}  // namespace

TEST_CASE("a run's totals weigh every operation by its repeat") {
  const Figures f = figures(example_run());
  CHECK(f.cycles == 1000 + 3 * 500);
  CHECK(f.flops == 80000 + 3 * 1000);
  CHECK(f.tensor_flops == 80000);
  CHECK(f.hbm_read == 3000 + 3 * 2000);
  CHECK(f.hbm_write == 1000 + 3 * 2000);
  CHECK(f.hbm_bytes() == 16000);
  CHECK(f.l2_read == 10000 + 3 * 2000);
  CHECK(f.l2_hit == 7000);
  CHECK(f.roofline_us == Approx(0.8 + 3 * 0.4));
  CHECK(f.energy_j == Approx(2.5));
  CHECK(f.core_cycles[static_cast<std::size_t>(Cause::hbm)] == 300 + 3 * 900);
}

TEST_CASE("a run's ratios follow from its totals") {
  const Figures f = figures(example_run());
  CHECK(f.time_us == Approx(2.5));
  CHECK(f.tflops == Approx(83000 / 2.5e-6 * 1e-12));
  CHECK(f.tensor_core_utilization == Approx(80000.0 / (100 * 2500)));
  CHECK(f.hbm_gbps == Approx(16000 / 2.5e-6 * 1e-9));
  CHECK(f.hbm_utilization == Approx(0.64));
  CHECK(f.l2_hit_rate == Approx(7000.0 / 16000));
  CHECK(f.roofline_fraction == Approx(2.0 / 2.5));
  CHECK(f.power_w == Approx(2.5 / 2.5e-6));
  CHECK(at(f.stalls, Cause::tensor_core) == Approx(1600.0 / 5000));
  CHECK(at(f.stalls, Cause::hbm) == Approx(3000.0 / 5000));
  CHECK(at(f.stalls, Cause::barrier) == 0);
  CHECK(peak_tflops(example_run()) == Approx(0.1));
}

TEST_CASE("an operation's numbers are those of one execution, its share counts the repeats") {
  const std::vector<Figures> ops = op_figures(example_run());
  REQUIRE(ops.size() == 2);
  CHECK(ops[1].cycles == 500);
  CHECK(ops[1].repeat == 3);
  CHECK(ops[1].time_us == Approx(0.5));
  CHECK(ops[1].time_share == Approx(0.6));
  CHECK(ops[1].power_w == Approx(ops[1].energy_j / 0.5e-6));
  CHECK(ops[0].time_share == Approx(0.4));
  CHECK(ops[1].hbm_gbps == Approx(8));
  CHECK(ops[1].roofline_fraction == Approx(0.8));
  CHECK(ops[1].tensor_core_utilization == 0);
}

TEST_CASE("the run is bound by what its operations spent the most cycles at") {
  RunResult run = example_run();
  CHECK(figures(run).bound == Bound::hbm);
  run.ops[1].repeat = 1;
  CHECK(figures(run).bound == Bound::compute);
  run.ops[1].repeat = 2;  // 1000 cycles each: the first declared wins
  CHECK(figures(run).bound == Bound::compute);
}

TEST_CASE("stall fractions sum to exactly 1") {
  CoreCycles thirds{};
  thirds[0] = thirds[5] = thirds[12] = 1;
  CHECK(sum(fractions(thirds)) == 1.0);

  // Awkward numbers of many sizes, from a fixed linear congruence.
  std::uint64_t state = 1;
  for (int round = 0; round < 2000; ++round) {
    CoreCycles cycles{};
    for (std::int64_t& count : cycles) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      count = static_cast<std::int64_t>(state >> (20 + (state & 31)));
    }
    cycles[0] += 1;
    const Stalls stalls = fractions(cycles);
    REQUIRE(sum(stalls) == 1.0);
    for (const double fraction : stalls) REQUIRE(fraction >= 0);
  }
}

TEST_CASE("no core-cycles give no stall fractions") { CHECK(sum(fractions(CoreCycles{})) == 0); }

TEST_CASE("an empty run divides nothing by zero") {
  const Figures f = figures(RunResult{});
  CHECK(f.cycles == 0);
  for (const double ratio : {f.time_us, f.tflops, f.tensor_core_utilization, f.hbm_gbps,
                             f.hbm_utilization, f.l2_hit_rate, f.roofline_fraction, f.time_share})
    CHECK(ratio == 0);
  CHECK(f.bound == Bound::latency);
  CHECK(op_figures(RunResult{}).empty());
  CHECK(group_ops(RunResult{}).empty());
}

TEST_CASE("an operation of zero cycles or a chip of zero peaks gives zeros, not infinities") {
  RunResult run = example_run();
  run.clock_mhz = run.peak_flops_per_cycle = run.hbm_peak_gbps = 0;
  run.ops[0].cycles = run.ops[1].cycles = Cycles(0);
  run.ops[0].roofline_us = std::numeric_limits<double>::quiet_NaN();
  const Figures f = figures(run);
  for (const double ratio :
       {f.time_us, f.tflops, f.tensor_core_utilization, f.hbm_gbps, f.hbm_utilization,
        f.roofline_fraction, op_figures(run)[0].tflops, op_figures(run)[0].time_share})
    CHECK(ratio == 0);
}

TEST_CASE("totals beyond 64 bits saturate") {
  RunResult run = example_run();
  run.ops[0].flops = Flops(std::numeric_limits<std::int64_t>::max() - 1);
  run.ops[0].repeat = 1000;
  run.ops[1].hbm_read = Bytes(std::numeric_limits<std::int64_t>::max());
  const Figures f = figures(run);
  CHECK(f.flops == std::numeric_limits<std::int64_t>::max());
  CHECK(f.hbm_bytes() == std::numeric_limits<std::int64_t>::max());
}

TEST_CASE("operations of the same name, kind and precision are taken together") {
  RunResult run = example_run();
  run.ops.push_back(run.ops[0]);
  run.ops.push_back(run.ops[0]);
  run.ops.back().precision = "fp8";
  run.ops[2].bound = Bound::l2;
  run.ops[2].cycles = Cycles(1001);
  const std::vector<OpGroup> groups = group_ops(run);
  REQUIRE(groups.size() == 3);
  CHECK(groups[0].op->name == "mlp.up");
  CHECK(groups[0].total.repeat == 2);
  CHECK(groups[0].total.cycles == 2001);
  CHECK(groups[0].total.bound == Bound::l2);
  CHECK(groups[1].total.repeat == 3);
  CHECK(groups[1].total.cycles == 1500);
  double share = 0;
  for (const OpGroup& group : groups) share += group.total.time_share;
  CHECK(share == Approx(1));
}

TEST_CASE("the numbered copies of a section are taken together") {
  RunResult run = example_run();
  run.ops.clear();
  for (const char* name : {"layer[0].norm", "layer[1-7,9].norm", "layer[8][2].norm",
                           "layer[x].norm", "layer[].norm", "layer[3", "layer.norm"}) {
    run.ops.push_back(example_run().ops[1]);
    run.ops.back().name = name;
  }
  const std::vector<OpGroup> groups = group_ops(run);
  REQUIRE(groups.size() == 4);
  CHECK(groups[0].name == "layer.norm");
  CHECK(groups[0].total.repeat == 4 * 3);
  CHECK(groups[1].name == "layer[x].norm");
  CHECK(groups[3].name == "layer[3");
}
