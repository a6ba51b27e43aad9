#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/property/random_op.h"
#include "tests/property/sound_run.h"

using namespace tessera;
using namespace tessera::test;

namespace {

SimulationOptions locked(bool sampling) {
  SimulationOptions options;
  options.clock_mhz = 1700;
  options.sampling = sampling;
  return options;
}

double cycles(const RunResult& run) {
  double sum = 0;
  for (const OpResult& op : run.ops)
    sum += static_cast<double>(op.cycles.value) * static_cast<double>(op.repeat);
  return sum;
}

bool is_sampled(const RunResult& run) {
  for (const std::string& note : run.notes)
    if (note.find("simulated in part (--sampling)") != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("samples of long kernels say what the whole takes and moves") {
  // Of samples of items of different lengths 2 % is the worst of the measured tables' rows, but for
  // those whose L2 goes on filling. Streams that keep the memory busy change their pace by some
  // percent as they go.
  struct Case {
    std::string text;
    double within;
  };
  const Case tried = GENERATE(
      Case{"gemm m=8192 n=32768 k=2048 dtype=bf16", 0.01},
      Case{"gemm m=4000 n=60000 k=1024 dtype=bf16", 0.01},
      Case{"linear m=16384 n=8192 k=8192 dtype=fp8-block", 0.02},
      Case{"attention batch=16 q_len=4096 kv_len=4096 heads=32 kv_heads=8 head_dim=128 causal=1 "
           "dtype=bf16",
           0.02},
      Case{"attention batch=64 q_len=2048 kv_len=2048 heads=16 kv_heads=16 head_dim=64 causal=1 "
           "dtype=bf16 kv_dtype=bf16",
           0.02},
      Case{"attention batch=32 q_len=2048 kv_len=2048 heads=16 kv_heads=16 head_dim=128 causal=0 "
           "dtype=fp8",
           0.01},
      Case{"layernorm rows=65536 cols=8192 dtype=bf16", 0.05});
  INFO(tried.text);
  const ChipConfig on = chip("h100-sxm");
  const Trace trace = op_trace(tried.text, on);
  const RunResult whole = simulate(trace, on, locked(false));
  const RunResult part = simulate(trace, on, locked(true));
  CHECK_FALSE(is_sampled(whole));
  REQUIRE(is_sampled(part));
  check_sound(part, trace, on, 0.05);
  const OpResult &a = part.ops.front(), &b = whole.ops.front();
  const auto near = [&](double expected, double within) {
    return Approx(expected).epsilon(within);
  };
  CHECK(cycles(part) == near(cycles(whole), tried.within));
  CHECK(static_cast<double>((a.hbm_read + a.hbm_write).value) ==
        near(static_cast<double>((b.hbm_read + b.hbm_write).value), 0.1));
  CHECK(static_cast<double>(a.l2_read.value) == near(static_cast<double>(b.l2_read.value), 0.02));
  CHECK(static_cast<double>(a.scratchpad_bytes.value) ==
        near(static_cast<double>(b.scratchpad_bytes.value), 0.02));
  CHECK(a.energy_j == near(b.energy_j, 0.03));
  // A digest names what was simulated.
  CHECK(part.digest != whole.digest);
}

TEST_CASE("samples cost a part of the whole's events") {
  const ChipConfig on = chip("h100-sxm");
  const Trace trace = op_trace("gemm m=16384 n=16384 k=1024 dtype=bf16", on);
  const RunResult whole = simulate(trace, on, locked(false));
  const RunResult part = simulate(trace, on, locked(true));
  CHECK(part.simulator.events * 3 < whole.simulator.events);
}

TEST_CASE("where nothing is long, sampling changes nothing") {
  const ChipConfig on = chip("h100-sxm");
  Draw draw(11);
  for (int i = 0; i < case_count(6); ++i) {
    const std::string text = random_op(draw.pick({OpClass::decode, OpClass::rowwise}), draw, on);
    INFO(text);
    const Trace trace = op_trace(text, on);
    const RunResult part = simulate(trace, on, locked(true));
    if (is_sampled(part)) continue;
    CHECK(cycles(part) == cycles(simulate(trace, on, locked(false))));
  }
}

TEST_CASE("samples are the same with any jobs, in any order, reused or not") {
  const ChipConfig on = chip("h100-sxm");
  const Trace trace = op_trace("linear m=16384 n=16384 k=8192 dtype=fp8", on);
  SimulationOptions options;
  options.sampling = true;
  const RunResult one = simulate(trace, on, options);
  REQUIRE(is_sampled(one));
  check_sound(one, trace, on, 0.05);
  options.jobs = 2;
  options.construction_seed = 3;
  CHECK(report(simulate(trace, on, options)) == report(one));
  options.reuse = false;
  CHECK(cycles(simulate(trace, on, options)) == cycles(one));
}

TEST_CASE("samples find the clock that the whole has") {
  const ChipConfig on = chip("h100-sxm");
  const std::string text =
      GENERATE(as<std::string>(), "gemm m=16384 n=16384 k=4096 dtype=bf16",
               "attention batch=16 q_len=8192 kv_len=8192 heads=32 kv_heads=8 head_dim=128 "
               "causal=1 dtype=bf16");
  INFO(text);
  const Trace trace = op_trace(text, on);
  SimulationOptions options;
  options.sampling = true;
  const RunResult part = simulate(trace, on, options);
  REQUIRE(is_sampled(part));
  check_sound(part, trace, on, 0.05);
  options.sampling = false;
  const RunResult whole = simulate(trace, on, options);
  REQUIRE(whole.clock_mhz < on.clock.core_mhz);
  // The whole may stop two of the governor's steps below what is allowed.
  CHECK(part.clock_mhz == Approx(whole.clock_mhz).margin(45));
  CHECK(cycles(part) / part.clock_mhz == Approx(cycles(whole) / whole.clock_mhz).epsilon(0.025));
  CHECK(part.power_w == Approx(on.power.cap_w).epsilon(0.02));
}

TEST_CASE("a timeline is of the whole run") {
  const ChipConfig on = chip("h100-sxm");
  const Trace trace = op_trace("gemm m=16384 n=8192 k=1024 dtype=bf16", on);
  SimulationOptions options = locked(true);
  options.activity_bins = 64;
  const RunResult run = simulate(trace, on, options);
  CHECK_FALSE(is_sampled(run));
  CHECK(cycles(run) == cycles(simulate(trace, on, locked(false))));
}
