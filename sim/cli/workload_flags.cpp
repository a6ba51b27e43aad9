#include "sim/cli/workload_flags.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "sim/base/error.h"
#include "sim/cli/data_dirs.h"
#include "sim/cli/flag_value.h"
#include "sim/cli/verb.h"
#include "sim/cli/version.h"
#include "sim/config/loader.h"
#include "sim/frontend/lowering.h"
#include "sim/frontend/op_text.h"
#include "sim/frontend/workload.h"
#include "sim/precision/layer_policy.h"
#include "sim/trace/digest.h"

namespace tessera::cli {
namespace {

constexpr double max_error_budget = 1e100;  // its square is still finite

}  // namespace

void ChipFlags::add_to(CLI::App& app) {
  add_value(app, "--chip", chip_, "CHIP", "Chip: a name (`tessera list chips`) or a YAML file");
  add_repeatable(app, "--set", overrides_, "KEY=VALUE",
                 "Override a key of the chip (`tessera list chips --keys`); repeatable");
}

ChipConfig ChipFlags::load() const {
  if (chip_.empty())
    throw InputError(
        "--chip", "missing",
        fmt::format("give a YAML file or one of {}", fmt::join(chip_names(chip_dirs()), ", ")));
  return load_chip(chip_, overrides_, chip_dirs());
}

std::vector<InputFile> ChipFlags::inputs() const {
  std::vector<InputFile> inputs;
  if (chip_.empty()) return inputs;
  for (const std::string& file : chip_files(chip_, chip_dirs())) inputs.push_back({"--chip", file});
  return inputs;
}

ChipConfig ChipFlags::load_base() const { return load_chip(chip_, {}, chip_dirs()); }

std::string ChipFlags::base_for(const std::string& folder) const {
  const bool is_file = chip_.find('/') != std::string::npos ||
                       std::filesystem::path(chip_).extension() == ".yaml" ||
                       std::filesystem::path(chip_).extension() == ".yml";
  if (!is_file) return chip_;
  const std::string relative = std::filesystem::proximate(chip_, folder).string();
  return relative.find('/') == std::string::npos ? "./" + relative : relative;
}

void WorkloadFlags::add_to(CLI::App& app) {
  add_value(app, "--op", op_, "TEXT",
            "One operation: \"KIND field=value ...\" (`tessera list ops`)");
  add_value(app, "--model", model_, "NAME|FILE",
            "Model: a name (`tessera list models`), a YAML description, or a Hugging Face "
            "config.json");
  add_value(app, "--phase", phase_, "PHASE", "prefill or decode");
  add_value(app, "--batch", batch_, "N", "Sequences (default 1)");
  add_value(app, "--seq", seq_, "N", "New tokens per sequence (in decode 1 by default)");
  add_value(app, "--past", past_, "N", "Tokens already in the KV cache (default 0)");
  add_value(app, "--layers", layers_, "N",
            "Only the first N decoder layers, without embedding and head (default: all)");
  add_value(app, "--precision", precision_, "FORMAT",
            "Of the linear layers: bf16 (default), fp16, fp8, fp8+promote, fp8-block, or auto: "
            "`run` chooses for each operation, by simulated time and measured error");
  add_value(app, "--tp", tp_, "N", "Chips that share each layer (default 1)");
  app.add_flag("--allow-oversubscription", allow_oversubscription_,
               "Go on when the workload does not fit the chip's memory");
}

void BudgetFlag::add_to(CLI::App& app) {
  add_value(app, "--error-budget", budget_, "X",
            fmt::format("With --precision auto: relative RMSE that a layer's output may have "
                        "(default {})",
                        default_error_budget));
}

double BudgetFlag::value(bool chooses) const {
  if (budget_.empty()) return default_error_budget;
  if (!chooses)
    throw InputError("--error-budget", "applies to --precision auto only", "add --precision auto");
  return parse_number("--error-budget", budget_, 0, max_error_budget);
}

void WorkloadFlags::check_one_workload() const {
  if (op_.empty() && model_.empty())
    throw InputError("--op, --model", "no workload",
                     "give --op \"gemm m=4096 n=4096 k=4096 dtype=bf16\" or --model NAME --phase "
                     "prefill --seq 2048");
  if (model_.empty()) {
    for (const auto& [flag, value] :
         {std::pair{"--phase", &phase_}, std::pair{"--batch", &batch_}, std::pair{"--seq", &seq_},
          std::pair{"--past", &past_}, std::pair{"--layers", &layers_},
          std::pair{"--precision", &precision_}, std::pair{"--tp", &tp_}}) {
      if (!value->empty())
        throw InputError(flag, "applies to --model only", "say it in the text of --op");
    }
    return;
  }
  if (!op_.empty()) throw InputError("--op", "given with --model", "give one of the two");
}

std::vector<InputFile> WorkloadFlags::inputs() const {
  if (model_.empty()) return {};
  return {{"--model", model_file(model_, model_dirs())}};
}

LayerGraph WorkloadFlags::build() const {
  check_one_workload();
  if (model_.empty()) return op_graph(op_);
  if (choose_precision())
    throw InputError("--precision", "auto is decided by simulations, which only `run` makes",
                     "give the precision, e.g. bf16 or fp8");
  return build_model(std::nullopt);
}

Precision WorkloadFlags::wide_precision(const ChipConfig& chip) {
  return chip.tensor_core.flops_per_cycle(Format::bf16) > 0 ? Precision::bf16 : Precision::fp16;
}

GraphVariants WorkloadFlags::variants(const ChipConfig& chip) const {
  check_one_workload();
  GraphVariants variants;
  const Precision wide = wide_precision(chip);
  variants[wide] = build_model(wide);
  if (chip.tensor_core.flops_per_cycle(Format::e4m3) == 0) return variants;
  for (const Precision precision : {Precision::fp8, Precision::fp8_promote, Precision::fp8_block}) {
    variants[precision] = build_model(precision);
  }
  for (GraphBlock& block : variants[Precision::fp8].blocks) {
    for (Op& op : block.ops) {
      if (op.kind == OpKind::attention) op.precision = Precision::fp8;
    }
  }
  return variants;
}

LayerGraph WorkloadFlags::build_model(std::optional<Precision> precision) const {
  WorkloadOptions options;
  if (phase_.empty()) throw InputError("--phase", "missing", "give prefill or decode");
  options.phase = parse_phase(phase_);
  if (seq_.empty() && options.phase == Phase::prefill)
    throw InputError("--seq", "missing", "give the number of new tokens per sequence");
  const auto count = [](const char* flag, const std::string& text, std::int64_t fallback,
                        std::int64_t min, std::int64_t max) {
    return text.empty() ? fallback : parse_count(flag, text, min, max);
  };
  options.batch = count("--batch", batch_, 1, 1, max_batch);
  options.seq = count("--seq", seq_, 1, 1, max_position_count);
  options.past = count("--past", past_, 0, 0, max_position_count);
  options.layers = count("--layers", layers_, 0, 1, max_layers);
  options.tp = count("--tp", tp_, 1, 1, max_tp);
  if (precision) {
    options.precision = *precision;
  } else if (!precision_.empty()) {
    options.precision = parse_precision(precision_, "--precision");
  }
  return build_workload(model_, model_dirs(), options);
}

std::string WorkloadFlags::memory_note(const LayerGraph& graph, const ChipConfig& chip) const {
  const std::string why = memory_excess(graph, chip);
  if (why.empty()) return "";
  if (allow_oversubscription_) return "memory oversubscribed: the workload " + why;
  throw InputError("memory", "the workload " + why,
                   "take fewer --layers, a smaller --batch, a higher --tp, or go on with "
                   "--allow-oversubscription");
}

Trace lower_for(const LayerGraph& graph, const ChipConfig& chip) {
  LoweringOptions options;
  options.tool_version = version;
  options.chip_digest = content_digest(canonical_text(chip));
  return lower(graph, chip, options);
}

}  // namespace tessera::cli
