#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sim/config/loader.h"
#include "sim/engine/simulation.h"
#include "sim/trace/trace.h"

namespace tessera::test {

inline const std::vector<std::string>& chip_dirs() {
  static const std::vector<std::string> dirs = {std::string(TESSERA_SOURCE_DIR) + "/configs/chips"};
  return dirs;
}

inline ChipConfig chip(const std::string& name, const std::vector<std::string>& overrides = {}) {
  return load_chip(name, overrides, chip_dirs());
}

/// A section of one operation and one kernel, to be filled by the test.
struct OneKernel {
  Section section;

  OneKernel() {
    section.name = "test";
    OpRecord op;
    op.name = "op";
    section.ops.push_back(op);
    section.kernels.emplace_back();
    kernel().name = "kernel";
  }
  Kernel& kernel() { return section.kernels.front(); }

  OneKernel& tensor(const std::string& name, std::int64_t rows, std::int64_t cols,
                    bool warm = false) {
    Tensor t;
    t.name = name;
    t.rows = rows;
    t.cols = cols;
    t.warm = warm;
    if (!section.tensors.empty()) {
      const Tensor& last = section.tensors.back();
      t.address = round_up(last.address + last.size().value, 8192);
    }
    section.tensors.push_back(t);
    return *this;
  }
  OneKernel& barrier(const std::string& name, std::int64_t slots, std::int64_t arrivals,
                     bool initially_complete = false) {
    kernel().barriers.push_back({name, slots, arrivals, initially_complete});
    return *this;
  }
  OneKernel& role(const std::string& name, std::vector<Instruction> code, std::int64_t copies = 1) {
    Role r;
    r.name = name;
    r.copies = copies;
    r.variables = {"cluster", "rank", "copy", "i", "j", "k"};
    r.code = std::move(code);
    kernel().roles.push_back(std::move(r));
    return *this;
  }
  Trace trace(std::int64_t repeat = 1) const {
    Trace t;
    t.sections.push_back(section);
    t.sections.front().repeat = repeat;
    return t;
  }
  RunResult run(const ChipConfig& on, const SimulationOptions& options = {}) const {
    return simulate(trace(), on, options);
  }
  /// Cycles on `on`, less the launch gap and the block's setup: what the code itself takes.
  std::int64_t cycles(const ChipConfig& on) const {
    const auto gap = static_cast<std::int64_t>(on.launch.gap_us * on.clock.core_mhz);
    return run(on).ops.front().cycles.value - gap - on.launch.setup_cycles;
  }
};

}  // namespace tessera::test
