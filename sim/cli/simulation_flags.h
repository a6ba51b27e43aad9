#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sim/cli/clock_flags.h"
#include "sim/cli/output_file.h"
#include "sim/cli/workload_flags.h"
#include "sim/engine/simulation.h"
#include "sim/report/result.h"
#include "sim/trace/trace.h"

namespace tessera::cli {

/// What `run` and `replay` share: how to simulate, and where the report goes.
class SimulationFlags {
 public:
  void add_to(CLI::App& app);

  /// Checks the flags and that every output can be written and is none of `inputs`, before any long
  /// work. Throws InputError.
  void open(const std::vector<InputFile>& inputs);
  /// After open().
  int jobs() const { return options_.jobs; }
  /// Simulates and writes the report: the files asked for, then the table on standard output unless
  /// a file is standard output. `beside` is done while the simulation runs; then `complete` adds
  /// what the simulation does not know. Throws InputError and SimulationError.
  void simulate_and_report(
      const Trace& trace, const ChipConfig& chip, const std::vector<std::string>& notes,
      const std::function<void()>& beside = {},
      const std::function<void(RunResult&)>& complete = [](RunResult&) {});

 private:
  TimelineRequest timeline_request();

  std::string json_, csv_, html_, timeline_, timeline_cores_, timeline_events_, jobs_, memory_;
  bool no_reuse_ = false;
  ClockFlags clock_{"sustained"};
  SimulationOptions options_;
  std::string timeline_text_;
  std::optional<OutputFile> json_output_, csv_output_, html_output_, timeline_output_;
};

/// Throws InputError where this build cannot write pages.
void refuse_html_if_missing();

/// The glossary of the report's numbers, as the end of a verb's --help.
std::string numbers_footer();

}  // namespace tessera::cli
