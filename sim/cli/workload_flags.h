#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "sim/config/chip_config.h"
#include "sim/frontend/layer_graph.h"
#include "sim/trace/trace.h"

namespace tessera::cli {

/// --chip and --set: which chip.
class ChipFlags {
 public:
  void add_to(CLI::App& app);
  /// Throws InputError.
  ChipConfig load() const;
  bool is_given() const { return !chip_.empty() || !overrides_.empty(); }

 private:
  std::string chip_;
  std::vector<std::string> overrides_;
};

/// The WORKLOAD flags: --op, or --model with its own. Numbers are read as text, so that a wrong one
/// is reported in the same form as any other wrong input.
class WorkloadFlags {
 public:
  void add_to(CLI::App& app);
  /// The operations asked for. Throws InputError.
  LayerGraph build() const;

  /// "" if the workload fits the memory of `chip`, or --allow-oversubscription was given: then the
  /// note for the report. Throws InputError that says by how much it is too large.
  std::string memory_note(const LayerGraph& graph, const ChipConfig& chip) const;

 private:
  LayerGraph build_model() const;

  std::string op_, model_, phase_, batch_, seq_, past_, layers_, precision_, tp_;
  bool allow_oversubscription_ = false;
};

/// The trace of `graph` on `chip`, stamped with this program's version and the chip's digest.
Trace lower_for(const LayerGraph& graph, const ChipConfig& chip);

}  // namespace tessera::cli
