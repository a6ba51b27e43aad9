#include "sim/chip/hbm_channel.h"

#include <algorithm>
#include <cmath>

namespace tessera {
namespace {

Picoseconds from_ns(double ns) { return Picoseconds(std::llround(ns * 1000)); }

}  // namespace

HbmTiming::HbmTiming(const HbmConfig& c)
    : burst_bytes(c.burst_bytes),
      // 1 GB/s is one byte per 1000 ps.
      burst_scaled(std::llround(c.burst_bytes * 1000.0 * c.stacks * c.pseudo_channels_per_stack /
                                c.bandwidth_gbps * (1 << scale_bits))),
      long_burst(c.tccd_l_bursts),
      rcd(from_ns(c.trcd_ns)),
      rp(from_ns(c.trp_ns)),
      ras(from_ns(c.tras_ns)),
      cl(from_ns(c.tcl_ns)),
      cwl(from_ns(c.tcwl_ns)),
      rrd(from_ns(c.trrd_ns)),
      rtp(from_ns(c.trtp_ns)),
      wr(from_ns(c.twr_ns)),
      wtr(from_ns(c.twtr_ns)),
      rtw(from_ns(c.trtw_ns)),
      refi(from_ns(c.trefi_ns)),
      rfc(from_ns(c.trfc_ns)),
      banks(c.banks),
      bank_groups(c.bank_groups),
      row_bytes(c.row_bytes),
      interleave_bytes(c.interleave_bytes) {}

HbmChannel::HbmChannel(const HbmTiming& timing, int index, int channels)
    : timing_(timing),
      refresh_offset_(timing.refi.value * (index + 1) / channels),
      banks_(static_cast<std::size_t>(timing.banks)),
      group_free_(static_cast<std::size_t>(timing.bank_groups)) {}

std::int64_t HbmChannel::epoch(Picoseconds when) const {
  const Picoseconds since = when - refresh_offset_;
  return timing_.refi.value > 0 && since.value >= 0 ? since.value / timing_.refi.value + 1 : 0;
}

Picoseconds HbmChannel::after_refresh(Picoseconds when) const {
  const Picoseconds since = when - refresh_offset_;
  if (timing_.refi.value <= 0 || since.value < 0) return when;
  const Picoseconds inside(since.value % timing_.refi.value);
  return inside < timing_.rfc ? when + timing_.rfc - inside : when;
}

Picoseconds HbmChannel::open(Picoseconds now, Bank& bank, std::int64_t row) {
  // The command issues when its turn on the bus comes near, not when it was asked for.
  const Picoseconds turn = after_refresh(std::max(now, bus_free_));
  const bool same_epoch = bank.epoch >= epoch(turn);
  if (bank.row == row && same_epoch) {
    ++counters_.row_hits;
    return std::max(after_refresh(now), bank.activated + timing_.rcd);
  }
  ++counters_.row_misses;
  ++counters_.activates;
  const Picoseconds slot = std::max(now, activate_free_);
  activate_free_ = slot + timing_.rrd;
  Picoseconds activate = std::max(slot, bank.activated + timing_.ras + timing_.rp);
  if (bank.row >= 0 && same_epoch) {
    const Picoseconds precharge =
        std::max({now, bank.activated + timing_.ras, bank.column_done + timing_.rtp,
                  bank.written + timing_.wr});
    activate = std::max(activate, precharge + timing_.rp);
  }
  activate = after_refresh(activate);
  bank.row = row;
  bank.epoch = std::max(epoch(activate), epoch(turn));
  bank.activated = activate;
  return activate + timing_.rcd;
}

HbmChannel::Place HbmChannel::place_of(std::int64_t address) const {
  const std::int64_t groups = timing_.bank_groups, banks_per_group = timing_.banks / groups;
  const std::int64_t chunk = address / timing_.interleave_bytes;
  const std::int64_t group = chunk % groups;
  const std::int64_t page = chunk / groups / (timing_.row_bytes / timing_.interleave_bytes);
  const std::int64_t row = page / banks_per_group;
  // The row turns the order of banks, so that strides of whole rounds do not meet in one bank.
  const std::int64_t bank = (page + row) % banks_per_group;
  return {static_cast<std::size_t>(bank * groups + group), row};
}

Picoseconds HbmChannel::read(Picoseconds now, std::int64_t address, std::int64_t size) {
  const Place place = place_of(address);
  Bank& bank = banks_[place.bank];
  Picoseconds& group_free = group_free_[place.bank % group_free_.size()];
  const Picoseconds occupied = timing_.transfer(size);
  const std::int64_t misses = counters_.row_misses;
  const Picoseconds opened = open(now, bank, place.row);
  const bool missed = counters_.row_misses != misses;
  const Picoseconds group_slot = std::max(now, group_free);
  group_free = group_slot + Picoseconds(static_cast<std::int64_t>(
                                static_cast<double>(occupied.value) * timing_.long_burst));
  const Picoseconds column = after_refresh(std::max(opened, group_slot));
  // The earliest this request's data could follow on an idle device; a bank conflict of its own
  // delays it but not the bus.
  const Picoseconds soonest =
      after_refresh(now) + (missed ? timing_.rcd : Picoseconds(0)) + timing_.cl;
  bus_free_ = after_refresh(std::max(soonest, bus_free_)) + occupied;
  bank.column_done = column + occupied;
  counters_.read_bytes += size;
  counters_.busy_ps += occupied.value;
  return std::max(bus_free_, column + timing_.cl + occupied);
}

Picoseconds HbmChannel::write(Picoseconds now, std::int64_t, std::int64_t size) {
  waiting_bytes_ += size;
  counters_.write_bytes += size;
  if (waiting_bytes_ >= write_batch_bytes) {
    const Picoseconds occupied = timing_.transfer(waiting_bytes_);
    const Picoseconds start = after_refresh(std::max(now, bus_free_) + timing_.rtw);
    bus_free_ = start + occupied + timing_.wtr;
    counters_.busy_ps += occupied.value;
    waiting_bytes_ = 0;
  }
  return now + timing_.cwl;
}

}  // namespace tessera
