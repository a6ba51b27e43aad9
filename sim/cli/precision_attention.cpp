#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "sim/base/error.h"
#include "sim/cli/flag_value.h"
#include "sim/cli/output_file.h"
#include "sim/cli/precision.h"
#include "sim/cli/terminal.h"
#include "sim/cli/version.h"
#include "sim/datapath/attention_study.h"

namespace tessera::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* example = R"(Examples:
  tessera precision attention                        FlashAttention-3's Table 3, 16 seeds
  tessera precision attention --seq 1024 --head-dim 64 --queries 0 --accumulate exact

Q, K and V are N(0, 1) + N(0, 100) * Bernoulli(0.001); errors are against attention in FP64 of the
same FP32 numbers. The deviation is from seed to seed.
)";

struct Flags {
  std::string seq = "4096", head_dim = "128", queries = "256", seeds = "16", seed = "1";
  std::string unit = "h100", accumulate = "unit", json, jobs;
};

int run_attention(const Flags& flags) {
  AttentionStudyOptions options;
  options.seq = parse_count("--seq", flags.seq, 1, 65536);
  options.head_dim = parse_count("--head-dim", flags.head_dim, 16, 256);
  options.queries = parse_count("--queries", flags.queries, 0, 65536);
  options.seeds = static_cast<int>(parse_count("--seeds", flags.seeds, 1, 10000));
  options.first_seed = parse_seed(flags.seed);
  options.jobs = parse_jobs(flags.jobs);
  if ((options.head_dim & (options.head_dim - 1)) != 0)
    throw InputError("--head-dim", fmt::format("{} is no power of two", flags.head_dim),
                     "give 16, 32, 64, 128 or 256: the Hadamard matrix has that size");
  if (flags.accumulate != "unit" && flags.accumulate != "exact")
    throw InputError("--accumulate", fmt::format("there is no accumulation '{}'", flags.accumulate),
                     "give unit (as the tensor core) or exact (rounded to FP32 once per block)");
  if (flags.accumulate == "unit")
    options.units = {unit_of_format(flags.unit, Format::fp16),
                     unit_of_format(flags.unit, Format::e4m3)};
  std::optional<OutputFile> json_file;
  if (!flags.json.empty()) json_file.emplace("--json", flags.json);

  std::vector<AttentionError> errors;
  {
    const Progress progress("attending");
    errors = study_attention(options);
  }
  if (json_file) {
    Json json = {{"schema", "tessera-precision-attention/1"},
                 {"tool_version", version},
                 {"seq", options.seq},
                 {"head_dim", options.head_dim},
                 {"queries", options.queries},
                 {"seed", options.first_seed},
                 {"seeds", options.seeds},
                 {"unit", flags.unit},
                 {"accumulate", flags.accumulate},
                 {"recipes", Json::array()}};
    for (const AttentionError& error : errors) {
      Json entry = {{"recipe", name(error.recipe)},
                    {"rmse_mean", error.mean},
                    {"rmse_deviation", error.deviation},
                    {"all", to_json(error.all)},
                    {"rmse", error.rmse}};
      json["recipes"].push_back(entry);
    }
    json_file->commit(json.dump(2) + "\n");
    if (json_file->is_stdout()) return exit_done;
  }
  std::string text = fmt::format(
      "attention of {} keys, head dimension {}, {} queries of each of {} seeds from {}, {}\n\n",
      options.seq, options.head_dim,
      options.queries == 0 ? std::string("all") : fmt::format("{}", options.queries), options.seeds,
      options.first_seed,
      flags.accumulate == "unit" ? "accumulated as " + flags.unit : "accumulated exactly");
  text += fmt::format("  {:<15} {:>10} {:>10} {:>10} {:>11}\n", "recipe", "RMSE", "deviation",
                      "rel RMSE", "max / RMS");
  for (const AttentionError& error : errors)
    text += fmt::format("  {:<15} {:>10.3e} {:>10.1e} {:>10.3e} {:>11.3e}\n", name(error.recipe),
                        error.mean, error.deviation, error.all.rel_rmse, error.all.max_over_rms);
  print(text);
  return exit_done;
}

}  // namespace

Verb add_precision_attention(CLI::App& precision) {
  CLI::App* app = add_verb(precision, "attention",
                           "The error of attention in FP16 and in FP8, recipe by recipe",
                           [] { return example; });
  const auto flags = std::make_shared<Flags>();
  Flags& f = *flags;
  add_value(*app, "--seq", f.seq, "N", "Keys, and queries to choose from")->capture_default_str();
  add_value(*app, "--head-dim", f.head_dim, "D", "16, 32, 64, 128 or 256")->capture_default_str();
  add_value(*app, "--queries", f.queries, "N", "Random queries compared per seed; 0: all")
      ->capture_default_str();
  add_value(*app, "--seeds", f.seeds, "N", "How many seeds")->capture_default_str();
  add_value(*app, "--seed", f.seed, "N", "The first seed")->capture_default_str();
  add_value(*app, "--unit", f.unit, "UNIT", "The tensor core's generation")->capture_default_str();
  add_value(*app, "--accumulate", f.accumulate, "HOW",
            "unit, as the tensor core does, or exact sums")
      ->capture_default_str();
  add_value(*app, "--jobs", f.jobs, "N", "Threads; default one per processor");
  add_value(*app, "--json", f.json, "FILE", "Write the report as JSON; - is standard output");
  return {app, [flags] { return run_attention(*flags); }};
}

}  // namespace tessera::cli
