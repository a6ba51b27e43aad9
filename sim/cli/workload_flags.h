#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sim/cli/output_file.h"
#include "sim/config/chip_config.h"
#include "sim/frontend/layer_graph.h"
#include "sim/frontend/precision_choice.h"
#include "sim/trace/trace.h"

namespace tessera::cli {

/// --chip and --set: which chip.
class ChipFlags {
 public:
  void add_to(CLI::App& app);
  /// Throws InputError.
  ChipConfig load() const;
  /// The chip's file and its bases.
  std::vector<InputFile> inputs() const;
  bool is_given() const { return !chip_.empty() || !overrides_.empty(); }
  /// The chip before --set. Throws InputError.
  ChipConfig load_base() const;
  /// How a chip file in `folder` names this one as its base: a name as it is, a file relative.
  std::string base_for(const std::string& folder) const;

 private:
  std::string chip_;
  std::vector<std::string> overrides_;
};

/// The flag --error-budget, of `run` alone.
class BudgetFlag {
 public:
  void add_to(CLI::App& app);
  /// The budget, or the default. Throws InputError if it is given and nothing `chooses`.
  double value(bool chooses) const;

 private:
  std::string budget_;
};

/// The WORKLOAD flags: --op, or --model with its own. Numbers are read as text, so that a wrong one
/// is reported in the same form as any other wrong input.
class WorkloadFlags {
 public:
  void add_to(CLI::App& app);
  /// The operations asked for. Throws InputError, also for --precision auto.
  LayerGraph build() const;

  /// The model's file.
  std::vector<InputFile> inputs() const;

  /// Whether --precision auto was given.
  bool choose_precision() const { return precision_ == "auto"; }
  /// The precision that --precision auto falls back to on `chip`: bf16, or fp16 where it has none.
  static Precision wide_precision(const ChipConfig& chip);
  /// For --precision auto, the model in every precision there is to choose from: wide_precision()
  /// and, if the chip has them, the precisions in fp8, which attention then takes too. Throws
  /// InputError.
  GraphVariants variants(const ChipConfig& chip) const;

  /// "" if the workload fits the memory of `chip`, or --allow-oversubscription was given: then the
  /// note for the report. Throws InputError that says by how much it is too large.
  std::string memory_note(const LayerGraph& graph, const ChipConfig& chip) const;

 private:
  void check_one_workload() const;
  LayerGraph build_model(std::optional<Precision> precision) const;

  std::string op_, model_, phase_, batch_, seq_, past_, layers_, precision_, tp_;
  bool allow_oversubscription_ = false;
};

/// The trace of `graph` on `chip`, stamped with this program's version and the chip's digest.
Trace lower_for(const LayerGraph& graph, const ChipConfig& chip);

}  // namespace tessera::cli
