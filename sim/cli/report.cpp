#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/error.h"
#include "sim/cli/output_file.h"
#include "sim/cli/simulation_flags.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"
#include "sim/report/comparison.h"
#include "sim/report/csv.h"
#include "sim/report/html.h"
#include "sim/report/saved_run.h"
#include "sim/sweep/results.h"
#include "sim/sweep/results_report.h"

namespace tessera::cli {
namespace {

constexpr const char* example = R"(Examples:
  tessera report run.json
  tessera report before.json after.json --html changes.html
  tessera report results.db --csv points.csv --jsonl points.jsonl --html sweep.html

Of a run, what its table says; of two, what differs: figures, operations, and the causes whose time
changed (docs/report.md). Of a sweep, the Pareto front of its objectives, the best points of each, and
sensitivities: how many percent a metric changes for 1 % more of an axis (docs/sweeps.md).
)";

using Json = nlohmann::ordered_json;

std::string lines(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

struct Report {
  std::string file, other, json, csv, jsonl, html;

  int run() {
    if (file.empty()) {
      throw InputError("FILE", "missing",
                       "give a database of `tessera sweep` or a report of `tessera run --json`");
    }
    const bool sweep = is_results_file(file);
    if (sweep && !other.empty())
      throw InputError("OTHER", "a sweep is not compared",
                       "give reports of two runs, or one sweep");
    if (!sweep && !jsonl.empty())
      throw InputError("--jsonl", "a run has no points", "leave it out, or use --json");
    if (!html.empty()) refuse_html_if_missing();
    std::optional<OutputFile> json_output, csv_output, jsonl_output, html_output;
    std::vector<const OutputFile*> outputs;
    if (!json.empty()) outputs.push_back(&json_output.emplace("--json", json));
    if (!csv.empty()) outputs.push_back(&csv_output.emplace("--csv", csv));
    if (!jsonl.empty()) outputs.push_back(&jsonl_output.emplace("--jsonl", jsonl));
    if (!html.empty()) outputs.push_back(&html_output.emplace("--html", html));
    refuse_same_target(outputs, {{"FILE", file}, {"OTHER", other}});
    bool stdout_taken = false;
    const auto write = [&](std::optional<OutputFile>& output, const auto& content) {
      if (!output) return;
      output->commit(content());
      stdout_taken = stdout_taken || output->is_stdout();
    };
    if (sweep) {
      const SweepResults results = read_results(file);
      write(json_output, [&] { return lines(results_json(results)); });
      write(csv_output, [&] { return results_csv(results); });
      write(jsonl_output, [&] { return results_jsonl(results); });
      write(html_output, [&] {
        return to_html({{"kind", "sweep"}, {"sweep", results_json(results)}});
      });
      if (!stdout_taken) print(results_text(results));
    } else if (other.empty()) {
      const SavedRun saved = read_saved_run(file);
      write(json_output, [&] { return lines(saved.json); });
      write(csv_output, [&] { return report_csv(saved.json); });
      write(html_output, [&] {
        return to_html({{"kind", "run"}, {"runs", Json::array({saved.json})}});
      });
      if (!stdout_taken) print(to_text(saved, columns()));
    } else {
      const Comparison comparison = compare(read_saved_run(file), read_saved_run(other));
      write(json_output, [&] { return lines(to_json(comparison)); });
      write(csv_output, [&] { return to_csv(comparison); });
      write(html_output, [&] {
        const Json runs = Json::array({comparison.before.json, comparison.after.json});
        return to_html({{"kind", "run"}, {"runs", runs}});
      });
      if (!stdout_taken) print(to_text(comparison));
    }
    return exit_done;
  }
};

}  // namespace

Verb add_report(CLI::App& program) {
  CLI::App* app =
      add_verb(program, "report", "Show a saved run, what differs between two, or a sweep",
               [] { return example; });
  const auto report = std::make_shared<Report>();
  app->add_option("FILE", report->file,
                  "Results of `tessera sweep`, or a report of `tessera run --json`")
      ->type_name("");
  app->add_option("OTHER", report->other, "The report of another run, to compare with")
      ->type_name("");
  add_value(*app, "--json", report->json, "FILE",
            "Write everything as JSON to this file (-: standard output)");
  add_value(*app, "--csv", report->csv, "FILE",
            "Write one row per operation or point to this file (-: standard output)");
  add_value(*app, "--jsonl", report->jsonl, "FILE",
            "Write one JSON object per point and line, for columnar stores (-: standard output)");
  add_value(*app, "--html", report->html, "FILE",
            "Write a page of charts and tables to this file: one file, which needs no network");
  return {app, [report] { return report->run(); }};
}

}  // namespace tessera::cli
