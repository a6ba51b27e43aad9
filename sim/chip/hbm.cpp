#include "sim/chip/hbm.h"

#include <algorithm>

#include "sim/chip/memory_port.h"
#include "sim/chip/simulation_time.h"

namespace tessera {
namespace {

std::uint64_t hash(std::uint64_t x) {
  // splitmix64's finaliser.
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

// The hash's upper half, scaled to the number of channels without a division.
std::int64_t turn_of(std::int64_t round, std::int64_t channels) {
  const std::uint64_t upper = hash(static_cast<std::uint64_t>(round) + 1) >> 32;
  return static_cast<std::int64_t>((upper * static_cast<std::uint64_t>(channels)) >> 32);
}

}  // namespace

Hbm::Hbm(sc_core::sc_module_name name, const HbmConfig& config)
    : sc_module(name),
      socket("socket"),
      interleave_(config.interleave_bytes),
      timing_(std::make_shared<HbmTiming>(config)) {
  const int count = config.stacks * config.pseudo_channels_per_stack;
  channels_.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) channels_.emplace_back(timing_, i, count);
  socket.register_b_transport(this, &Hbm::transport);
}

int Hbm::channel_of(std::int64_t address) const {
  const auto channels = static_cast<std::int64_t>(channels_.size());
  const std::int64_t chunk = address / interleave_, round = chunk / channels;
  return static_cast<int>((chunk % channels + turn_of(round, channels)) % channels);
}

void Hbm::transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  const auto channels = static_cast<std::int64_t>(channels_.size());
  const Picoseconds now = ClockDomain::from_sc_time(sc_core::sc_time_stamp() + delay);
  const auto address = static_cast<std::int64_t>(payload.get_address());
  std::int64_t left = payload.get_data_length();
  std::int64_t offset = address % interleave_;
  const std::int64_t chunk = address >> timing_->chunk_shift;
  std::int64_t round = chunk / channels, place = chunk % channels;
  std::int64_t channel = (place + turn_of(round, channels)) % channels;
  HbmPlace at = timing_->place_of(round * interleave_);  // the same in all channels
  const auto* runs = payload.get_extension<MemoryRuns>();
  const std::int64_t run = runs == nullptr ? interleave_ : std::min(runs->run_bytes, interleave_);
  Picoseconds done = now;
  HbmBurst burst;
  // `size` bytes of each of `count` channels.
  const auto serve = [&](HbmChannel* targets, std::int64_t count, std::int64_t size) {
    if (payload.is_write()) {
      for (HbmChannel* target = targets; target != targets + count; ++target)
        done = std::max(done, target->write(now, at, size, run));
      return;
    }
    if (size != burst.size) burst = timing_->burst_of(size, run);
    for (HbmChannel* target = targets; target != targets + count; ++target)
      done = std::max(done, target->read(now, at, burst));
  };
  while (left > 0) {
    const std::int64_t size = std::min(left, interleave_ - offset);
    std::int64_t count = 1;
    // Whole chunks: of as many channels as follow one another in this round.
    if (size == interleave_)
      count = std::min({left >> timing_->chunk_shift, channels - place, channels - channel});
    serve(&channels_[static_cast<std::size_t>(channel)], count, size);
    left -= count * size;
    offset = 0;
    place += count;
    channel += count;
    if (place == channels) {
      place = 0;
      channel = turn_of(++round, channels);
      at = timing_->place_of(round * interleave_);
    } else if (channel == channels) {
      channel = 0;
    }
  }
  delay += ClockDomain::to_sc_time(done - now);
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

HbmChannel::Counters Hbm::counters() const {
  HbmChannel::Counters sum;
  for (const HbmChannel& channel : channels_) {
    const HbmChannel::Counters& c = channel.counters();
    sum.row_hits += c.row_hits;
    sum.row_misses += c.row_misses;
    sum.read_bytes += c.read_bytes;
    sum.write_bytes += c.write_bytes;
  }
  return sum;
}

}  // namespace tessera
