#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "sim/base/units.h"
#include "sim/config/chip_config.h"

namespace tessera {

/// Where a pseudo-channel keeps an address.
struct HbmPlace {
  std::size_t bank, group;  ///< of all banks; the bank's group
  std::int64_t row;
};

/// What takes place on a pseudo-channel: bytes that lie in runs of contiguous ones.
struct HbmBurst {
  std::int64_t size = 0;  ///< bytes
  Picoseconds occupied;   ///< on the data bus
  Picoseconds in_group;   ///< until its bank group takes the next
  Picoseconds switches;   ///< lost between the rows of a read
};

/// Timing and geometry of one pseudo-channel, times in picoseconds, from the keys of HbmConfig.
struct HbmTiming {
  explicit HbmTiming(const HbmConfig& config);

  /// The place of a channel-local address.
  HbmPlace place_of(std::int64_t address) const;

  HbmBurst burst_of(std::int64_t size, std::int64_t run) const {
    const Picoseconds occupied = transfer(size);
    return {size, occupied, Picoseconds((occupied.value * long_burst_scaled) >> scale_bits),
            run < size ? read_switches(size, run) : Picoseconds(0)};
  }

  /// What the bus loses between the rows of `size` bytes that lie in runs of `run` bytes. Reads of
  /// neighbouring runs come close together and find the row open; written runs are evicted in no
  /// order, so each also has its share of a bank's write recovery.
  Picoseconds read_switches(std::int64_t size, std::int64_t run) const {
    return Picoseconds(row_switch.value * size / run);
  }
  Picoseconds write_switches(std::int64_t size, std::int64_t run) const {
    return Picoseconds((row_switch.value + wr.value / banks) * size / run);
  }

  /// Time of `size` bytes on the data bus, whole bursts, rounded once.
  Picoseconds transfer(std::int64_t size) const {
    const std::int64_t bursts = (size + (std::int64_t{1} << burst_shift) - 1) >> burst_shift;
    return Picoseconds((bursts * burst_scaled + (std::int64_t{1} << (scale_bits - 1))) >>
                       scale_bits);
  }

  static constexpr int scale_bits = 16;
  int burst_shift;                 ///< log2 of bytes of one burst
  std::int64_t burst_scaled;       ///< one burst, ps * 2^16
  std::int64_t long_burst_scaled;  ///< tCCD_L in bursts * 2^16
  Picoseconds burst;               ///< one burst
  Picoseconds rcd, rp, ras, cl, cwl, rrd, rtp, wr, wtr, rtw, refi, rfc, row_switch;
  int banks, bank_groups;
  // log2 of: bytes of a chunk, bank groups, chunks of a row, banks of a group.
  int chunk_shift, group_shift, page_shift, bank_shift;
};

/// One pseudo-channel: banks with open rows, a data bus, refresh. Answers "when is it done" in
/// O(1).
///
/// Constraints (JEDEC HBM names), each an earliest time; the latest wins:
///   activate   now; a slot of tRRD; the bank's last activate + tRAS + tRP; its precharge + tRP
///   precharge  the bank's activate + tRAS; its last read command + tRTP; its last write data + tWR
///   column     the bank's activate + tRCD; a slot of its bank group, bursts * tCCD_L
///   data       column + tCL; a slot of the bus; the first after writes: their end + tWTR + tCL
///   write data now + tCWL; a slot of the bus; the first after reads: their end + tRTW
///   refresh    every tREFI, for tRFC, all banks; commands wait, rows are closed
/// Activate slots, bank groups and the bus are work-conserving: a request that waits for its bank
/// does not hold back later ones whose banks are ready, as a controller that picks ready requests
/// from its queue (FR-FCFS) arranges it. Hence, under load,
///   stream bandwidth     = peak * (1 - tRFC / tREFI)
///   random-row bandwidth = bytes / max(tRRD, (tRAS + tRP) / banks) per pseudo-channel, with evenly
///                          used banks and the same refresh share
///   unloaded latency     = tRCD + tCL + transfer (closed row), tCL + transfer (open row)
/// Address: | row | bank of the group | chunk of the row | bank group | byte of the chunk |, so
/// that a stream goes round the bank groups and tCCD_L hides behind the other groups' transfers.
/// The sum of the digits above turns the order of groups and of banks, so that strides of any power
/// of two of rounds go round them too. Writes are posted: they collect and drain write_batch_bytes
/// at a time, so the bus turns round once per batch. One is accepted at max(now, start of the
/// oldest of the last 8 batches) + tCWL.
class alignas(64) HbmChannel {
 public:
  /// All channels of a device share one `timing`. `index` staggers the refresh of channels over
  /// tREFI / channels.
  HbmChannel(std::shared_ptr<const HbmTiming> timing, int index, int channels);

  /// Reads `burst`, which lies within one row, at `place`; returns when the last of it is there.
  Picoseconds read(Picoseconds now, HbmPlace place, const HbmBurst& burst) {
    Picoseconds done;
    return read_calm(now, place, burst, done) ? done : read_any(now, place, burst);
  }
  /// As read, without its way for requests that no refresh meddles with.
  Picoseconds read_any(Picoseconds now, HbmPlace place, const HbmBurst& burst);
  /// Posts a write; returns when the controller has accepted it.
  Picoseconds write(Picoseconds now, HbmPlace place, std::int64_t size, std::int64_t run);
  /// Reads `size` bytes in the matrix runs of `run` bytes.
  Picoseconds read(Picoseconds now, HbmPlace place, std::int64_t size, std::int64_t run) {
    return read(now, place, timing_->burst_of(size, run));
  }
  /// The same at a channel-local address.
  Picoseconds read(Picoseconds now, std::int64_t address, std::int64_t size) {
    return read(now, timing_->place_of(address), size, size);
  }
  Picoseconds write(Picoseconds now, std::int64_t address, std::int64_t size) {
    return write(now, timing_->place_of(address), size, size);
  }

  struct Counters {
    std::int64_t row_hits = 0, row_misses = 0, read_bytes = 0, write_bytes = 0;
  };
  const Counters& counters() const { return counters_; }

  /// Bytes a write batch holds: a queue of 64 entries of 64 B. With two bytes read for each
  /// written, A100's turnaround then leaves 87 % of peak, as BabelStream measures (1774 GB/s).
  static constexpr std::int64_t write_batch_bytes = 4096;

 private:
  struct Bank {
    std::int64_t row = -1;
    std::int64_t epoch = 0;  // refreshes before the last activate
    Picoseconds activated{-1'000'000'000'000}, last_read{-1'000'000'000'000};
    Picoseconds written{-1'000'000'000'000};  // end of its last write's data
  };
  struct Refreshed {
    Picoseconds when;    // not during a refresh
    std::int64_t epoch;  // refreshes before it
  };
  Refreshed refreshed(Picoseconds when) {
    // Requests come in the order of their times, so the interval that held the last one mostly
    // holds this one: no division then.
    return when >= calm_begin_ && when < calm_end_ ? Refreshed{when, epoch_} : find_refresh(when);
  }
  Refreshed find_refresh(Picoseconds when);
  // A read whose commands and data all fall into the part without refresh of the latest interval,
  // as most do: false, with nothing changed, where they do not.
  bool read_calm(Picoseconds now, HbmPlace place, const HbmBurst& burst, Picoseconds& done);
  struct Opened {
    Picoseconds ready;  // for a column command
    bool missed;
  };
  Opened open(Picoseconds now, Bank& bank, std::int64_t row);

  // What every request needs comes first.
  std::shared_ptr<const HbmTiming> timing_;
  Picoseconds calm_begin_, calm_end_;  // of the refresh interval the latest request fell in
  std::int64_t epoch_ = 0;             // its number; 0: before the first refresh
  Picoseconds bus_free_, activate_free_;
  std::vector<Bank> banks_;
  std::vector<Picoseconds> group_free_;
  bool writing_ = false;  // the bus carried writes last
  static constexpr std::size_t waiting_batches = 8;
  // When the data of the last batches starts on the bus, the oldest at `oldest_batch_`: what waits
  // there is in the queue of the controller or set aside in the L2.
  std::array<Picoseconds, waiting_batches> batch_starts_{};
  std::size_t oldest_batch_ = 0;
  std::int64_t waiting_bytes_ = 0;
  Picoseconds waiting_switches_;
  Counters counters_;
  Picoseconds window_;  // start of that refresh interval
};

inline bool HbmChannel::read_calm(Picoseconds now, HbmPlace place, const HbmBurst& burst,
                                  Picoseconds& done) {
  const HbmTiming& t = *timing_;
  Bank& bank = banks_[place.bank];
  Picoseconds& group_free = group_free_[place.group];
  const bool same_epoch = bank.epoch >= epoch_;
  const bool hit = bank.row == place.row && same_epoch;
  Picoseconds activate = bank.activated, slot = activate_free_, soonest = now + t.cl;
  if (!hit) {
    slot = std::max(now, slot);
    activate = std::max(slot, activate + t.ras + t.rp);
    if (bank.row >= 0 && same_epoch) {
      activate = std::max(activate, std::max({now, bank.activated + t.ras, bank.last_read + t.rtp,
                                              bank.written + t.wr}) +
                                        t.rp);
    }
    slot = slot + t.rrd;
    soonest = soonest + t.rcd;
  }
  const Picoseconds group_slot = std::max(now, group_free);
  const Picoseconds column = std::max({now, activate + t.rcd, group_slot});
  const Picoseconds turned = writing_ ? bus_free_ + t.wtr + t.cl : bus_free_;
  const Picoseconds begin = std::max(soonest, turned);
  // Every other time lies between `now` and one of these two.
  if (now < calm_begin_ || std::max(column, begin) >= calm_end_) return false;
  counters_.read_bytes += burst.size;
  if (hit) {
    ++counters_.row_hits;
  } else {
    ++counters_.row_misses;
    bank.row = place.row;
    bank.epoch = epoch_;
    bank.activated = activate;
    activate_free_ = slot;
  }
  bank.last_read = column + burst.occupied - t.burst;
  group_free = group_slot + burst.in_group;
  writing_ = false;
  const Picoseconds arrived = begin + burst.occupied;
  bus_free_ = arrived + burst.switches;
  done = std::max(arrived, column + t.cl + burst.occupied);
  return true;
}

}  // namespace tessera
