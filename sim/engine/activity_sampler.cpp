#include "sim/engine/activity_sampler.h"

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

}  // namespace

ActivitySampler::ActivitySampler(const Chip& chip, std::size_t most_bins)
    : chip_(chip), most_bins_(most_bins) {
  samples_.width = first_width;
  if (chip.hbm() != nullptr) {
    samples_.channels = static_cast<std::int64_t>(chip.hbm()->channels().size());
    channels_before_.assign(chip.hbm()->channels().size(), 0);
  }
}

void ActivitySampler::sample() {
  const L2::Counters& l2 = chip_.l2().counters();
  const ActivityBin now{l2.hbm_read_bytes, l2.hbm_write_bytes, l2.read_bytes,
                        l2.hit_bytes,      l2.write_bytes,     chip_.processor().tensor_flops()};
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
