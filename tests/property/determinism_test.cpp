#include <catch2/catch.hpp>

#include "sim/report/figures.h"
#include "tests/property/sound_run.h"

using namespace tessera;
using namespace tessera::test;

namespace {

struct Case {
  const char* name;
  Trace (*trace)(const ChipConfig&);
};

Trace two_layers(const ChipConfig& on) {
  WorkloadOptions options;
  options.seq = 256;
  options.layers = 2;
  return model_trace("gpt2-xl", options, on);
}

const Case cases[] = {
    {"a GEMM of clusters with a ragged last wave",
     [](const ChipConfig& on) { return op_trace("gemm m=2100 n=4100 k=1000 dtype=bf16", on); }},
    {"a GEMM with split K",
     [](const ChipConfig& on) { return op_trace("gemm m=128 n=512 k=16384 dtype=fp16", on); }},
    {"flash attention",
     [](const ChipConfig& on) {
       return op_trace(
           "attention batch=1 q_len=1500 kv_len=1500 heads=16 kv_heads=4 head_dim=128 causal=1",
           on);
     }},
    {"split-KV decode attention",
     [](const ChipConfig& on) {
       return op_trace(
           "attention batch=2 q_len=1 kv_len=9000 heads=32 kv_heads=8 head_dim=128 causal=1", on);
     }},
    {"a mixture of experts",
     [](const ChipConfig& on) {
       return op_trace("moe tokens=300 hidden=1024 inter=704 topk=2 experts=8 dtype=bf16", on);
     }},
    {"a row-wise operation",
     [](const ChipConfig& on) { return op_trace("rmsnorm rows=3001 cols=4096 dtype=bf16", on); }},
    {"two layers of GPT-2 XL", two_layers},
};

}  // namespace

TEST_CASE("the order in which modules are built does not change a bit of the report") {
  for (const char* chip_name : {"h100-sxm", "toy"}) {
    const ChipConfig on = chip(chip_name);
    for (const Case& c : cases) {
      INFO(c.name << " on " << chip_name);
      const Trace trace = c.trace(on);
      const std::string expected = report(simulate(trace, on));
      for (const std::uint64_t seed : {1, 2, 20261124}) {
        SimulationOptions options;
        options.construction_seed = seed;
        CHECK(report(simulate(trace, on, options)) == expected);
      }
    }
  }
}

TEST_CASE("repeating a run, lowering included, does not change a bit of the report") {
  const ChipConfig on = chip("h100-sxm");
  for (const Case& c : cases) {
    INFO(c.name);
    const std::string expected = report(simulate(c.trace(on), on));
    CHECK(report(simulate(c.trace(on), on)) == expected);
  }
}

TEST_CASE("the number of jobs does not change a bit of the report") {
  const ChipConfig on = chip("h100-sxm");
  WorkloadOptions workload;
  workload.seq = 64;
  const Trace whole_model = model_trace("gpt2-xl", workload, on);
  REQUIRE(whole_model.sections.size() >= 3);
  for (const bool reuse : {true, false}) {
    const Trace trace = reuse ? whole_model : two_layers(on);
    SimulationOptions options;
    options.reuse = reuse;
    const std::string expected = report(simulate(trace, on, options));
    for (const int jobs : {2, 4}) {
      options.jobs = jobs;
      options.construction_seed = static_cast<std::uint64_t>(jobs);
      CHECK(report(simulate(trace, on, options)) == expected);
    }
  }
}

TEST_CASE("simulating every layer gives the cycles that reusing one gives") {
  const ChipConfig on = chip("h100-sxm");
  WorkloadOptions workload;
  workload.seq = 200;
  workload.layers = 3;
  const Trace trace = model_trace("gpt2-xl", workload, on);
  SimulationOptions every;
  every.reuse = false;
  const RunResult reused = simulate(trace, on), simulated = simulate(trace, on, every);
  REQUIRE(reused.simulated_sections == 1);
  REQUIRE(reused.reused_sections == 2);
  REQUIRE(simulated.simulated_sections == 3);
  REQUIRE(simulated.ops.size() == 3 * reused.ops.size());
  for (std::size_t i = 0; i < simulated.ops.size(); ++i) {
    const OpResult& one = reused.ops[i % reused.ops.size()];
    const OpResult& other = simulated.ops[i];
    CAPTURE(other.name);
    CHECK(other.cycles == one.cycles);
    CHECK(other.core_cycles == one.core_cycles);
    CHECK(other.hbm_read == one.hbm_read);
    CHECK(other.hbm_write == one.hbm_write);
    CHECK(other.l2_hit == one.l2_hit);
    CHECK(other.repeat * 3 == one.repeat);
  }
  const Figures with = figures(reused), without = figures(simulated);
  CHECK(with.cycles == without.cycles);
  CHECK(with.flops == without.flops);
  CHECK(with.hbm_bytes() == without.hbm_bytes());
  CHECK(with.core_cycles == without.core_cycles);
  CHECK(with.energy_j == Approx(without.energy_j).epsilon(1e-12));
}

TEST_CASE("sections that differ in names only share one simulation") {
  const ChipConfig on = chip("toy");
  Trace trace = op_trace("gemm m=256 n=256 k=256 dtype=bf16", on);
  Section renamed = trace.sections.front();
  renamed.name = "again";
  renamed.kernels.front().name = "another";
  trace.sections.push_back(renamed);
  const RunResult run = simulate(trace, on);
  CHECK(run.simulated_sections == 1);
  CHECK(run.reused_sections == 1);
  REQUIRE(run.ops.size() == 2);
  CHECK(run.ops[0].cycles == run.ops[1].cycles);
  CHECK(run.ops[1].name.rfind("again.", 0) == 0);
}

TEST_CASE("a simulation at which somebody looks takes the same cycles as one left to itself") {
  for (const char* chip_name : {"h100-sxm", "toy"}) {
    const ChipConfig on = chip(chip_name);
    for (const Case& c : cases) {
      for (const MemoryModel memory : {MemoryModel::hbm, MemoryModel::fixed_latency}) {
        INFO(c.name << " on " << chip_name << " with " << name(memory));
        const Trace trace = c.trace(on);
        SimulationOptions alone, watched;
        alone.memory = watched.memory = memory;
        watched.activity_bins = 64;
        RunResult expected = simulate(trace, on, alone), result = simulate(trace, on, watched);
        CHECK(result.simulator.events == expected.simulator.events);
        result.activity.clear();
        CHECK(report(result) == report(expected));
      }
    }
  }
}
