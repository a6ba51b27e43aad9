#include "sim/chip/arbiter.h"

#include "sim/chip/sequencer.h"

namespace tessera {

Arbiter::Arbiter(sc_core::sc_module_name name, const ClockDomain& clock, int sequencers)
    : sc_module(name),
      clock_(clock),
      sequencers_(static_cast<std::size_t>(sequencers)),
      calendar_(sequencers) {
  SC_METHOD(grant);
  sensitive << turn_;
  dont_initialize();
}

void Arbiter::add(Sequencer& sequencer) {
  sequencers_[static_cast<std::size_t>(sequencer.id())] = &sequencer;
}

void Arbiter::request(const Sequencer& sequencer, Cycles when) {
  if (calendar_.due(sequencer.id()) <= when) return;
  calendar_.set(sequencer.id(), when);
  if (!granting_) notify();
}

void Arbiter::notify() {
  const Cycles next = calendar_.earliest();
  if (notified_ <= next) return;
  notified_ = next;
  turn_.notify(clock_.delay_until(next));
}

void Arbiter::grant() {
  Cycles now = notified_;
  notified_ = TurnCalendar::never;
  granting_ = true;
  while (grant_due(now) && runs_ahead_ && calendar_.earliest() != TurnCalendar::never &&
         !sc_core::sc_pending_activity()) {
    now = calendar_.earliest();
  }
  granting_ = false;
  if (!failure_) notify();
}

bool Arbiter::grant_due(Cycles now) {
  due_.clear();
  for (; calendar_.earliest() == now; calendar_.clear(due_.back()))
    due_.push_back(calendar_.first());
  try {
    for (const int id : due_) {
      ++events_;
      sequencers_[static_cast<std::size_t>(id)]->step(now);
    }
  } catch (...) {
    failure_ = std::current_exception();
    sc_core::sc_stop();
    return false;
  }
  return true;
}

}  // namespace tessera
