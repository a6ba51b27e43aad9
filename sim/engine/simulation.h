#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/chip/memory_model.h"
#include "sim/config/chip_config.h"
#include "sim/engine/governor.h"
#include "sim/report/result.h"
#include "sim/trace/trace.h"

namespace tessera {

/// A section that takes longer on the chip is a mistake: simulating it would take hours.
constexpr double max_section_s = 10;

/// Asks for the timeline: what the units of some cores, the L2 and the memory's channels did, as a
/// trace for Perfetto or chrome://tracing (docs/timeline.md).
struct TimelineRequest {
  std::vector<int> cores;  ///< by number; empty: all
  /// Slices and flows of all sections together; of longer runs samples are kept
  /// (TimelineRecorder).
  std::int64_t most_events = 100'000;
  std::function<void(std::string json)> take;
};

struct SimulationOptions {
  /// Identical sections, and the repetitions of one, are simulated once. false: every one of them
  /// is; cycles are the same, as each starts from the same state.
  bool reuse = true;
  /// Sections simulated at the same time, each in a process of its own.
  int jobs = 1;
  MemoryModel memory = MemoryModel::hbm;
  CacheBefore before;
  /// Order in which the modules are built (a seed for a permutation; 0: by number). Results do
  /// not depend on it; the property tests prove that.
  std::uint64_t construction_seed = 0;
  /// Long kernels that repeat themselves are simulated in part (sim/engine/sampling.h). Without
  /// effect where activity or a timeline is asked for, which need all of them.
  bool sampling = false;
  bool takes_samples() const { return sampling && activity_bins == 0 && !timeline; }
  /// > 0: the clock is locked here, whatever the power.
  double clock_mhz = 0;
  /// How long the workload is repeated: the governor lets a short burst run faster.
  RunLength length;
  /// What the operands hold, for their energy.
  Operands operands = Operands::random;
  /// > 0: RunResult::activity is filled, with about this many stretches of time of all sections
  /// together, at most 256 and at least 8 of each.
  std::int64_t activity_bins = 0;
  std::optional<TimelineRequest> timeline;
  /// The caller's process ends after this simulation: where there is one section and the clock is
  /// locked, so that one attempt is enough, it is simulated in that process itself, which SystemC
  /// then leaves of no use for another.
  bool last_of_process = false;
  /// Called some times a second while sections run: the chip's time simulated so far, and what all
  /// sections together take at least (their rooflines). Has no influence on the result.
  std::function<void(double simulated_us, double least_us)> progress;
  /// Other work of the caller's, called once while the first sections run in their processes. What
  /// it throws ends the simulation and is thrown on.
  std::function<void()> beside;
};

/// Inverse of name(); throws InputError with the nearest valid name.
MemoryModel parse_memory_model(std::string_view text);

/// Runs a trace on a chip. Each section is elaborated and simulated in a child process (SystemC
/// elaborates once per process), so the caller's process stays free of simulation state.
/// Throws InputError if the trace asks for what the chip does not have, if a section takes longer
/// than max_section_s even at the chip's peaks, or if the totals do not fit 64 bits;
/// SimulationError with who waits for whom on a deadlock, or if a child dies; std::bad_alloc if one
/// runs out of memory.
RunResult simulate(const Trace& trace, const ChipConfig& chip,
                   const SimulationOptions& options = {});

}  // namespace tessera
