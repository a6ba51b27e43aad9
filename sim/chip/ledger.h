#pragma once

#include <cstdint>

#include "sim/base/cause.h"
#include "sim/base/units.h"

namespace tessera {

/// Charges every cycle of one core to exactly one Cause.
///
/// Busy intervals arrive in the order in which the sequencer steps, and a unit's start is either
/// that step's time or the end of work already recorded; so `covered`, the end of the union of all
/// busy intervals, is exact. A gap before a busy interval is charged to what its context waited for
/// longest. The tensor core's own time is exact (its bookings never overlap); what the union holds
/// beyond it is shared among vector, special-function and epilogue work in proportion to their
/// durations.
///   sum over causes = end - start, always
class Ledger {
 public:
  /// Starts an account at `now` (the end of the previous kernel).
  void open(Cycles now) {
    *this = Ledger{};
    covered_ = now;
  }
  /// Tensor core occupied from `start` for its arithmetic, waiting for operands, and issue.
  void tensor(Cycles start, Cycles arithmetic, Cycles operand_wait, Cycles issue, Cause waited) {
    const Cycles occupied = arithmetic + operand_wait + issue;
    cover(start, start + occupied, waited);
    charge(Cause::tensor_core, arithmetic);
    charge(Cause::scratchpad, operand_wait);
    charge(Cause::pipeline, issue);
    tensor_ += occupied;
  }
  /// Other units busy [start, end).
  void busy(Cycles start, Cycles end, Cause cause, Cause waited) {
    cover(start, end, waited);
    shared_[static_cast<std::size_t>(cause)] += (end - start).value;
  }
  /// Everything up to `now` that no unit was busy in is charged to `waited`.
  void idle_until(Cycles now, Cause waited) { cover(now, now, waited); }

  /// Closes the account at `end`; what no block has claimed is charged to `unclaimed`.
  CoreCycles close(Cycles end, Cause unclaimed);

 private:
  void charge(Cause cause, Cycles amount) {
    total_[static_cast<std::size_t>(cause)] += amount.value;
  }
  void cover(Cycles start, Cycles end, Cause waited) {
    if (start > covered_) {
      charge(waited, start - covered_);
      covered_ = start;
    }
    if (end > covered_) {
      union_ += end - covered_;
      covered_ = end;
    }
  }

  Cycles covered_, union_, tensor_;
  CoreCycles total_{}, shared_{};
};

}  // namespace tessera
