#include "sim/chip/arbiter.h"

#include <algorithm>

#include "sim/chip/sequencer.h"

namespace tessera {

Arbiter::Arbiter(sc_core::sc_module_name name) : sc_module(name) {
  SC_METHOD(grant);
  sensitive << asked_;
  dont_initialize();
}

void Arbiter::request(Sequencer& sequencer, Cycles now) {
  if (due_.empty()) asked_.notify(sc_core::SC_ZERO_TIME);
  due_.push_back(&sequencer);
  now_ = now;
}

void Arbiter::grant() {
  std::sort(due_.begin(), due_.end(),
            [](const Sequencer* a, const Sequencer* b) { return a->id() < b->id(); });
  try {
    for (Sequencer* sequencer : due_) {
      ++events_;
      sequencer->step(now_);
    }
  } catch (...) {
    failure_ = std::current_exception();
    sc_core::sc_stop();
  }
  due_.clear();
}

}  // namespace tessera
