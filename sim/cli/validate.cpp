#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <optional>

#include "sim/base/error.h"
#include "sim/cli/clock_flags.h"
#include "sim/cli/flag_value.h"
#include "sim/cli/output_file.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"
#include "sim/cli/workload_flags.h"
#include "sim/validation/class_errors.h"
#include "sim/validation/prediction.h"
#include "sim/validation/validation_report.h"

namespace tessera::cli {
namespace {

constexpr const char* example = R"(Examples:
  tessera validate --chip h100-sxm --measured gemm_bf16.csv
  tessera validate --chip my-chip.yaml --measured rows.csv --per-row errors.csv --svg scatter.svg --json -

The table is CSV with a header: op, the operation's fields (`tessera list ops`), measured_us and,
if you like, source; a field that does not apply is empty. Errors are in percent of the measured
time: MAPE their mean size, bias their signed mean (above 0: predicted too long). Each row runs at
the clock that a burst of a dozen repetitions has; --duration says how long the measurement was.
Long kernels that repeat themselves are simulated in part; --no-sampling simulates all of them.
)";

struct Validate {
  ChipFlags chip;
  ClockFlags clock{single_op_burst};
  std::string measured, per_row, json, svg, jobs;
  bool no_sampling = false;

  int run() {
    if (measured.empty()) throw InputError("--measured", "missing", "give a CSV of measurements");
    PredictionOptions options;
    options.jobs = parse_jobs(jobs);
    clock.apply(options.simulation);
    options.simulation.sampling = !no_sampling;
    std::optional<OutputFile> per_row_output, json_output, svg_output;
    std::vector<const OutputFile*> outputs;
    if (!per_row.empty()) outputs.push_back(&per_row_output.emplace("--per-row", per_row));
    if (!json.empty()) outputs.push_back(&json_output.emplace("--json", json));
    if (!svg.empty()) outputs.push_back(&svg_output.emplace("--svg", svg));
    std::vector<InputFile> inputs = chip.inputs();
    inputs.push_back({"--measured", measured});
    refuse_same_target(outputs, inputs);
    const ChipConfig config = chip.load();
    const MeasuredTable table = read_measured(measured);

    const auto began = std::chrono::steady_clock::now();
    std::vector<Prediction> predictions;
    {
      Progress progress(fmt::format("predicting {} rows", table.rows.size()));
      options.progress = [&](std::size_t done) { progress.update(done, table.rows.size()); };
      predictions = predict(table, config, options);
    }
    const double wall_s =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    const std::vector<ClassErrors> classes = class_errors(table, predictions);

    bool stdout_taken = false;
    const auto write = [&](std::optional<OutputFile>& output, const std::string& content) {
      output->commit(content);
      stdout_taken = stdout_taken || output->is_stdout();
    };
    if (per_row_output) write(per_row_output, per_row_csv(table, predictions));
    if (svg_output) write(svg_output, validation_svg(table, predictions, config.name));
    if (json_output)
      write(json_output,
            validation_json(table, predictions, classes, config.name, wall_s)
                    .dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
                "\n");
    if (!stdout_taken)
      print(validation_table(table, predictions, classes) +
            fmt::format("\n{} rows in {:.1f} s\n", table.rows.size(), wall_s));
    return exit_done;
  }
};

}  // namespace

Verb add_validate(CLI::App& program) {
  CLI::App* app = add_verb(program, "validate", "Compare predictions with measured times",
                           [] { return example; });
  const auto validate = std::make_shared<Validate>();
  validate->chip.add_to(*app);
  validate->clock.add_to(*app);
  add_value(*app, "--measured", validate->measured, "FILE", "The measured table (CSV)");
  add_value(*app, "--per-row", validate->per_row, "FILE",
            "Write the table with predicted_us, error_pct and bound added (-: standard output)");
  add_value(*app, "--svg", validate->svg, "FILE",
            "Write a picture of predicted against measured time");
  add_value(*app, "--json", validate->json, "FILE",
            "Write the errors of each class as JSON (-: standard output)");
  add_value(*app, "--jobs", validate->jobs, "N",
            "Rows predicted at the same time (default: one per CPU)");
  app->add_flag("--no-sampling", validate->no_sampling, no_sampling_help);
  return {app, [validate] { return validate->run(); }};
}

}  // namespace tessera::cli
