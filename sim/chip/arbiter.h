#pragma once

#include <exception>
#include <systemc>
#include <vector>

#include "sim/base/units.h"

namespace tessera {

class Sequencer;

/// Gives the sequencers due in one cycle their turns in the order of their numbers, whatever order
/// the kernel woke them in: they ask in one delta cycle, the arbiter grants in the next. An
/// exception in a turn is kept and ends the simulation (a SystemC process would lose its type).
class Arbiter : public sc_core::sc_module {
 public:
  SC_HAS_PROCESS(Arbiter);
  explicit Arbiter(sc_core::sc_module_name name);

  void request(Sequencer& sequencer, Cycles now);
  std::int64_t events() const { return events_; }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void grant();

  sc_core::sc_event asked_;
  std::vector<Sequencer*> due_;
  Cycles now_;
  std::int64_t events_ = 0;
  std::exception_ptr failure_;
};

}  // namespace tessera
