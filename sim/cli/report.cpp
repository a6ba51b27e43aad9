#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/error.h"
#include "sim/cli/output_file.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"
#include "sim/sweep/results.h"
#include "sim/sweep/results_report.h"

namespace tessera::cli {
namespace {

constexpr const char* example = R"(Examples:
  tessera report results.db
  tessera report results.db --csv points.csv --jsonl points.jsonl

The report of a sweep: the Pareto front of its objectives, the best points of each, and
sensitivities: how many percent a metric changes for 1 % more of an axis (docs/sweeps.md).
)";

struct Report {
  std::string file, json, csv, jsonl;

  int run() {
    if (file.empty())
      throw InputError("RESULTS.db", "missing", "give a database of `tessera sweep`");
    std::optional<OutputFile> json_output, csv_output, jsonl_output;
    std::vector<const OutputFile*> outputs;
    if (!json.empty()) outputs.push_back(&json_output.emplace("--json", json));
    if (!csv.empty()) outputs.push_back(&csv_output.emplace("--csv", csv));
    if (!jsonl.empty()) outputs.push_back(&jsonl_output.emplace("--jsonl", jsonl));
    refuse_same_target(outputs);
    const SweepResults results = read_results(file);
    bool stdout_taken = false;
    const auto write = [&](std::optional<OutputFile>& output, const std::string& content) {
      output->commit(content);
      stdout_taken = stdout_taken || output->is_stdout();
    };
    if (json_output)
      write(json_output, results_json(results).dump(
                             2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
                             "\n");
    if (csv_output) write(csv_output, results_csv(results));
    if (jsonl_output) write(jsonl_output, results_jsonl(results));
    if (!stdout_taken) print(results_text(results));
    return exit_done;
  }
};

}  // namespace

Verb add_report(CLI::App& program) {
  CLI::App* app =
      add_verb(program, "report", "Show the results of a sweep", [] { return example; });
  const auto report = std::make_shared<Report>();
  app->add_option("RESULTS.db", report->file, "Results of `tessera sweep`");
  add_value(*app, "--json", report->json, "FILE",
            "Write everything as JSON to this file (-: standard output)");
  add_value(*app, "--csv", report->csv, "FILE",
            "Write one row per point to this file (-: standard output)");
  add_value(*app, "--jsonl", report->jsonl, "FILE",
            "Write one JSON object per point and line, for columnar stores (-: standard output)");
  return {app, [report] { return report->run(); }};
}

}  // namespace tessera::cli
