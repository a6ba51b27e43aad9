#include "sim/cli/precision_flags.h"

#include <fmt/format.h>

#include <limits>

#include "sim/base/error.h"
#include "sim/cli/flag_value.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"

namespace tessera::cli {

void PrecisionFlags::add_to(CLI::App& app) {
  app.add_flag("--no-precision", off_, "Do not study the numerical error of the workload");
  add_value(app, "--seed", seed_, "N", "Of the synthetic tensors and the sampling (default 1)");
  add_value(app, "--tensors", tensors_, "DIR",
            "Weights and activations in .safetensors or .npy files, by name: "
            "layer.attention.qkv.weight, or as a Hugging Face checkpoint (default: synthetic)");
  app.add_flag("--exact", exact_, "Compute every output instead of a sample (small workloads)");
  add_value(app, "--recipe", recipe_, "NAME",
            "Scaling of FP8 operands: current (default), delayed, token, mxfp8 or nvfp4; block is "
            "--precision fp8-block");
}

std::vector<InputFile> PrecisionFlags::inputs() const {
  if (tensors_.empty()) return {};
  return inputs_in("--tensors", tensors_, is_tensor_file);
}

EvaluationOptions PrecisionFlags::options(std::optional<TensorSource>& source) const {
  EvaluationOptions options;
  if (!seed_.empty())
    options.seed = static_cast<std::uint64_t>(
        parse_count("--seed", seed_, 0, std::numeric_limits<std::int64_t>::max()));
  options.exact = exact_;
  if (!recipe_.empty()) options.recipe = parse_recipe(recipe_);
  if (!tensors_.empty()) options.tensors = &source.emplace(tensors_);
  return options;
}

std::optional<Evaluation> PrecisionFlags::evaluate(const LayerGraph& graph, const ChipConfig& chip,
                                                   std::string& note) const {
  const bool asked = !seed_.empty() || !tensors_.empty() || !recipe_.empty() || exact_;
  if (off_) {
    if (asked)
      throw InputError("--no-precision", "given with a flag of the study it turns off",
                       "leave one out");
    return std::nullopt;
  }
  std::optional<TensorSource> source;
  const EvaluationOptions options = this->options(source);
  try {
    const Progress progress("computing the numerical error of " + graph.workload);
    return tessera::evaluate(graph, chip, options);
  } catch (const InputError& error) {
    if (asked) throw;
    note = fmt::format("numerical error not studied: {}", error.what());
    return std::nullopt;
  }
}

}  // namespace tessera::cli
