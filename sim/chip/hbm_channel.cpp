#include "sim/chip/hbm_channel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace tessera {
namespace {

Picoseconds from_ns(double ns) { return Picoseconds(std::llround(ns * 1000)); }

// Of a power of two; chips are checked to have them where this is asked.
int log2_of(std::int64_t value) {
  int shift = 0;
  while ((std::int64_t{1} << shift) < value) ++shift;
  return shift;
}

/// Sum of the digits of `value` in base 2^shift, modulo that base.
std::int64_t sum_of_digits(std::int64_t value, int shift) {
  if (shift == 0) return 0;
  std::int64_t sum = 0;
  for (; value != 0; value >>= shift) sum += value;
  return sum & ((std::int64_t{1} << shift) - 1);
}

}  // namespace

HbmTiming::HbmTiming(const HbmConfig& c)
    : burst_shift(log2_of(c.burst_bytes)),
      // 1 GB/s is one byte per 1000 ps.
      burst_scaled(std::llround(c.burst_bytes * 1000.0 * c.stacks * c.pseudo_channels_per_stack /
                                c.bandwidth_gbps * (1 << scale_bits))),
      long_burst_scaled(std::llround(c.tccd_l_bursts * (1 << scale_bits))),
      burst(transfer(1)),
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
      // No refresh: no intervals either, so that nothing closes a row.
      refi(from_ns(c.trfc_ns > 0 ? c.trefi_ns : 0)),
      rfc(from_ns(c.trfc_ns)),
      row_switch(from_ns(c.row_switch_ns)),
      banks(c.banks),
      bank_groups(c.bank_groups),
      chunk_shift(log2_of(c.interleave_bytes)),
      group_shift(log2_of(c.bank_groups)),
      page_shift(log2_of(c.row_bytes / c.interleave_bytes)),
      bank_shift(log2_of(c.banks / c.bank_groups)) {}

HbmPlace HbmTiming::place_of(std::int64_t address) const {
  const std::int64_t chunk = address >> chunk_shift;
  const std::int64_t page = chunk >> group_shift >> page_shift;
  const std::int64_t row = page >> bank_shift;
  // What lies above turns the order of groups and of banks, so that strides of whole rounds do not
  // meet in one of them, whatever power of two they are.
  const std::int64_t group =
      (chunk + sum_of_digits(page, group_shift)) & ((1LL << group_shift) - 1);
  const std::int64_t bank = (page + sum_of_digits(row, bank_shift)) & ((1LL << bank_shift) - 1);
  return {static_cast<std::size_t>((bank << group_shift) + group), static_cast<std::size_t>(group),
          row};
}

HbmChannel::HbmChannel(std::shared_ptr<const HbmTiming> timing, int index, int channels)
    : timing_(std::move(timing)),
      banks_(static_cast<std::size_t>(timing_->banks)),
      group_free_(static_cast<std::size_t>(timing_->bank_groups)),
      window_(timing_->refi.value * (index + 1) / channels - timing_->refi.value) {
  calm_begin_ = window_;
  calm_end_ = timing_->refi.value > 0 ? window_ + timing_->refi
                                      : Picoseconds(std::numeric_limits<std::int64_t>::max());
}

HbmChannel::Refreshed HbmChannel::find_refresh(Picoseconds when) {
  if (timing_->refi.value <= 0) return {when, 0};
  Picoseconds inside = when - window_;
  std::int64_t epoch = epoch_;
  if (inside.value < 0 || inside >= timing_->refi) {
    // Mostly the interval before or the one after: no division then.
    const std::int64_t refi = timing_->refi.value;
    const std::int64_t windows =
        inside.value >= 0 ? (inside.value < 2 * refi ? 1 : inside.value / refi)
                          : (inside.value >= -refi ? -1 : -ceil_div(-inside.value, refi));
    inside -= timing_->refi * windows;
    epoch += windows;
    if (windows > 0) {
      window_ += timing_->refi * windows;
      epoch_ = epoch;
      calm_begin_ = window_ + timing_->rfc;
      calm_end_ = window_ + timing_->refi;
    }
  }
  // Interval 0 ends with the first refresh; nothing is blocked in it.
  return {epoch > 0 && inside < timing_->rfc ? when + timing_->rfc - inside : when, epoch};
}

inline HbmChannel::Opened HbmChannel::open(Picoseconds now, Bank& bank, std::int64_t row) {
  // The command issues when its turn on the bus comes near, not when it was asked for.
  const std::int64_t epoch = refreshed(std::max(now, bus_free_)).epoch;
  const bool same_epoch = bank.epoch >= epoch;
  if (bank.row == row && same_epoch) {
    ++counters_.row_hits;
    return {std::max(now, bank.activated + timing_->rcd), false};
  }
  ++counters_.row_misses;
  const Picoseconds slot = refreshed(std::max(now, activate_free_)).when;
  activate_free_ = slot + timing_->rrd;
  Picoseconds activate = std::max(slot, bank.activated + timing_->ras + timing_->rp);
  if (bank.row >= 0 && same_epoch) {
    const Picoseconds precharge =
        std::max({now, bank.activated + timing_->ras, bank.last_read + timing_->rtp,
                  bank.written + timing_->wr});
    activate = std::max(activate, precharge + timing_->rp);
  }
  const Refreshed allowed = refreshed(activate);
  bank.row = row;
  bank.epoch = std::max(allowed.epoch, epoch);
  bank.activated = allowed.when;
  return {allowed.when + timing_->rcd, true};
}

Picoseconds HbmChannel::read_any(Picoseconds now, HbmPlace place, const HbmBurst& burst) {
  Bank& bank = banks_[place.bank];
  Picoseconds& group_free = group_free_[place.group];
  const Picoseconds start = refreshed(now).when;
  const Opened opened = open(start, bank, place.row);
  const Picoseconds group_slot = group_free > start ? refreshed(group_free).when : start;
  group_free = group_slot + burst.in_group;
  const Picoseconds column = refreshed(std::max(opened.ready, group_slot)).when;
  // The earliest this request's data could follow on an idle device; a bank conflict of its own
  // delays it but not the bus.
  const Picoseconds soonest = start + (opened.missed ? timing_->rcd : Picoseconds(0)) + timing_->cl;
  if (writing_) {  // from the end of write data to the read's command, and its data tCL later
    bus_free_ += timing_->wtr + timing_->cl;
    writing_ = false;
  }
  const Picoseconds arrived = refreshed(std::max(soonest, bus_free_)).when + burst.occupied;
  bus_free_ = arrived + burst.switches;
  bank.last_read = column + burst.occupied - timing_->burst;
  counters_.read_bytes += burst.size;
  return std::max(arrived, column + timing_->cl + burst.occupied);
}

Picoseconds HbmChannel::write(Picoseconds now, HbmPlace place, std::int64_t size,
                              std::int64_t run) {
  // Who is too early for the queue waits until its oldest batch drains.
  const Picoseconds taken = std::max(now, batch_starts_[oldest_batch_]) + timing_->cwl;
  waiting_bytes_ += size;
  if (run < size) waiting_switches_ += timing_->write_switches(size, run);
  counters_.write_bytes += size;
  if (waiting_bytes_ >= write_batch_bytes) {
    const Picoseconds turned = writing_ ? bus_free_ : bus_free_ + timing_->rtw;
    const Refreshed start = refreshed(std::max(now + timing_->cwl, turned));
    Picoseconds written = start.when + timing_->transfer(waiting_bytes_) + waiting_switches_;
    // A refresh that falls into the batch holds up the rest of it.
    written += timing_->rfc * (refreshed(written - Picoseconds(1)).epoch - start.epoch);
    bus_free_ = written;
    batch_starts_[oldest_batch_] = start.when;
    oldest_batch_ = (oldest_batch_ + 1) % waiting_batches;
    writing_ = true;
    // The batch's last bank is left open on its row, in write recovery.
    Bank& bank = banks_[place.bank];
    bank.row = place.row;
    bank.epoch = start.epoch;
    bank.written = written;
    waiting_bytes_ = 0;
    waiting_switches_ = Picoseconds(0);
  }
  return taken;
}

}  // namespace tessera
