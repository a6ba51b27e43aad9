#pragma once

#include <algorithm>
#include <cstdint>

#include "sim/base/units.h"
#include "sim/config/chip_config.h"
#include "sim/trace/trace.h"

namespace tessera {

/// When a unit works on something: [start, end).
struct Booking {
  Cycles start, end;
};

/// A pipe that moves `bytes_per_cycle`, first come first served, without rounding each transfer to
/// whole cycles: time is kept in 2^-20 cycles, so a rate is exact to a millionth.
///   end = ceil(max(now, free) + bytes / rate)
class BandwidthCalendar {
 public:
  explicit BandwidthCalendar(std::int64_t bytes_per_cycle)
      : per_byte_(((std::int64_t{1} << fraction_bits) + bytes_per_cycle / 2) / bytes_per_cycle) {}

  /// Cycle in which the last of `bytes` has passed.
  Cycles book(Cycles now, std::int64_t bytes) {
    const std::int64_t earliest = now.value << fraction_bits;
    free_ = (free_ > earliest ? free_ : earliest) + bytes * per_byte_;
    return Cycles((free_ + (std::int64_t{1} << fraction_bits) - 1) >> fraction_bits);
  }

 private:
  static constexpr int fraction_bits = 20;
  std::int64_t per_byte_;
  std::int64_t free_ = 0;
};

/// Time of one matrix multiply-accumulate on an idle tensor core.
///   arithmetic = ceil(2 m n k / rate(format))
///   operands   = ceil(bytes(B) [+ bytes(A) unless it is in registers] / scratchpad bytes per
///   cycle)
///   occupancy  = max(arithmetic, operands) + issue
/// A unit that streams operands from the scratchpad (wgmma) reads each once; warps that load
/// registers themselves (mma.sync, two by two over the tile) read each operand twice. What exceeds
/// the arithmetic is charged to the scratchpad.
/// Source: H100 wgmma m64n256k16 every 128 cycles at 4096 FLOP/cycle, 128 B/cycle scratchpad.
struct MmaCost {
  Cycles arithmetic, operands, issue;
  std::int64_t operand_bytes = 0;
  Cycles occupancy() const { return (arithmetic < operands ? operands : arithmetic) + issue; }
};
MmaCost mma_cost(const Mma& mma, const ChipConfig& chip);

/// Time of vector work on an idle vector unit: each pipe is busy for its own operations, the
/// instruction ends when the longest does.
///   lanes   = ceil((elements * fma) / fma_per_cycle) + ceil(elements * convert /
///   convert_per_cycle) special = ceil(elements * special / special_per_cycle)
/// Conversions issue to the lanes' ports, so the two add; the special-function unit runs beside.
struct VectorOccupancy {
  Cycles lanes, special;
  Cycles duration() const { return lanes < special ? special : lanes; }
};
VectorOccupancy vector_occupancy(const Vector& work, const VectorUnitConfig& unit);

/// The matrix unit of a core: one instruction at a time, in order.
/// Vector work on its results (softmax, rescaling) that lasts d beside multiplies makes them wait
/// for a share of d, wherever the two overlap:
///   start = max(now, free) + share * overlap of [start, start + occupancy) and the vector work
/// The accumulators that a multiply reads and writes each cycle and the operands of vector
/// instructions share the ports of the register file and the issue slots.
class TensorCore {
 public:
  explicit TensorCore(int stall_percent) : stall_percent_(stall_percent) {}

  Booking book(Cycles now, Cycles occupancy) {
    Cycles start = now < free_ ? free_ : now;
    start = start + stalled(start, std::min(start + occupancy, stalled_until_));
    free_ = start + occupancy;
    return {start, free_};
  }
  /// Vector work on results in [start, end); returns the time it adds to multiplies in the queue.
  Booking stall(Cycles start, Cycles end) {
    const Cycles queued_until = free_;
    free_ = free_ + stalled(start, std::min(end, queued_until));
    stalled_until_ = std::max(stalled_until_, end);
    return {queued_until, free_};
  }

 private:
  Cycles stalled(Cycles start, Cycles end) const {
    return Cycles(start < end ? (end - start).value * stall_percent_ / 100 : 0);
  }

  int stall_percent_;
  Cycles free_, stalled_until_;
};

/// The scratchpad's port, which operand reads of the tensor core share with the copy engine's
/// writes. Writes go into what an mma leaves free: the time since the one before it, and what its
/// own reads need less than its arithmetic. What still waits delays the products, in equal parts of
/// a sixteenth, as loads land while several of them run:
///   wait = max(0, operands - arithmetic) + ceil(min(waiting bytes / 16, operand bytes) / rate)
/// Not modelled: reads by vector instructions, and writes of results.
class ScratchpadPort {
 public:
  /// `bytes` that the copy engine will write.
  void fill(std::int64_t bytes) { waiting_ += bytes; }
  /// Cycles that an mma booked for `now` waits beyond its arithmetic.
  Cycles operand_wait(Cycles now, Cycles arithmetic, std::int64_t operand_bytes,
                      std::int64_t bytes_per_cycle);
  void mma_ends(Cycles end) { last_end_ = end; }

 private:
  std::int64_t waiting_ = 0;
  Cycles last_end_;
};

/// FP32 lanes and special-function unit of a core: two pipes, each first come first served.
class VectorUnit {
 public:
  Booking book(Cycles now, const VectorOccupancy& work) {
    Cycles start = now < lanes_free_ ? lanes_free_ : now;
    if (work.special.value > 0 && start < special_free_) start = special_free_;
    lanes_free_ = start + work.lanes;
    if (work.special.value > 0) special_free_ = start + work.special;
    return {start, start + work.duration()};
  }

 private:
  Cycles lanes_free_, special_free_;
};

}  // namespace tessera
