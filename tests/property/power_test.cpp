#include <catch2/catch.hpp>
#include <string>

#include "sim/report/figures.h"
#include "tests/property/sound_run.h"

using namespace tessera;
using namespace tessera::test;

namespace {

RunResult run_for(const std::string& text, const ChipConfig& on, double repetitions,
                  Operands operands = Operands::random) {
  SimulationOptions options;
  options.length.repetitions = repetitions;
  options.operands = operands;
  return simulate(op_trace(text, on), on, options);
}

const char* const heavy[] = {
    "gemm m=4096 n=4096 k=4096 dtype=bf16",
    "gemm m=4096 n=8192 k=4096 dtype=fp8",
    "gemm m=512 n=8192 k=8192 dtype=bf16",
    "attention batch=1 q_len=4096 kv_len=4096 heads=16 kv_heads=16 head_dim=128 causal=0",
};

}  // namespace

TEST_CASE("a sustained run never draws more than the cap, and comes close where it must") {
  for (const char* name : {"h100-sxm", "a100-sxm"}) {
    const ChipConfig on = chip(name);
    for (const char* text : heavy) {
      if (on.tensor_core.fp8_flops_per_cycle == 0 &&
          std::string(text).find("fp8") != std::string::npos)
        continue;
      INFO(name << " " << text);
      const RunResult run = run_for(text, on, 0);
      CHECK(run.power_w <= on.power.cap_w);
      if (run.clock_mhz < on.clock.core_mhz) CHECK(run.power_w > 0.92 * on.power.cap_w);
    }
  }
}

TEST_CASE("bursts are no slower than sustained runs, and zeros no slower than random data") {
  const ChipConfig on = chip("h100-sxm");
  for (const char* text : heavy) {
    INFO(text);
    const RunResult sustained = run_for(text, on, 0), burst = run_for(text, on, 12),
                    zeros = run_for(text, on, 0, Operands::zeros);
    CHECK(burst.clock_mhz >= sustained.clock_mhz);
    CHECK(figures(burst).time_us <= figures(sustained).time_us);
    CHECK(figures(zeros).time_us <= figures(sustained).time_us);
    CHECK(figures(zeros).energy_j < figures(sustained).energy_j);
  }
}

TEST_CASE("a large bf16 GEMM has the clocks that H100s have, a small one the boost clock") {
  const ChipConfig on = chip("h100-sxm");
  const std::string large = "gemm m=8192 n=8192 k=8192 dtype=bf16";
  const double sustained = run_for(large, on, 0).clock_mhz;
  CHECK(sustained >= 1540);  // 1560-1600 MHz at 700 W, less two steps of 15
  CHECK(sustained <= 1620);
  const double burst = run_for(large, on, 3).clock_mhz;  // 4 ms
  CHECK(burst >= 1620);  // 800-827 TFLOP/s at 0.9 of the peak are 1640-1700 MHz
  CHECK(burst <= 1720);
  CHECK(run_for("gemm m=64 n=256 k=512 dtype=bf16", on, 0).clock_mhz == on.clock.core_mhz);
}

TEST_CASE("a locked clock is obeyed, and the report says when the cap would not allow it") {
  const ChipConfig on = chip("h100-sxm");
  SimulationOptions options;
  options.clock_mhz = on.clock.core_mhz;
  const RunResult run = simulate(op_trace("gemm m=4096 n=4096 k=4096 dtype=bf16", on), on, options);
  CHECK(run.clock_mhz == on.clock.core_mhz);
  CHECK(run.power_w > on.power.cap_w);
  REQUIRE_FALSE(run.notes.empty());
  CHECK(run.notes.back().find("its cap is 700 W") != std::string::npos);
}

TEST_CASE("where even the lowest clock exceeds the cap, the report says so") {
  const std::string text = "gemm m=4096 n=4096 k=4096 dtype=bf16";
  const auto notes_of = [&](const std::vector<std::string>& overrides, bool exceeds) {
    const ChipConfig on = chip("h100-sxm", overrides);
    const RunResult run = run_for(text, on, 0);
    CHECK((run.power_w > on.power.cap_w) == exceeds);
    REQUIRE_FALSE(run.notes.empty());
    return run.notes.back();
  };
  CHECK(
      notes_of({"power.cap_w=300"}, true).find("at its lowest clock, 1200 MHz, the chip draws ") ==
      0);
  CHECK(notes_of({"power.cap_w=300"}, true)
            .find(" W: the 300 W power cap is exceeded (boost: 1980") != std::string::npos);
  // Also where it is the only clock.
  CHECK(
      notes_of({"power.cap_w=300", "clock.min_mhz=1980"}, true).find("at its lowest clock, 1980") ==
      0);
  CHECK(notes_of({"power.cap_w=500"}, false).find("the 500 W power cap holds the clock at ") == 0);
}

TEST_CASE("the energies of the operations, and of the stretches of time, are the run's") {
  for (const char* name : {"h100-sxm", "toy"}) {
    const ChipConfig on = chip(name);
    WorkloadOptions workload;
    workload.seq = 128;
    workload.layers = 2;
    workload.tp = 5;
    for (const bool reuse : {true, false}) {
      INFO(name << (reuse ? ", layers reused" : ""));
      SimulationOptions options;
      options.activity_bins = 64;
      options.reuse = reuse;
      const RunResult run = simulate(model_trace("gpt2-xl", workload, on), on, options);
      const Figures all = figures(run);
      CHECK(all.energy_j > 0);
      double operations = 0, time_s = 0, stretches = 0;
      for (const Figures& op : op_figures(run)) {
        CHECK(op.power_w > on.power.idle_w);
        operations += op.power_w * op.time_us * 1e-6 * static_cast<double>(op.repeat);
        time_s += op.time_us * 1e-6 * static_cast<double>(op.repeat);
      }
      for (const SectionActivity& section : run.activity) {
        REQUIRE(section.energy_j.size() == section.bins.size());
        for (const double joules : section.energy_j)
          stretches += joules * static_cast<double>(section.repeat);
      }
      CHECK(operations == Approx(all.energy_j).epsilon(1e-9));
      CHECK(stretches == Approx(all.energy_j).epsilon(1e-9));
      CHECK(run.power_w == Approx(all.energy_j / time_s).epsilon(1e-9));
      CHECK(run.power_w == Approx(all.power_w).epsilon(1e-9));
    }
  }
}

TEST_CASE("the energy of an exchange grows with its bytes, beyond what the chip idles") {
  const ChipConfig on = chip("h100-sxm");
  const auto beyond_idle = [&](std::int64_t bytes) {
    const RunResult run = run_for("allreduce ranks=8 bytes=" + std::to_string(bytes), on, 0);
    CHECK(run.clock_mhz == on.clock.core_mhz);
    const Figures f = figures(run);
    return f.energy_j - on.power.idle_w * f.time_us * 1e-6;
  };
  // S (1 + 1/8) over links, 2 S of L2 and memory.
  const double of_a_byte = 1e-12 * (1.125 * on.power.link_pj_per_byte +
                                    2 * (on.power.l2_pj_per_byte + on.power.hbm_pj_per_byte));
  for (const std::int64_t bytes : {8LL, 1LL << 20, 1LL << 24, 1LL << 28})
    CHECK(beyond_idle(bytes) == Approx(static_cast<double>(bytes) * of_a_byte).epsilon(1e-6));
}

TEST_CASE("an exchange with nobody, of nothing, or without links takes idle power") {
  const auto power_of = [](const Collective& exchange, const ChipConfig& on) {
    OneKernel k;
    k.role("exchange", {exchange, Setup{100}});
    return simulate(k.trace(), on).power_w;
  };
  const ChipConfig toy = chip("toy"), unlinked = chip("toy", {"link.bandwidth_gbps=0"});
  const double idle = toy.power.idle_w;
  CHECK(power_of({CollectiveKind::allreduce, 1, 1 << 20}, toy) == Approx(idle));
  CHECK(power_of({CollectiveKind::allreduce, 8, 0}, toy) == Approx(idle));
  CHECK(power_of({CollectiveKind::allreduce, 8, 1 << 20}, unlinked) == Approx(idle));
  CHECK(power_of({CollectiveKind::allreduce, 8, 1 << 20}, toy) > idle);
}

TEST_CASE("an exchange above the cap is noted, and takes no longer at its lowest clock") {
  const std::string text = "allreduce ranks=8 bytes=268435456";
  const RunResult free = run_for(text, chip("h100-sxm"), 0),
                  capped = run_for(text, chip("h100-sxm", {"power.cap_w=120"}), 0);
  CHECK(free.notes.empty());
  CHECK(free.clock_mhz == 1980);
  CHECK(capped.clock_mhz == 1200);
  CHECK(figures(capped).time_us == Approx(figures(free).time_us).epsilon(1e-3));
  REQUIRE(capped.notes.size() == 1);
  CHECK(capped.notes[0].find("at its lowest clock, 1200 MHz, the chip draws ") == 0);
  CHECK(capped.notes[0].find("the 120 W power cap is exceeded") != std::string::npos);
}

TEST_CASE("a clock locked above the boost clock is noted") {
  const ChipConfig on = chip("h100-sxm");
  const auto notes_at = [&](double mhz) {
    SimulationOptions options;
    options.clock_mhz = mhz;
    return simulate(op_trace("gemm m=64 n=64 k=64 dtype=bf16", on), on, options).notes;
  };
  CHECK(notes_at(1980).empty());
  REQUIRE(notes_at(1981).size() == 1);
  CHECK(notes_at(1981)[0] == "the clock is locked at 1981 MHz, above the boost clock of 1980 MHz");
}

TEST_CASE("an exchange among more chips than a node has is noted") {
  const ChipConfig on = chip("h100-sxm");
  const auto notes_of = [&](int ranks) {
    const std::string text = "allreduce bytes=1048576 ranks=" + std::to_string(ranks);
    return simulate(op_trace(text, on), on).notes;
  };
  CHECK(notes_of(8).empty());
  REQUIRE(notes_of(9).size() == 1);
  CHECK(notes_of(72)[0].find("an exchange among 72 ranks counts as one inside a node") == 0);
  CHECK(simulate(op_trace("p2p bytes=1048576 ranks=16", on), on).notes.empty());
}
