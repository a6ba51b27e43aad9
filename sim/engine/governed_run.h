#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/chip/command_processor.h"
#include "sim/config/chip_config.h"
#include "sim/engine/governor.h"
#include "sim/engine/section_run.h"
#include "sim/engine/simulation.h"
#include "sim/trace/trace.h"

namespace tessera {

// The clock that a run has follows from its power, and its power from what a simulation at that
// clock counts. So a trace is simulated at a clock guessed from its operations, better from a
// glimpse of its long kernels (sim/engine/sampling.h), and again at the one that the governor
// allows for the counts, until both agree.

/// What to simulate: with reuse, sections that would run alike share a job.
struct Jobs {
  std::vector<SectionJob> jobs;
  std::vector<std::vector<std::size_t>> jobs_of;  ///< of each section, one per copy to simulate
  std::int64_t reused = 0;                        ///< sections that take another's result
  std::int64_t sampled = 0;                       ///< kernels of the jobs simulated in part

  Jobs(const Trace& trace, bool reuse);
};

/// Bytes that an operation sends to other chips.
double sent_bytes(const Section& section, std::size_t op, const ChipConfig& chip);

/// What a kernel of operation `op` switched.
Activity switching_of(const KernelRecord& record, const OpRecord& op, Operands operands);

/// Simulates every job, at the locked clock or at one that the governor allows for what the
/// simulation counts; leaves that clock in `clocked`. Throws InputError if a section takes longer
/// than max_section_s at the chip's peaks, and what run_sections() throws.
void run_at_governed_clock(Jobs& run, const Trace& trace, const ChipConfig& chip,
                           ChipConfig& clocked, const SimulationOptions& options);

}  // namespace tessera
