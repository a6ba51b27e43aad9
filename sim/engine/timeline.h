#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "sim/engine/section_run.h"
#include "sim/engine/simulation.h"
#include "sim/trace/trace.h"

namespace tessera {

/// Whose record a section of the run takes: `section` of the trace, its execution number `copy`.
struct SectionPlace {
  std::size_t section = 0, job = 0;
  std::int64_t copies = 1;       ///< this many executions in a row are alike
  std::vector<double> energy_j;  ///< of each bin of the record's samples
};

/// The run as a JSON trace (Chrome's trace event format, which Perfetto reads): processes are the
/// chip, its memory and the chosen cores; tracks their units. Times are nanoseconds of the chip,
/// rounded down. A section that took an identical one's result stands in its place with its kernels
/// and says whose it is, at its mean power; slices of units, other counters and flows stand only
/// where the section was simulated. `chip` is at the clock the run has. Equal records give equal
/// bytes.
std::string timeline_json(const Trace& trace, const ChipConfig& chip,
                          const std::vector<SectionPlace>& places,
                          const std::vector<SectionJob>& jobs, const TimelineRequest& request);

}  // namespace tessera
