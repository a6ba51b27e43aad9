#pragma once

#include <exception>
#include <systemc>
#include <vector>

#include "sim/base/units.h"
#include "sim/chip/simulation_time.h"
#include "sim/chip/turn_calendar.h"

namespace tessera {

class Sequencer;

/// Gives the sequencers due in one cycle their turns in the order of their numbers: it collects all
/// that are due, then grants; who is due again in the same cycle waits for the next round. It keeps
/// the calendar of all their turns, so the kernel sees one event for a cycle, however many are due
/// in it. An exception in a turn is kept and ends the simulation (a SystemC process would lose its
/// type).
class Arbiter : public sc_core::sc_module {
 public:
  SC_HAS_PROCESS(Arbiter);
  /// For sequencers numbered from 0 to `sequencers` - 1.
  Arbiter(sc_core::sc_module_name name, const ClockDomain& clock, int sequencers);

  /// Introduces a sequencer, which outlives the simulation.
  void add(Sequencer& sequencer);
  /// A turn for the sequencer at `when`, not before now, in place of a later one it has asked for.
  void request(const Sequencer& sequencer, Cycles when);
  /// From one turn to the next without the kernel, whose time stays behind, while nothing is
  /// pending there: for a simulation at which nobody looks before its end.
  void run_ahead() { runs_ahead_ = true; }
  /// Turns granted.
  std::int64_t events() const { return events_; }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void grant();
  // Grants the turns due at `now`; false if one of them failed.
  bool grant_due(Cycles now);
  // Notifies the event for the earliest turn.
  void notify();

  const ClockDomain& clock_;
  sc_core::sc_event turn_;
  Cycles notified_{INT64_MAX};  // when turn_ comes
  bool granting_ = false, runs_ahead_ = false;
  std::vector<Sequencer*> sequencers_;  // by number
  TurnCalendar calendar_;
  std::vector<int> due_;
  std::int64_t events_ = 0;
  std::exception_ptr failure_;
};

}  // namespace tessera
