#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/chip/command_processor.h"
#include "sim/config/chip_config.h"
#include "sim/trace/trace.h"

namespace tessera {

// A long kernel that does the same over and over (sim/trace/repetition.h) need not be simulated to
// its end. Two runs of it leave out items from its middle, the longer one fewer of them:
//   w     = work that the longer one leaves out
//   d     = work that only the shorter one leaves out
//   count = longer + w/d (longer - shorter)
// for cycles, stalls and bytes alike: what lies between the runs takes what any other stretch of as
// much work takes. Beginning and end, the part-filled last wave included, are in both runs, so that
// their effect is in the result once. What is not seen: a change that sets in later than the longer
// run lasts, such as an L2 that fills with what it will find, and what returns less often than a
// wave, such as the first reads of another sequence's keys.

/// A section whose long kernels are cut to samples; those that are too short for it, or do not
/// repeat themselves, stay whole.
struct SampledSection {
  Section shorter, longer;
  std::vector<double> times;  ///< w/d of each kernel; 0: it is whole in both
  double cost = 2;            ///< simulating both / simulating the section, about
  /// Still less, for a glance at the power that the section draws.
  Section glimpse;
  std::vector<double> glimpse_share;  ///< of each kernel: the part of its work that is in it
  double glimpse_cost = 1;
};

SampledSection sampled(const Section& section, const ChipConfig& chip);

/// What the whole section counts, from the records of the kernels of both samples.
std::vector<KernelRecord> extrapolated(const SampledSection& sample,
                                       const std::vector<KernelRecord>& shorter,
                                       const std::vector<KernelRecord>& longer);

/// The same at a clock `times` as high: what the cores waited for memory and links is as long, so
/// many cycles more or less, and all else as many cycles.
std::vector<KernelRecord> at_other_clock(std::vector<KernelRecord> kernels, double times);

/// About the same from the glimpse alone: every count in proportion to the work, the launch gap of
/// `chip` left as it is.
std::vector<KernelRecord> in_proportion(const SampledSection& sample, const ChipConfig& chip,
                                        std::vector<KernelRecord> glimpse);

}  // namespace tessera
