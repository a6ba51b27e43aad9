#pragma once

#include <cstdint>
#include <vector>

#include "sim/chip/command_processor.h"
#include "sim/chip/timeline_recorder.h"
#include "sim/engine/activity_sampler.h"
#include "sim/engine/simulation.h"

namespace tessera {

/// What one section's simulation counted.
struct SectionRecord {
  std::vector<KernelRecord> kernels;
  std::int64_t events = 0;
  std::int64_t peak_rss_bytes = 0;
  ActivitySamples samples;  ///< empty where neither activity nor a timeline was asked for
  // Of the timeline: what its recorder kept.
  std::vector<Slice> slices;
  std::vector<Flow> flows;
  Cycles period, window;
};

/// Of one execution of the section.
Cycles cycles_of(const SectionRecord& record);

/// A section to simulate, and where its record goes.
struct SectionJob {
  const Section* section = nullptr;
  double least_us = 0;  ///< its roofline
  SectionRecord record;
};

/// Simulates every job in a child process of its own, at most options.jobs at a time; a single job
/// of options.last_of_process in this one. Throws the first failure in the order of the jobs
/// (std::bad_alloc of one out of memory); no child is left behind.
void run_sections(std::vector<SectionJob>& jobs, const ChipConfig& chip,
                  const SimulationOptions& options);

}  // namespace tessera
