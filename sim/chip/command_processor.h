#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <systemc>
#include <vector>

#include "sim/chip/arbiter.h"
#include "sim/chip/l2.h"
#include "sim/chip/program.h"
#include "sim/chip/sequencer.h"
#include "sim/chip/simulation_time.h"

namespace tessera {

/// Counted events of one kernel, launch gap included.
struct KernelRecord {
  std::int64_t op = 0;
  Cycles start, end;  ///< in the section, the launch gap left out
  Cycles cycles;
  CoreCycles core_cycles{};
  L2::Counters l2;
  Sequencer::Counters cores;  ///< all of them together
};

/// Starts the kernels of a section one after the other and hands out their blocks.
///
///   start(i+1) = end(i) + gap; gap = launch.gap_us, less launch.overlap_us for an early launch
///   end(i)     = last block retired and last store visible in L2
/// Blocks: the first wave goes round the sequencers until every place is taken; then a place that
/// falls free takes the next cluster after launch.block_cycles. Each block begins with
/// launch.setup_cycles.
class CommandProcessor : public sc_core::sc_module {
 public:
  SC_HAS_PROCESS(CommandProcessor);
  CommandProcessor(sc_core::sc_module_name name, const ChipConfig& chip, const ClockDomain& clock,
                   const Section& section, L2& l2, Arbiter& arbiter,
                   const std::vector<int>& construction_order, TimelineRecorder* recorder);

  // For sequencers, at kernel time `now`:
  void cluster_done(Sequencer& sequencer, Cycles now);
  void raise_flag(std::int64_t flag, Cycles now);
  void await_flag(Sequencer& sequencer) { flag_waiters_.insert(sequencer.id()); }
  std::int64_t flag(std::int64_t index) const;
  void note_visible(Cycles when) { visible_ = visible_ < when ? when : visible_; }

  bool finished() const { return next_ == section_.kernels.size() && !running_; }
  const std::vector<KernelRecord>& records() const { return records_; }
  Cycles end() const { return end_; }
  /// Of all cores so far, over all kernels.
  Sequencer::Counters counters() const;
  /// Why nothing moves any more, for a simulation that ended unfinished.
  std::string explain() const;

 private:
  void start_kernel();
  void finish_kernel();
  Cycles gap(const Kernel& kernel) const;

  const ChipConfig& chip_;
  const ClockDomain& clock_;
  const Section& section_;
  L2& l2_;
  TimelineRecorder* recorder_;
  sc_core::sc_event start_, finish_;
  std::vector<std::unique_ptr<CoreUnits>> cores_;
  std::vector<std::unique_ptr<Sequencer>> sequencers_;  // by core number
  std::vector<Program> programs_;                       // one per kernel, decoded before time runs
  const Program* program_ = nullptr;                    // the running one
  std::vector<std::int64_t> flags_;
  std::set<int> flag_waiters_;
  std::size_t next_ = 0;
  bool running_ = false;
  Cycles start_at_, end_, previous_end_, visible_;
  std::int64_t next_cluster_ = 0, clusters_ = 0, retired_ = 0;
  KernelRecord before_;  // counters at the start of the kernel
  std::vector<KernelRecord> records_;
};

}  // namespace tessera
