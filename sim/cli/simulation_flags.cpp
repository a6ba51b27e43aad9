#include "sim/cli/simulation_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sim/base/error.h"
#include "sim/cli/flag_value.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"
#include "sim/cli/version.h"
#include "sim/report/csv.h"
#include "sim/report/glossary.h"
#include "sim/report/html.h"
#include "sim/report/json.h"
#include "sim/report/table.h"

namespace tessera::cli {

void SimulationFlags::add_to(CLI::App& app) {
  app.add_flag(
      "--sampling", options_.sampling,
      "Simulate long kernels that repeat themselves in part: several times faster, and mostly "
      "within 2 % of the whole; without --timeline, --html and the JSON's activity");
  app.add_flag("--no-reuse", no_reuse_,
               "Simulate identical layers one by one instead of once (same cycles, slower)");
  add_value(app, "--jobs", jobs_, "N",
            "Processes that simulate at the same time (default: one per CPU)");
  add_value(app, "--memory", memory_, "MODEL",
            "What stands behind the L2: hbm (default: stacks, banks, refresh) or fixed-latency "
            "(one latency, the same peak bandwidth, no banks)");
  clock_.add_to(app);
  add_value(app, "--json", json_, "FILE",
            "Write the report as JSON to this file (-: standard output)");
  add_value(app, "--csv", csv_, "FILE",
            "Write one row per operation to this file (-: standard output)");
  add_value(app, "--html", html_, "FILE",
            "Write a page with the report's charts and tables to this file: one file, which needs "
            "no network (-: standard output)");
  add_value(app, "--timeline", timeline_, "FILE",
            "Write what units, L2 and memory channels did over time to this file, for Perfetto or "
            "chrome://tracing (-: standard output)");
  add_value(app, "--timeline-cores", timeline_cores_, "LIST",
            "Cores whose units the timeline shows: 0,4-7 or all (default: 0,1)");
  add_value(app, "--timeline-events", timeline_events_, "N",
            "Slices and flows of the timeline; of more, samples are kept (default: 100000)");
}

TimelineRequest SimulationFlags::timeline_request() {
  constexpr std::int64_t most_events = 10'000'000;
  if (timeline_.empty()) {
    const char* const flag = !timeline_cores_.empty()    ? "--timeline-cores"
                             : !timeline_events_.empty() ? "--timeline-events"
                                                         : nullptr;
    if (flag != nullptr)
      throw InputError(flag, "there is no timeline", "give --timeline FILE as well");
    return {};
  }
  TimelineRequest request;
  if (timeline_cores_ != "all") {
    request.cores =
        parse_numbers("--timeline-cores", timeline_cores_.empty() ? "0,1" : timeline_cores_);
  }
  if (!timeline_events_.empty())
    request.most_events = parse_count("--timeline-events", timeline_events_, 100, most_events);
  return request;
}

void SimulationFlags::open(const std::vector<InputFile>& inputs) {
  options_.reuse = !no_reuse_;
  if (!memory_.empty()) options_.memory = parse_memory_model(memory_);
  options_.jobs = parse_jobs(jobs_);
  clock_.apply(options_);
  std::vector<const OutputFile*> outputs;
  if (!json_.empty()) outputs.push_back(&json_output_.emplace("--json", json_));
  if (!csv_.empty()) outputs.push_back(&csv_output_.emplace("--csv", csv_));
  if (!html_.empty()) {
    refuse_html_if_missing();
    outputs.push_back(&html_output_.emplace("--html", html_));
  }
  if (options_.sampling) {
    const char* const flag = !timeline_.empty() ? "--timeline" : html_output_ ? "--html" : nullptr;
    if (flag != nullptr)
      throw InputError(flag, "--sampling leaves out parts of what it shows",
                       "leave one of them out");
  }
  // Only these two show what happened over time.
  if ((json_output_ && !options_.sampling) || html_output_) options_.activity_bins = 768;
  TimelineRequest timeline = timeline_request();
  if (!timeline_.empty()) {
    outputs.push_back(&timeline_output_.emplace("--timeline", timeline_));
    timeline.take = [this](std::string text) { timeline_text_ = std::move(text); };
    options_.timeline = std::move(timeline);
  }
  refuse_same_target(outputs, inputs);
}

void SimulationFlags::simulate_and_report(const Trace& trace, const ChipConfig& chip,
                                          const std::vector<std::string>& notes,
                                          const std::function<void()>& beside,
                                          const std::function<void(RunResult&)>& complete) {
  RunResult result;
  options_.beside = beside;
  {
    const Progress progress("simulating " + trace.workload);
    if (progress.is_shown()) {
      options_.progress = [&progress](double simulated_us, double least_us) {
        progress.show(fmt::format("{:.3f} of at least {:.3f} ms", simulated_us * 1e-3,
                                  std::max(least_us, simulated_us) * 1e-3));
      };
    }
    result = simulate(trace, chip, options_);
  }
  result.tool_version = version;
  result.notes.insert(result.notes.end(), notes.begin(), notes.end());
  complete(result);

  bool stdout_taken = false;
  const auto write = [&](std::optional<OutputFile>& output, const std::string& content) {
    output->commit(content);
    stdout_taken = stdout_taken || output->is_stdout();
  };
  if (json_output_) {
    // Names come from the user's files and may not be UTF-8.
    write(json_output_,
          to_json(result).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
              "\n");
  }
  if (csv_output_) write(csv_output_, to_csv(result));
  if (html_output_) {
    write(html_output_, to_html({{"kind", "run"}, {"runs", {to_json(result)}}}));
  }
  if (timeline_output_) write(timeline_output_, timeline_text_);
  if (!stdout_taken) print(to_table(result, {colour_wanted(), columns()}));
}

void refuse_html_if_missing() {
  const std::string why = why_no_html();
  if (why.empty()) return;
  throw InputError(
      "--html", "this tessera was built without pages: " + why,
      "install npm, build again where it reaches its registry; --json has all numbers");
}

std::string numbers_footer() {
  return "Numbers of the report (names as in the JSON):\n" +
         glossary_text(std::clamp(columns(), 80, 120));
}

}  // namespace tessera::cli
