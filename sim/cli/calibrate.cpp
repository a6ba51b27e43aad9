#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/error.h"
#include "sim/cli/clock_flags.h"
#include "sim/cli/flag_value.h"
#include "sim/cli/output_file.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"
#include "sim/cli/version.h"
#include "sim/cli/workload_flags.h"
#include "sim/config/loader.h"
#include "sim/validation/calibration.h"
#include "sim/validation/validation_report.h"

namespace tessera::cli {
namespace {

constexpr const char* example = R"(Examples:
  tessera calibrate --chip h100-sxm --measured rows.csv -o my-h100.yaml
  tessera calibrate --chip h100-sxm --measured gemm.csv --measured softmax.csv -o my-h100.yaml \
      --fit launch.gap_us --fit l2.read_bytes_per_cycle=4000:5500 --rows 500 --jobs 8
  tessera validate --chip my-h100.yaml --measured rows.csv

Searches the values of a few numbers of the chip, within their plausible ranges (`tessera list chips
--keys`), for which predictions are closest to the measurements, and writes a chip file that takes
all else from CHIP and says to what it was fitted. Every row is predicted about 3 times a key and 20
times more, in each of 1 + folds fits.
)";

using Json = nlohmann::ordered_json;

Json statistics_json(const ErrorStatistics& s) {
  return Json{{"n", s.n},     {"mape", s.mape}, {"median", s.median},
              {"p90", s.p90}, {"max", s.max},   {"bias", s.bias}};
}

Json calibration_json(const Calibration& c, const std::string& chip, double wall_s) {
  Json json = {{"schema", "tessera-calibrate/1"}, {"tool_version", version}, {"chip", chip},
               {"measured", c.measured},          {"rows", c.rows},          {"folds", c.folds},
               {"evaluations", c.evaluations}};
  json["keys"] = Json::array();
  for (std::size_t k = 0; k < c.keys.size(); ++k) {
    json["keys"].push_back({{"key", c.keys[k].key->name},
                            {"before", c.before[k]},
                            {"after", c.after[k]},
                            {"low", c.keys[k].low},
                            {"high", c.keys[k].high}});
  }
  json["error_before"] = statistics_json(c.error_before);
  json["error_after"] = statistics_json(c.error_after);
  if (c.folds > 0) json["error_held_out"] = statistics_json(c.error_held_out);
  json["notes"] = c.notes;
  json["wall_s"] = wall_s;
  return json;
}

std::string table_of(const Calibration& c) {
  std::string text = fmt::format("  {:<34}{:>14}{:>14}{:>24}\n", "key", "before", "after", "range");
  for (std::size_t k = 0; k < c.keys.size(); ++k) {
    text += fmt::format("  {:<34}{:>14g}{:>14g}{:>24}\n", c.keys[k].key->name, c.before[k],
                        c.after[k], fmt::format("{:g} to {:g}", c.keys[k].low, c.keys[k].high));
  }
  text += fmt::format("\n  {:<34}{:>6}{:>9}{:>9}{:>9}{:>9}{:>9}\n", "errors in percent", "rows",
                      "MAPE", "median", "p90", "max", "bias");
  const auto line = [&](const char* what, const ErrorStatistics& s) {
    text += fmt::format("  {:<34}{}\n", what, error_cells(s, 2));
  };
  line("before", c.error_before);
  line("after", c.error_after);
  if (c.folds > 0) line("held out", c.error_held_out);
  if (!c.notes.empty()) text += "\n";
  for (const std::string& note : c.notes) text += "  note: " + note + "\n";
  return text;
}

struct Calibrate {
  ChipFlags chip;
  ClockFlags clock{single_op_burst};
  std::vector<std::string> measured, fit;
  std::string output, json, rows, folds, evaluations, seed, jobs;
  bool no_sampling = false;

  int run() {
    if (measured.empty()) throw InputError("--measured", "missing", "give a CSV of measurements");
    if (output.empty()) throw InputError("--output", "missing", "name the chip file to write");
    CalibrationOptions options;
    options.prediction.jobs = parse_jobs(jobs);
    clock.apply(options.prediction.simulation);
    options.prediction.simulation.sampling = !no_sampling;
    constexpr std::int64_t most = 1'000'000;
    if (!rows.empty())
      options.most_rows = static_cast<std::size_t>(parse_count("--rows", rows, 0, most));
    if (!folds.empty()) {
      options.folds = static_cast<int>(parse_count("--folds", folds, 0, 100));
      if (options.folds == 1)
        throw InputError("--folds", "1 leaves nothing to fit", "give 2 or more, or 0 for none");
    }
    if (!evaluations.empty())
      options.most_evaluations =
          static_cast<int>(parse_count("--evaluations", evaluations, 1, most));
    if (!seed.empty())
      options.seed = static_cast<std::uint64_t>(
          parse_count("--seed", seed, 0, std::numeric_limits<std::int64_t>::max()));
    OutputFile chip_file("--output", output);
    std::optional<OutputFile> json_output;
    std::vector<const OutputFile*> outputs = {&chip_file};
    if (!json.empty()) outputs.push_back(&json_output.emplace("--json", json));
    std::vector<InputFile> inputs = chip.inputs();
    for (const std::string& file : measured) inputs.push_back({"--measured", file});
    refuse_same_target(outputs, inputs);
    const ChipConfig config = chip.load();
    std::vector<MeasuredTable> tables;
    for (const std::string& file : measured) tables.push_back(read_measured(file));
    const std::vector<FittedKey> keys =
        fit.empty() ? default_fitted_keys(tables, config) : fitted_keys(fit, config);
    if (keys.empty())
      throw InputError("--fit", "none of the usual keys is plausible on this chip",
                       "give KEY=LOW:HIGH");

    const auto began = std::chrono::steady_clock::now();
    Calibration result;
    {
      const Progress progress("calibrating");
      if (progress.is_shown()) {
        options.progress = [&](const CalibrationOptions::Step& step) {
          progress.show(fmt::format("fit {} of {}, evaluation {}, MAPE {:.2f} %", step.fit,
                                    step.fits, step.evaluation, step.mape));
        };
      }
      result = calibrate(tables, config, keys, options);
    }
    const double wall_s =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    const std::filesystem::path folder =
        chip_file.is_stdout() ? "." : std::filesystem::path(output).parent_path();
    chip_file.commit(calibrated_yaml(result, tables, chip.base_for(folder.empty() ? "." : folder),
                                     chip.load_base(), version, options.seed));
    bool stdout_taken = chip_file.is_stdout();
    if (json_output) {
      json_output->commit(calibration_json(result, config.name, wall_s).dump(2) + "\n");
      stdout_taken = stdout_taken || json_output->is_stdout();
    }
    if (!stdout_taken)
      print(table_of(result) +
            fmt::format("\n{} of {} rows, {} evaluations in {:.1f} s; wrote {}\n", result.rows,
                        result.measured, result.evaluations, wall_s, output));
    return exit_done;
  }
};

}  // namespace

Verb add_calibrate(CLI::App& program) {
  CLI::App* app = add_verb(program, "calibrate", "Fit numbers of a chip to measured times",
                           [] { return example; });
  const auto calibrate = std::make_shared<Calibrate>();
  calibrate->chip.add_to(*app);
  add_repeatable(*app, "--measured", calibrate->measured, "FILE",
                 "A measured table (CSV, as for `tessera validate`); repeatable");
  add_value(*app, "-o,--output", calibrate->output, "FILE", "The chip file to write (YAML)");
  add_repeatable(*app, "--fit", calibrate->fit, "KEY[=LOW:HIGH]",
                 "A key of the chip to fit, and where to search (default: its plausible range); "
                 "repeatable (default: what the measured operations depend on most)");
  add_value(*app, "--rows", calibrate->rows, "N",
            "Most rows to use, drawn by the seed (default 200; 0: all)");
  add_value(*app, "--folds", calibrate->folds, "K",
            "Folds of the cross-validation, at most one a row (default 5; 0: none)");
  add_value(*app, "--evaluations", calibrate->evaluations, "N",
            "Most evaluations of each fit (default 120)");
  add_value(*app, "--seed", calibrate->seed, "N",
            "Draws the rows and deals them to folds (default 1)");
  calibrate->clock.add_to(*app);
  add_value(*app, "--json", calibrate->json, "FILE",
            "Write values and errors as JSON (-: standard output)");
  add_value(*app, "--jobs", calibrate->jobs, "N",
            "Rows predicted at the same time (default: one per CPU)");
  app->add_flag("--no-sampling", calibrate->no_sampling, no_sampling_help);
  return {app, [calibrate] { return calibrate->run(); }};
}

}  // namespace tessera::cli
