#include <fmt/format.h>

#include <memory>

#include "sim/base/error.h"
#include "sim/cli/simulation_flags.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"
#include "sim/cli/workload_flags.h"
#include "sim/config/loader.h"
#include "sim/frontend/verify_limits.h"
#include "sim/trace/digest.h"
#include "sim/trace/trace_file.h"
#include "sim/trace/verify.h"

namespace tessera::cli {
namespace {

constexpr const char* example = R"(Example:
  tessera lower --chip h100-sxm --op "gemm m=4096 n=4096 k=4096 dtype=bf16" -o gemm.trace
  tessera replay --chip h100-sxm gemm.trace
  tessera replay --chip h100-sxm --set l2.size_mib=100 gemm.trace --json -
)";

struct Replay {
  ChipFlags chip;
  SimulationFlags simulation;
  std::string file;
};

/// Throws InputError for a trace that `trace check` on this chip refuses, SimulationError where the
/// reason is a deadlock.
void refuse_unsound(const Trace& trace, const ChipConfig& chip, const std::string& path) {
  std::vector<Finding> findings;
  {
    const Progress progress("checking " + path);
    findings = verify(trace, limits_of(chip));
  }
  const Finding* worst = nullptr;
  std::size_t errors = 0;
  for (const Finding& finding : findings) {
    if (finding.severity != Severity::error) continue;
    ++errors;
    if (worst == nullptr || (finding.rule == Rule::deadlock && worst->rule != Rule::deadlock))
      worst = &finding;
  }
  if (worst == nullptr) return;
  if (worst->rule == Rule::deadlock) {
    throw SimulationError(fmt::format("{}: {}", path, to_text(*worst)));
  }
  throw InputError({path, 0}, "", to_text(*worst),
                   errors == 1 ? "mend it, or lower the workload again"
                               : fmt::format("`tessera trace check` lists all {} errors", errors));
}

/// What the reader should know when the trace was made for another chip than it runs on.
std::vector<std::string> chip_notes(const Trace& trace, const ChipConfig& chip) {
  if (trace.chip_digest.empty() || trace.chip_digest == content_digest(canonical_text(chip)))
    return {};
  return {trace.chip == chip.name
              ? fmt::format("the trace was lowered for {} with other values than it runs with",
                            chip.name)
              : fmt::format("the trace was lowered for {}, not for {}", trace.chip, chip.name)};
}

}  // namespace

Verb add_replay(CLI::App& program) {
  CLI::App* app = add_verb(program, "replay", "Simulate an instruction trace on a chip and report",
                           [] { return std::string(example) + "\n" + numbers_footer(); });
  const auto replay = std::make_shared<Replay>();
  replay->chip.add_to(*app);
  replay->simulation.add_to(*app);
  app->add_option("FILE", replay->file, "The trace, as text or packed")->type_name("");
  return {app, [replay] {
            if (replay->file.empty())
              throw InputError("FILE", "missing", "give a trace that `tessera lower` wrote");
            std::vector<InputFile> inputs = replay->chip.inputs();
            inputs.push_back({"FILE", replay->file});
            replay->simulation.open(inputs);
            const ChipConfig chip = replay->chip.load();
            const Trace trace = read_trace(replay->file);
            refuse_unsound(trace, chip, replay->file);
            std::vector<std::string> notes = chip_notes(trace, chip);
            notes.emplace_back("a trace has no numbers: its numerical error is not studied");
            replay->simulation.simulate_and_report(trace, chip, notes);
            return exit_done;
          }};
}

}  // namespace tessera::cli
