#include "sim/regression/measurement.h"

#include <algorithm>
#include <cmath>

#include "sim/base/error.h"
#include "sim/config/loader.h"
#include "sim/engine/simulation.h"
#include "sim/frontend/verify_limits.h"
#include "sim/report/figures.h"
#include "sim/trace/digest.h"
#include "sim/trace/verify.h"

namespace tessera {
namespace {

constexpr std::string_view metric_names[metric_count] = {
    "cycles",          "time_ns",       "flops",        "hbm_read_bytes",
    "hbm_write_bytes", "l2_read_bytes", "l2_hit_bytes", "energy_uj"};

std::string executed_digest(const Trace& trace) {
  std::string sections;
  for (const Section& section : trace.sections)
    sections += execution_digest(section) + " x " + std::to_string(section.repeat) + "\n";
  return content_digest(sections);
}

void refuse_unsound(const Trace& trace, const ChipConfig& chip) {
  for (const Finding& finding : verify(trace, limits_of(chip))) {
    if (finding.severity == Severity::error)
      throw InputError("trace", to_text(finding), "`tessera trace check` lists what is wrong");
  }
}

}  // namespace

std::string_view name(Metric metric) { return metric_names[static_cast<std::size_t>(metric)]; }

Measurement measure(const Trace& trace, const ChipConfig& chip) {
  refuse_unsound(trace, chip);
  const RunResult run = simulate(trace, chip);
  const Figures all = figures(run);
  Measurement result;
  result.trace_digest = executed_digest(trace);
  result.chip_digest = content_digest(canonical_text(chip));
  result.metrics = {all.cycles,    std::llround(all.time_us * 1e3),
                    all.flops,     all.hbm_read,
                    all.hbm_write, all.l2_read,
                    all.l2_hit,    std::llround(all.energy_j * 1e6)};
  result.core_cycles = all.core_cycles;
  if (run.ops.size() < 2) return result;
  for (const OpResult& op : run.ops) {
    const auto found = std::find_if(result.ops.begin(), result.ops.end(),
                                    [&](const auto& one) { return one.first == op.name; });
    const std::int64_t cycles = op.cycles.value * op.repeat;
    if (found == result.ops.end()) {
      result.ops.emplace_back(op.name, cycles);
    } else {
      found->second += cycles;
    }
  }
  return result;
}

}  // namespace tessera
