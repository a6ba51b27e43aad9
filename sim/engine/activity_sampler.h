#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/base/units.h"
#include "sim/chip/chip.h"
#include "sim/report/result.h"

namespace tessera {

/// The counters of a chip over time, in stretches of equal width.
struct ActivitySamples {
  Picoseconds width;
  std::vector<ActivityBin> bins;
  /// Bytes of each memory channel, [bin * channels + channel]; no channels where the memory has
  /// none.
  std::int64_t channels = 0;
  std::vector<std::int64_t> channel_bytes;
};

/// Reads the counters of a chip between two stretches of its simulation, so that the simulation
/// itself spends nothing on it. A transfer counts when it is booked, at most its latency before it
/// takes place. The width begins at 100 ns; whenever there are `most_bins` (an even number)
/// stretches, two and two become one and the width doubles.
class ActivitySampler {
 public:
  /// `config` is the chip's, at the clock it runs at.
  ActivitySampler(const Chip& chip, const ChipConfig& config, const Section& section,
                  std::size_t most_bins);

  /// For how long to simulate before the next sample().
  Picoseconds width() const { return samples_.width; }
  void sample();
  /// After the last sample().
  ActivitySamples finish();

 private:
  void halve();
  /// Counts of the chip so far.
  ActivityBin counted();
  /// Exchanges are told evenly over the time of their kernels.
  void spread_exchanges();

  const Chip& chip_;
  const ChipConfig& config_;
  const Section& section_;
  std::size_t most_bins_;
  ActivityBin before_;
  // FLOPs of the tensor cores by format, of the kernels that have ended.
  ActivityBin ended_;
  std::size_t ended_kernels_ = 0;
  std::vector<std::int64_t> channels_before_;
  ActivitySamples samples_;
};

}  // namespace tessera
