#include "sim/engine/activity_sampler.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include "sim/datapath/format.h"
#include "sim/engine/governor.h"

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
  a.fp16_flops += sign * b.fp16_flops;
  a.tf32_flops += sign * b.tf32_flops;
  a.fp8_flops += sign * b.fp8_flops;
  a.vector_flops += sign * b.vector_flops;
  a.scratchpad_bytes += sign * b.scratchpad_bytes;
}

/// A count of a stretch, and what one of it takes of a bound; 0: it follows the others.
struct Bounded {
  std::int64_t* count;
  double weight = 1;
};

/// Moves what exceeds `most` in a stretch to the next one; the last keeps what is left. `counts(i)`
/// are the counts of stretch i that share the bound; they are delayed in proportion.
template <class Counts>
void delay(std::size_t stretches, double most, const Counts& counts) {
  for (std::size_t i = 0; i + 1 < stretches; ++i) {
    const auto now = counts(i), next = counts(i + 1);
    double sum = 0;
    for (const Bounded& bounded : now) sum += static_cast<double>(*bounded.count) * bounded.weight;
    if (sum <= most) continue;
    for (std::size_t k = 0; k < now.size(); ++k) {
      std::int64_t& count = *now[k].count;
      const auto done = static_cast<std::int64_t>(static_cast<double>(count) * (most / sum));
      *next[k].count += count - done;
      count = done;
    }
  }
}

}  // namespace

ActivitySampler::ActivitySampler(const Chip& chip, const ChipConfig& config, const Section& section,
                                 std::size_t most_bins)
    : chip_(chip), config_(config), section_(section), most_bins_(most_bins) {
  samples_.width = first_width;
  if (chip.hbm() != nullptr) {
    samples_.channels = static_cast<std::int64_t>(chip.hbm()->channels().size());
    channels_before_.assign(chip.hbm()->channels().size(), 0);
  }
}

ActivityBin ActivitySampler::counted() {
  const L2::Counters& l2 = chip_.l2().counters();
  const Sequencer::Counters cores = chip_.processor().counters();
  // FLOPs have the format of their kernel's operation.
  const std::vector<KernelRecord>& records = chip_.processor().records();
  const auto format = [&](std::size_t kernel) {
    return section_.ops[static_cast<std::size_t>(section_.kernels[kernel].op)].format;
  };
  for (; ended_kernels_ < records.size(); ++ended_kernels_)
    flops_of(ended_, format(ended_kernels_)) += records[ended_kernels_].cores.tensor_flops;
  ActivityBin now = ended_;
  if (ended_kernels_ < section_.kernels.size())
    flops_of(now, format(ended_kernels_)) += cores.tensor_flops - ended_.tensor_flops();
  now.hbm_read = l2.hbm_read_bytes;
  now.hbm_write = l2.hbm_write_bytes;
  now.l2_read = l2.read_bytes;
  now.l2_hit = l2.hit_bytes;
  now.l2_write = l2.write_bytes;
  now.vector_flops = cores.vector_flops;
  now.scratchpad_bytes = cores.operand_bytes;
  return now;
}

void ActivitySampler::sample() {
  const ActivityBin now = counted();
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
    return std::array<Bounded, 2>{{{&bins[i].hbm_read}, {&bins[i].hbm_write}}};
  });
  const auto channels = static_cast<std::size_t>(samples_.channels);
  for (std::size_t c = 0; c < channels; ++c) {
    delay(bins.size(), bytes / static_cast<double>(channels), [&](std::size_t i) {
      return std::array<Bounded, 1>{{{&samples_.channel_bytes[i * channels + c]}}};
    });
  }
  const double core_cycles =
      static_cast<double>(config_.core.count) * config_.clock.core_mhz * 1e-6 * ps;
  // Of formats that are counted together the chip may have some alone.
  const auto weight = [&](std::initializer_list<Format> formats) {
    std::int64_t rate = 0;
    for (const Format format : formats) {
      rate = std::max<std::int64_t>(rate, config_.tensor_core.flops_per_cycle(format));
    }
    return rate > 0 ? 1.0 / static_cast<double>(rate) : 0.0;
  };
  const double fp16 = weight({Format::fp16, Format::bf16}), tf32 = weight({Format::tf32}),
               fp8 = weight({Format::e4m3});
  delay(bins.size(), core_cycles, [&](std::size_t i) {
    return std::array<Bounded, 4>{{{&bins[i].fp16_flops, fp16},
                                   {&bins[i].tf32_flops, tf32},
                                   {&bins[i].fp8_flops, fp8},
                                   {&bins[i].scratchpad_bytes, 0}}};
  });
  const VectorUnitConfig& vector = config_.vector_unit;
  delay(bins.size(), core_cycles * (2 * vector.fma_per_cycle + vector.special_per_cycle),
        [&](std::size_t i) { return std::array<Bounded, 1>{{{&bins[i].vector_flops}}}; });
  spread_exchanges();
  return samples_;
}

void ActivitySampler::spread_exchanges() {
  const ClockDomain clock(config_.clock.core_mhz);
  std::vector<ActivityBin>& bins = samples_.bins;
  for (const KernelRecord& kernel : chip_.processor().records()) {
    if (kernel.cores.exchange_bytes <= 0) continue;
    const Picoseconds start = clock.picoseconds(kernel.start), end = clock.picoseconds(kernel.end);
    std::int64_t sent = 0, own = 0;  // in the bins before
    for (std::size_t i = static_cast<std::size_t>(start.value / samples_.width.value);
         i < bins.size() && own < kernel.cores.exchange_bytes; ++i) {
      const Picoseconds until = samples_.width * static_cast<std::int64_t>(i + 1);
      const double share = i + 1 == bins.size() || until >= end || end <= start
                               ? 1
                               : static_cast<double>((until - start).value) /
                                     static_cast<double>((end - start).value);
      const auto part = [&](std::int64_t bytes) {
        return share < 1 ? static_cast<std::int64_t>(static_cast<double>(bytes) * share) : bytes;
      };
      bins[i].link_bytes += part(kernel.cores.link_bytes) - sent;
      bins[i].exchange_bytes += part(kernel.cores.exchange_bytes) - own;
      sent = part(kernel.cores.link_bytes);
      own = part(kernel.cores.exchange_bytes);
    }
  }
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
