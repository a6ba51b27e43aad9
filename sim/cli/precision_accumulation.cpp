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
#include "sim/datapath/quantised_gemm.h"
#include "sim/datapath/random_matrix.h"

namespace tessera::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* example = R"(Examples:
  tessera precision accumulation                       FP8 on H100, fast against promoted
  tessera precision accumulation --k 4096 --dist normal,halfnormal --seeds 3 --json -
  tessera precision accumulation --chip h100-sxm --set fp8_unit.fraction_bits=17

The error of the accumulation alone, against the exact product of the quantised operands, for every
distribution and length of sums: relative RMSE, largest error over the RMS of the results, bias.
)";

struct Flags {
  std::string m = "256", n = "256", k = "1024,4096,16384";
  std::string dist = "normal,uniform,uniform01,halfnormal";
  std::string format = "e4m3", seed = "1", seeds = "1", json, jobs;
  OperandUnitFlags unit;
};

std::vector<std::string> split(const std::string& flag, const std::string& text) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (true) {
    const std::size_t comma = text.find(',', begin);
    parts.push_back(text.substr(begin, comma - begin));
    if (parts.back().empty())
      throw InputError(flag, fmt::format("'{}' has an empty part", text),
                       "give values with commas between them");
    if (comma == std::string::npos) return parts;
    begin = comma + 1;
  }
}

struct Row {
  Distribution dist = Distribution::normal;
  std::int64_t k = 0;
  Accumulation accumulation = Accumulation::fast;
  std::uint64_t seed = 0;
  ErrorFigures error;
};

std::vector<Row> study(const Flags& flags, const GemmArithmetic& arithmetic, std::int64_t m,
                       std::int64_t n, const std::vector<std::int64_t>& lengths,
                       const std::vector<Distribution>& distributions, std::int64_t seeds) {
  GemmArithmetic how = arithmetic;
  StudyOptions options;
  options.jobs = parse_jobs(flags.jobs);
  const std::uint64_t first_seed = parse_seed(flags.seed);
  std::vector<Row> rows;
  for (const Distribution dist : distributions) {
    for (const std::int64_t k : lengths) {
      for (std::int64_t s = 0; s < seeds; ++s) {
        const std::uint64_t seed = first_seed + static_cast<std::uint64_t>(s);
        const std::vector<float> a = random_matrix(m, k, dist, seed, 0);
        const std::vector<float> b = random_matrix(n, k, dist, seed, 1);
        for (const Accumulation accumulation : {Accumulation::fast, Accumulation::promote128}) {
          how.accumulation = accumulation;
          validate(how);
          rows.push_back({dist, k, accumulation, seed,
                          study_gemm(a.data(), b.data(), m, n, k, how, options).accumulation});
        }
      }
    }
  }
  return rows;
}

int run_accumulation(const Flags& flags) {
  constexpr std::int64_t max_size = 1 << 20;
  const std::int64_t m = parse_count("--m", flags.m, 1, 16384);
  const std::int64_t n = parse_count("--n", flags.n, 1, 16384);
  const std::int64_t seeds = parse_count("--seeds", flags.seeds, 1, 10000);
  std::vector<std::int64_t> lengths;
  for (const std::string& k : split("--k", flags.k))
    lengths.push_back(parse_count("--k", k, 1, max_size / 16));
  std::vector<Distribution> distributions;
  for (const std::string& dist : split("--dist", flags.dist))
    distributions.push_back(parse_distribution(dist));
  GemmArithmetic how;
  how.a_format = how.b_format = parse_format(flags.format);
  const std::optional<Unit> unit = flags.unit.unit(how.a_format);
  if (!unit)
    throw InputError("--format", "FP32 lanes have no other accumulation",
                     "give a format that a tensor core multiplies");
  how.unit = &*unit;
  how.a_scaling = how.b_scaling = bits(how.a_format) > 8 ? Scaling::none : Scaling::tensor;
  std::optional<OutputFile> json_file;
  if (!flags.json.empty())
    refuse_same_target({&json_file.emplace("--json", flags.json)}, flags.unit.inputs());

  std::vector<Row> rows;
  {
    const Progress progress("multiplying");
    rows = study(flags, how, m, n, lengths, distributions, seeds);
  }
  if (json_file) {
    Json json = {{"schema", "tessera-precision-accumulation/1"},
                 {"tool_version", version},
                 {"m", m},
                 {"n", n},
                 {"format", flags.format},
                 {"unit", unit->name},
                 {"rows", Json::array()}};
    for (const Row& row : rows) {
      Json figures = to_json(row.error);
      Json entry = {{"dist", name(row.dist)},
                    {"k", row.k},
                    {"accumulate", name(row.accumulation)},
                    {"seed", row.seed}};
      entry.update(figures);
      json["rows"].push_back(entry);
    }
    json_file->commit(json.dump(2) + "\n");
    if (json_file->is_stdout()) return exit_done;
  }
  std::string text =
      fmt::format("accumulation of {} in {}, {} x {} outputs\n\n", flags.format, unit->name, m, n);
  text += fmt::format("  {:<12} {:>7} {:<11} {:>6} {:>10} {:>11} {:>10}\n", "data", "k",
                      "accumulate", "seed", "rel RMSE", "max / RMS", "bias");
  for (const Row& row : rows)
    text += fmt::format("  {:<12} {:>7} {:<11} {:>6} {:>10.3e} {:>11.3e} {:>10.2e}\n",
                        name(row.dist), row.k, name(row.accumulation), row.seed, row.error.rel_rmse,
                        row.error.max_over_rms, row.error.bias);
  print(text);
  return exit_done;
}

}  // namespace

Verb add_precision_accumulation(CLI::App& precision) {
  CLI::App* app = add_verb(precision, "accumulation",
                           "Fast against promoted accumulation, over data and lengths of sums",
                           [] { return example; });
  const auto flags = std::make_shared<Flags>();
  Flags& f = *flags;
  add_value(*app, "--m", f.m, "M", "Rows of the result")->capture_default_str();
  add_value(*app, "--n", f.n, "N", "Columns of the result")->capture_default_str();
  add_value(*app, "--k", f.k, "K,...", "Lengths of the sums")->capture_default_str();
  add_value(*app, "--dist", f.dist, "DIST,...", "normal, uniform, uniform01, halfnormal, outlier")
      ->capture_default_str();
  add_value(*app, "--format", f.format, "FORMAT", "Of the operands")->capture_default_str();
  f.unit.add_to(*app);
  add_value(*app, "--seed", f.seed, "N", "The first seed")->capture_default_str();
  add_value(*app, "--seeds", f.seeds, "N", "How many seeds, each a row")->capture_default_str();
  add_value(*app, "--jobs", f.jobs, "N", "Threads; default one per processor");
  add_value(*app, "--json", f.json, "FILE", "Write the report as JSON; - is standard output");
  return {app, [flags] { return run_accumulation(*flags); }};
}

}  // namespace tessera::cli
