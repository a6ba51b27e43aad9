#include "tests/property/sound_run.h"

#include <catch2/catch.hpp>

#include "sim/frontend/lowering.h"
#include "sim/frontend/op_text.h"
#include "sim/frontend/workload.h"
#include "sim/report/figures.h"
#include "sim/report/json.h"

namespace tessera::test {
namespace {

// Times are quotients of integers by a clock: equal ones may differ in the last bits.
constexpr double rounding = 1 + 1e-12;

struct Launched {
  const OpRecord* op = nullptr;
  double gap_cycles = 0;  ///< between the kernels of one execution
};

/// The operations of `trace` in the order of RunResult::ops with reuse.
std::vector<Launched> launched_ops(const Trace& trace, const ChipConfig& on, double clock_mhz) {
  std::vector<Launched> all;
  for (const Section& section : trace.sections) {
    const std::size_t first = all.size();
    for (const OpRecord& op : section.ops) all.push_back({&op, 0});
    for (const Kernel& kernel : section.kernels) {
      const double gap_us = on.launch.gap_us - (kernel.early_launch ? on.launch.overlap_us : 0);
      all[first + static_cast<std::size_t>(kernel.op)].gap_cycles += gap_us * clock_mhz;
    }
  }
  return all;
}

}  // namespace

Trace op_trace(const std::string& text, const ChipConfig& on) { return lower(op_graph(text), on); }

Trace model_trace(const std::string& name, const WorkloadOptions& options, const ChipConfig& on) {
  const std::vector<std::string> dirs = {std::string(TESSERA_SOURCE_DIR) + "/models"};
  return lower(build_workload(name, dirs, options), on);
}

std::string report(const RunResult& run) { return to_json(run, SimulatorPart::leave_out).dump(2); }

void check_sound(const RunResult& run, const Trace& trace, const ChipConfig& on, double error) {
  const std::vector<Launched> launched = launched_ops(trace, on, run.clock_mhz);
  REQUIRE(run.ops.size() == launched.size());
  REQUIRE(run.clock_mhz <= on.clock.core_mhz);
  for (std::size_t i = 0; i < run.ops.size(); ++i) {
    const OpResult& op = run.ops[i];
    CAPTURE(op.name, op.cycles.value, run.clock_mhz);
    const auto cycles = static_cast<double>(op.cycles.value);
    // A gap of a fraction of a cycle may be rounded up by the machine: one cycle a kernel at most.
    const double busy_us = (cycles - launched[i].gap_cycles) / run.clock_mhz;
    CHECK(busy_us * rounding >= op.roofline_us);
    const double time_us = cycles / run.clock_mhz;

    const double rate = on.tensor_core.flops_per_cycle(launched[i].op->format);
    if (op.tensor_flops.value > 0) {
      CHECK(static_cast<double>(op.tensor_flops.value) <= cycles * on.core.count * rate);
    }
    CHECK(static_cast<double>(op.hbm_read.value) >=
          (1 - error) * static_cast<double>(launched[i].op->compulsory_read.value));
    CHECK(op.hbm_write.value >= 0);
    CHECK(static_cast<double>((op.hbm_read + op.hbm_write).value) <=
          time_us * on.hbm.bandwidth_gbps * 1e3 * rounding);
    CHECK(op.l2_hit.value >= 0);
    CHECK(op.l2_hit <= op.l2_read);

    std::int64_t charged = 0;
    for (const std::int64_t core_cycles : op.core_cycles) {
      CHECK(core_cycles >= 0);
      charged += core_cycles;
    }
    CHECK(charged == op.cycles.value * on.core.count);
  }
  const Figures all = figures(run);
  CHECK(all.roofline_fraction <= rounding);
  CHECK(all.tensor_core_utilization <= rounding);
  CHECK(all.hbm_utilization <= rounding);
  CHECK(all.l2_hit_rate <= 1);
}

}  // namespace tessera::test
