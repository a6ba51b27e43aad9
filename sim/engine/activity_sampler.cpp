#include "sim/engine/activity_sampler.h"

#include <algorithm>
#include <array>

#include "sim/datapath/format.h"

namespace tessera {
namespace {

constexpr Picoseconds first_width{100'000};

/// to = a + sign * b, of every count.
void combine(ActivityBin& a, const ActivityBin& b, std::int64_t sign) {
  a.hbm_read += sign * b.hbm_read;
  a.hbm_write += sign * b.hbm_write;
  a.l2_read += sign * b.l2_read;
  a.l2_hit += sign * b.l2_hit;
  a.l2_write += sign * b.l2_write;
  a.tensor_flops += sign * b.tensor_flops;
}

/// Moves what exceeds `most` in a stretch to the next one; the last keeps what is left. `counts(i)`
/// are the counts of stretch i that share the bound; they are delayed in proportion.
template <class Counts>
void delay(std::size_t stretches, double most, const Counts& counts) {
  for (std::size_t i = 0; i + 1 < stretches; ++i) {
    const auto now = counts(i), next = counts(i + 1);
    double sum = 0;
    for (const std::int64_t* count : now) sum += static_cast<double>(*count);
    if (sum <= most) continue;
    for (std::size_t k = 0; k < now.size(); ++k) {
      const auto done = static_cast<std::int64_t>(static_cast<double>(*now[k]) * (most / sum));
      *next[k] += *now[k] - done;
      *now[k] = done;
    }
  }
}

/// FLOP a cycle of one core in its fastest format.
std::int64_t fastest(const TensorCoreConfig& tensor_core) {
  std::int64_t most = 0;
  for (const Format format : all_formats())
    most = std::max<std::int64_t>(most, tensor_core.flops_per_cycle(format));
  return most;
}

}  // namespace

ActivitySampler::ActivitySampler(const Chip& chip, const ChipConfig& config, std::size_t most_bins)
    : chip_(chip), config_(config), most_bins_(most_bins) {
  samples_.width = first_width;
  if (chip.hbm() != nullptr) {
    samples_.channels = static_cast<std::int64_t>(chip.hbm()->channels().size());
    channels_before_.assign(chip.hbm()->channels().size(), 0);
  }
}

void ActivitySampler::sample() {
  const L2::Counters& l2 = chip_.l2().counters();
  const ActivityBin now{l2.hbm_read_bytes, l2.hbm_write_bytes,
                        l2.read_bytes,     l2.hit_bytes,
                        l2.write_bytes,    chip_.processor().counters().tensor_flops};
  ActivityBin bin = now;
  combine(bin, before_, -1);
  before_ = now;
  samples_.bins.push_back(bin);
  for (std::size_t i = 0; i < channels_before_.size(); ++i) {
    const HbmChannel::Counters& c = chip_.hbm()->channels()[i].counters();
    const std::int64_t bytes = c.read_bytes + c.write_bytes;
    samples_.channel_bytes.push_back(bytes - channels_before_[i]);
    channels_before_[i] = bytes;
  }
  if (samples_.bins.size() == most_bins_) halve();
}

ActivitySamples ActivitySampler::finish() {
  std::vector<ActivityBin>& bins = samples_.bins;
  const auto ps = static_cast<double>(samples_.width.value);
  const double bytes = config_.hbm.bandwidth_gbps * 1e-3 * ps;
  delay(bins.size(), bytes, [&](std::size_t i) {
    return std::array<std::int64_t*, 2>{&bins[i].hbm_read, &bins[i].hbm_write};
  });
  const auto channels = static_cast<std::size_t>(samples_.channels);
  for (std::size_t c = 0; c < channels; ++c) {
    delay(bins.size(), bytes / static_cast<double>(channels), [&](std::size_t i) {
      return std::array<std::int64_t*, 1>{&samples_.channel_bytes[i * channels + c]};
    });
  }
  const double flops = static_cast<double>(fastest(config_.tensor_core) * config_.core.count) *
                       config_.clock.core_mhz * 1e-6 * ps;
  delay(bins.size(), flops,
        [&](std::size_t i) { return std::array<std::int64_t*, 1>{&bins[i].tensor_flops}; });
  return samples_;
}

void ActivitySampler::halve() {
  const std::size_t half = most_bins_ / 2, channels = channels_before_.size();
  for (std::size_t i = 0; i < half; ++i) {
    ActivityBin pair = samples_.bins[2 * i];
    combine(pair, samples_.bins[2 * i + 1], 1);
    samples_.bins[i] = pair;
    for (std::size_t c = 0; c < channels; ++c) {
      samples_.channel_bytes[i * channels + c] = samples_.channel_bytes[2 * i * channels + c] +
                                                 samples_.channel_bytes[(2 * i + 1) * channels + c];
    }
  }
  samples_.bins.resize(half);
  samples_.channel_bytes.resize(half * channels);
  samples_.width = samples_.width * 2;
}

}  // namespace tessera
