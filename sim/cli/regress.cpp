#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "sim/base/error.h"
#include "sim/cli/data_dirs.h"
#include "sim/cli/flag_value.h"
#include "sim/cli/output_file.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"
#include "sim/regression/regression_report.h"
#include "sim/regression/suite.h"

namespace tessera::cli {
namespace {

constexpr const char* example = R"(Examples:
  tessera regress traces/regression
  tessera regress traces/regression --tolerance 1,cycles=0.5 --junit junit.xml --markdown comment.md
  tessera regress traces/regression --update      agree to what the traces take now

DIR holds traces (*.trace, *.ttb, in folders too) and baseline.json: what each took on its chips.
Exit status: 0 nothing moved, 1 something did, or a trace is new, missing or cannot be run, 2 the
baseline or a flag is wrong.
)";

struct Regress {
  std::string folder, tolerance, junit, markdown, json, jobs;
  bool update = false;

  int run() {
    if (folder.empty())
      throw InputError("DIR", "missing", "give a folder with traces and their baseline");
    SuiteOptions options;
    options.jobs = parse_jobs(jobs);
    options.chip_dirs = chip_dirs();
    if (!tolerance.empty()) options.tolerances = parse_tolerances(tolerance, "--tolerance");
    if (update && !tolerance.empty())
      throw InputError("--tolerance", "given with --update", "an update takes every number");
    std::optional<OutputFile> junit_output, markdown_output, json_output, baseline_output;
    std::vector<const OutputFile*> outputs;
    if (!junit.empty()) outputs.push_back(&junit_output.emplace("--junit", junit));
    if (!markdown.empty()) outputs.push_back(&markdown_output.emplace("--markdown", markdown));
    if (!json.empty()) outputs.push_back(&json_output.emplace("--json", json));
    const Suite suite = read_suite(folder);
    if (update)
      outputs.push_back(&baseline_output.emplace(
          "--update", (std::filesystem::path(folder) / baseline_name).string()));
    std::vector<InputFile> inputs;
    for (const std::string& file : files_of(suite, options.chip_dirs))
      inputs.push_back({"in DIR", file});
    // With --update the baseline is an output.
    if (!update)
      inputs.push_back({"in DIR", (std::filesystem::path(folder) / baseline_name).string()});
    refuse_same_target(outputs, inputs);

    std::vector<CaseResult> results;
    {
      const std::size_t count = case_count(suite);
      Progress progress(fmt::format("running {} cases", count));
      options.progress = [&](std::size_t done) { progress.update(done, count); };
      results = run_suite(suite, options);
    }
    bool stdout_taken = false;
    const auto write = [&](std::optional<OutputFile>& output, const std::string& content) {
      output->commit(content);
      stdout_taken = stdout_taken || output->is_stdout();
    };
    const std::string title = "tessera regress " + folder;
    if (junit_output) write(junit_output, regression_junit(results, title));
    if (markdown_output) write(markdown_output, regression_markdown(results, title));
    if (json_output) {
      write(json_output,
            regression_json(results, folder)
                    .dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
                "\n");
    }
    const bool failed = std::any_of(results.begin(), results.end(), [](const CaseResult& result) {
      return result.status == CaseStatus::failed;
    });
    const bool passed = std::none_of(results.begin(), results.end(),
                                     [](const CaseResult& result) { return fails(result.status); });
    std::string text = regression_table(results, colour_wanted());
    if (!update && !passed && !failed) {
      text += fmt::format("\nMeant? `tessera regress {} --update` agrees to it.\n", folder);
    } else if (baseline_output && failed) {
      text += fmt::format("{} is as it was: mend or remove what cannot be run\n",
                          baseline_output->path());
    } else if (baseline_output) {
      baseline_output->commit(to_text(agreed(results)));
      text += fmt::format("{} agrees with this now\n", baseline_output->path());
    }
    if (!stdout_taken) print(text);
    if (update) return failed ? exit_check_failed : exit_done;
    return passed ? exit_done : exit_check_failed;
  }
};

}  // namespace

Verb add_regress(CLI::App& program) {
  CLI::App* app = add_verb(program, "regress", "Check that traces take what they took before",
                           [] { return example; });
  const auto regress = std::make_shared<Regress>();
  app->add_flag("--update", regress->update,
                "Show what moved and write it to the baseline, instead of failing");
  add_value(*app, "--tolerance", regress->tolerance, "PCT|METRIC=PCT,...",
            "How far numbers may move, in percent: of every metric, of single ones, or both "
            "(default: not at all)");
  add_value(*app, "--junit", regress->junit, "FILE", "Write the result as JUnit XML");
  add_value(*app, "--markdown", regress->markdown, "FILE",
            "Write a summary for a comment on a merge request");
  add_value(*app, "--json", regress->json, "FILE", "Write the result as JSON (-: standard output)");
  add_value(*app, "--jobs", regress->jobs, "N",
            "Cases run at the same time (default: one per CPU)");
  app->add_option("DIR", regress->folder, "The folder of the traces")->type_name("");
  return {app, [regress] { return regress->run(); }};
}

}  // namespace tessera::cli
