#pragma once

#include <memory>
#include <systemc>
#include <vector>

#include "sim/chip/arbiter.h"
#include "sim/chip/command_processor.h"
#include "sim/chip/fixed_latency_memory.h"
#include "sim/chip/hbm.h"
#include "sim/chip/l2.h"
#include "sim/chip/memory_model.h"
#include "sim/chip/memory_port.h"
#include "sim/chip/simulation_time.h"

namespace tessera {

/// The machine: cores and their sequencers, L2, memory, command processor, wired for one section.
/// `construction_order` is a permutation of the core numbers; results do not depend on it.
/// `recorder` (nullptr: none) is told what its cores do.
class Chip : public sc_core::sc_module {
 public:
  Chip(sc_core::sc_module_name name, const ChipConfig& config, const Section& section,
       MemoryModel memory, const CacheBefore& before, const std::vector<int>& construction_order,
       TimelineRecorder* recorder = nullptr);

  /// As Arbiter::run_ahead.
  void run_ahead() { arbiter_->run_ahead(); }
  const CommandProcessor& processor() const { return *processor_; }
  const Arbiter& arbiter() const { return *arbiter_; }
  const L2& l2() const { return *l2_; }
  /// nullptr where the memory is another model.
  const Hbm* hbm() const { return hbm_.get(); }

 private:
  ClockDomain clock_;
  MemoryPort port_;
  std::unique_ptr<Hbm> hbm_;
  std::unique_ptr<FixedLatencyMemory> fixed_;
  std::unique_ptr<L2> l2_;
  std::unique_ptr<Arbiter> arbiter_;
  std::unique_ptr<CommandProcessor> processor_;
};

}  // namespace tessera
