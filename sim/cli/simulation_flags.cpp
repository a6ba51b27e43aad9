#include "sim/cli/simulation_flags.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/error.h"
#include "sim/cli/flag_value.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"
#include "sim/cli/version.h"
#include "sim/report/csv.h"
#include "sim/report/glossary.h"
#include "sim/report/json.h"
#include "sim/report/table.h"

namespace tessera::cli {

void SimulationFlags::add_to(CLI::App& app) {
  app.add_flag("--no-reuse", no_reuse_,
               "Simulate identical layers one by one instead of once (same cycles, slower)");
  add_value(app, "--jobs", jobs_, "N",
            "Processes that simulate at the same time (default: one per CPU)");
  add_value(app, "--memory", memory_, "MODEL",
            "What stands behind the L2: hbm (default: stacks, banks, refresh) or fixed-latency "
            "(one latency, the same peak bandwidth, no banks)");
  add_value(app, "--json", json_, "FILE",
            "Write the report as JSON to this file (-: standard output)");
  add_value(app, "--csv", csv_, "FILE",
            "Write one row per operation to this file (-: standard output)");
}

void SimulationFlags::open() {
  options_.reuse = !no_reuse_;
  if (!memory_.empty()) options_.memory = parse_memory_model(memory_);
  options_.jobs = parse_jobs(jobs_);
  std::vector<const OutputFile*> outputs;
  if (!json_.empty()) outputs.push_back(&json_output_.emplace("--json", json_));
  if (!csv_.empty()) outputs.push_back(&csv_output_.emplace("--csv", csv_));
  refuse_same_target(outputs);
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
  if (!stdout_taken) print(to_table(result, {colour_wanted(), columns()}));
}

std::string numbers_footer() {
  return "Numbers of the report (names as in the JSON):\n" +
         glossary_text(std::clamp(columns(), 80, 120));
}

}  // namespace tessera::cli
