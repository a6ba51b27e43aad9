#include <catch2/catch.hpp>
#include <string>

#include "tests/support/machine.h"

using namespace tessera;
using namespace tessera::test;

namespace {

/// Every core reads its share of a tensor whose rows are one L2 line, through a ring of boxes:
/// boxes of neighbouring rows (1 GiB in all), or rows from random places.
OneKernel kernel_of(const ChipConfig& on, bool gather) {
  const std::int64_t cols = on.l2.line_bytes / 2;  // bf16
  const std::int64_t rows = (std::int64_t{1} << 30) / on.l2.line_bytes;
  const std::int64_t box = gather ? 64 : 128, slots = gather ? 16 : 8;
  const std::int64_t bytes = box * on.l2.line_bytes;
  OneKernel k;
  k.tensor("x", rows, cols).barrier("full", slots, 1).barrier("empty", slots, 1, true);
  k.kernel().grid = on.core.count;
  k.kernel().scratchpad_bytes = slots * bytes;
  const VarId i = 3;
  // A million random rows are enough for a steady state.
  const std::int64_t boxes = (gather ? std::int64_t{1} << 20 : rows) / box / on.core.count;
  Load load;
  load.row = Expr::var(var_cluster, box) + Expr::var(i, box * on.core.count);
  load.rows = box;
  load.cols = cols;
  load.gather = gather;
  k.role("producer", {Loop{i, 0, boxes, 1}, Wait{1}, Expect{0, bytes}, load, End{}});
  k.role("consumer", {Loop{i, 0, boxes, 1}, Wait{0}, Arrive{1}, End{}});
  return k;
}

struct Reached {
  double share = 0;  ///< of HBM peak, without the launch gap
  std::int64_t read = 0, cycles = 0;
  std::int64_t hbm_core_cycles = 0, core_cycles = 0;
};

Reached run(const ChipConfig& on, bool gather, MemoryModel memory = MemoryModel::hbm) {
  SimulationOptions options;
  options.memory = memory;
  const RunResult result = kernel_of(on, gather).run(on, options);
  Reached r;
  r.cycles = result.ops[0].cycles.value;
  r.read = result.ops[0].hbm_read.value;
  const double seconds =
      static_cast<double>(r.cycles) / (result.clock_mhz * 1e6) - on.launch.gap_us * 1e-6;
  r.share = static_cast<double>(r.read) / seconds / (on.hbm.bandwidth_gbps * 1e9);
  for (const std::int64_t c : result.ops[0].core_cycles) r.core_cycles += c;
  r.hbm_core_cycles = result.ops[0].core_cycles[static_cast<std::size_t>(Cause::hbm)];
  return r;
}

}  // namespace

TEST_CASE("streaming reads reach 88 to 97 % of memory's peak, and are charged to memory") {
  for (const char* name : {"h100-sxm", "h200-sxm", "a100-sxm"}) {
    const Reached r = run(chip(name), false);
    INFO(name << ": " << r.share);
    CHECK(r.read > (std::int64_t{1} << 30) * 99 / 100);  // each byte once
    CHECK(r.read <= std::int64_t{1} << 30);
    CHECK(r.share >= 0.88);
    CHECK(r.share <= 0.97);
    CHECK(r.hbm_core_cycles > r.core_cycles * 9 / 10);
  }
}

TEST_CASE("with the fixed-latency memory the same stream comes near peak, but not above") {
  const Reached banks = run(chip("h100-sxm"), false),
                fixed = run(chip("h100-sxm"), false, MemoryModel::fixed_latency);
  INFO(banks.share << " and " << fixed.share);
  CHECK(fixed.read == banks.read);
  CHECK(fixed.cycles < banks.cycles);  // neither refresh nor banks
  CHECK(fixed.share >= 0.95);
  CHECK(fixed.share <= 1.0);
}

TEST_CASE("a cold gather of random 32-byte rows is bound by activates, far below the stream") {
  for (const char* name : {"h100-sxm", "a100-sxm"}) {
    const ChipConfig on = chip(name, {"l2.line_bytes=32"});
    const HbmConfig& c = on.hbm;
    const double channels = c.stacks * c.pseudo_channels_per_stack;
    const double bound =
        32 / c.trrd_ns * channels / c.bandwidth_gbps * (1 - c.trfc_ns / c.trefi_ns);
    const Reached r = run(on, true);
    INFO(name << ": " << r.share << " of peak, bound " << bound);
    CHECK(r.share <= bound);
    CHECK(r.share >= 0.75 * bound);
    CHECK(r.share < 0.35);
  }
}

TEST_CASE("whole lines from random rows come slower than a stream") {
  for (const char* name : {"h100-sxm", "a100-sxm"}) {
    const Reached gathered = run(chip(name), true), streamed = run(chip(name), false);
    INFO(name << ": " << gathered.share << " and " << streamed.share);
    CHECK(gathered.share < streamed.share);
    CHECK(gathered.share > 0.5);
  }
}
