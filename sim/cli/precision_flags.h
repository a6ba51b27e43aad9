#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sim/cli/output_file.h"
#include "sim/config/chip_config.h"
#include "sim/frontend/layer_graph.h"
#include "sim/precision/evaluation.h"
#include "sim/precision/tensor_source.h"

namespace tessera::cli {

/// What `run` studies of a workload's numbers: --no-precision, --seed, --tensors, --exact,
/// --recipe.
class PrecisionFlags {
 public:
  void add_to(CLI::App& app);
  /// How numbers are to be studied. `source` must outlive the result. Throws InputError.
  EvaluationOptions options(std::optional<TensorSource>& source) const;
  /// The files of --tensors.
  std::vector<InputFile> inputs() const;
  bool is_off() const { return off_; }
  /// The errors, or nullopt with --no-precision. A chip whose arithmetic is not known gives a
  /// `note` instead, unless a flag asked for the study. Throws InputError.
  std::optional<Evaluation> evaluate(const LayerGraph& graph, const ChipConfig& chip,
                                     std::string& note) const;

 private:
  std::string seed_, tensors_, recipe_;
  bool off_ = false, exact_ = false;
};

}  // namespace tessera::cli
