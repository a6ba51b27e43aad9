#include <fmt/format.h>

#include <memory>

#include "sim/base/error.h"
#include "sim/cli/simulation_flags.h"
#include "sim/cli/verb.h"
#include "sim/cli/workload_flags.h"
#include "sim/config/loader.h"
#include "sim/trace/digest.h"
#include "sim/trace/structure.h"
#include "sim/trace/trace_file.h"

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

/// Throws InputError unless the trace can be run at all: sizes, references and loops make sense.
/// Whether it runs to its end is the simulation's to find out, and `trace check`'s to prove.
void refuse_unsound_structure(const Trace& trace, const std::string& path) {
  const auto refuse = [&](const std::vector<Finding>& findings) {
    for (const Finding& finding : findings) {
      if (finding.severity == Severity::error)
        throw InputError({path, 0}, "", to_text(finding), "`tessera trace check` lists all");
    }
  };
  for (const Section& section : trace.sections) {
    refuse(check_section(section));
    for (const Kernel& kernel : section.kernels) refuse(check_structure(section, kernel));
  }
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
            replay->simulation.open();
            const ChipConfig chip = replay->chip.load();
            const Trace trace = read_trace(replay->file);
            refuse_unsound_structure(trace, replay->file);
            replay->simulation.simulate_and_report(trace, chip, chip_notes(trace, chip));
            return exit_done;
          }};
}

}  // namespace tessera::cli
