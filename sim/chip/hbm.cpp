#include "sim/chip/hbm.h"

#include <algorithm>

#include "sim/chip/simulation_time.h"

namespace tessera {
namespace {

std::uint64_t hash(std::uint64_t x) {
  // splitmix64's finaliser.
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

int channel_of_chunk(std::int64_t chunk, std::int64_t channels) {
  const auto round = static_cast<std::uint64_t>(chunk / channels);
  const auto turn = static_cast<std::int64_t>(hash(round) % static_cast<std::uint64_t>(channels));
  return static_cast<int>((chunk % channels + turn) % channels);
}

}  // namespace

Hbm::Hbm(sc_core::sc_module_name name, const HbmConfig& config)
    : sc_module(name), socket("socket"), interleave_(config.interleave_bytes) {
  const HbmTiming timing(config);
  const int count = config.stacks * config.pseudo_channels_per_stack;
  channels_.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) channels_.emplace_back(timing, i, count);
  socket.register_b_transport(this, &Hbm::transport);
}

int Hbm::channel_of(std::int64_t address) const {
  return channel_of_chunk(address / interleave_, static_cast<std::int64_t>(channels_.size()));
}

void Hbm::transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  const auto channels = static_cast<std::int64_t>(channels_.size());
  const Picoseconds now = ClockDomain::from_sc_time(sc_core::sc_time_stamp() + delay);
  auto address = static_cast<std::int64_t>(payload.get_address());
  std::int64_t left = payload.get_data_length();
  Picoseconds done = now;
  const bool write = payload.is_write();
  while (left > 0) {
    const std::int64_t chunk = address / interleave_, offset = address % interleave_;
    const std::int64_t size = std::min(left, interleave_ - offset);
    HbmChannel& channel = channels_[static_cast<std::size_t>(channel_of_chunk(chunk, channels))];
    const std::int64_t local = chunk / channels * interleave_ + offset;
    done = std::max(done, write ? channel.write(now, local, size) : channel.read(now, local, size));
    address += size;
    left -= size;
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
    sum.activates += c.activates;
    sum.read_bytes += c.read_bytes;
    sum.write_bytes += c.write_bytes;
    sum.busy_ps += c.busy_ps;
  }
  return sum;
}

}  // namespace tessera
