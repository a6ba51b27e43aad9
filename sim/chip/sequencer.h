#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sim/chip/fifo.h"
#include "sim/chip/l2.h"
#include "sim/chip/ledger.h"
#include "sim/chip/program.h"
#include "sim/chip/ready_queue.h"
#include "sim/chip/simulation_time.h"
#include "sim/chip/timeline_recorder.h"
#include "sim/chip/units.h"

namespace tessera {

class Arbiter;
class CommandProcessor;

/// What the contexts of one core share. Owned by Core.
struct CoreUnits {
  explicit CoreUnits(const ChipConfig& chip) : tensor_core(chip.vector_unit.tensor_stall_percent) {}

  int id = 0;
  TensorCore tensor_core;
  Cycles dma_free;  ///< when the copy engine takes its next request
  VectorUnit vector_unit;
  /// Copies in flight to the scratchpad, retired in order: (arrival, bytes).
  Fifo<std::pair<Cycles, std::int64_t>> in_flight;
  std::int64_t in_flight_bytes = 0;
  ScratchpadPort scratchpad;
  Ledger ledger;
};

/// Steps the contexts of the blocks resident on one core, or, for kernels with clusters, on the
/// neighbouring cores of one cluster.
///
/// Time rule. Contexts book the units private to their cores (tensor core, vector unit) in the
/// order of their local time, ahead of the kernel's time; in between they run on alone, as when a
/// barrier completes does not depend on the order in which its arrivals are recorded. An
/// instruction that touches what other cores share runs only when the kernel's time has reached it
/// (flags, the next block) or is within a quantum of it (copies to and from L2, which saves a
/// wake-up for each block of a cluster; they are booked with their own time): the sequencer asks
/// the arbiter for a turn in that cycle, and all sequencers due in a cycle take turns in the order
/// of their number. So the order of simultaneous work never shows in a result.
///
/// What a recorder wants to know is noted by a second instance of the same code, which only
/// sequencers with a core it has chosen run: without one, no instruction is spent on it.
class Sequencer {
 public:
  Sequencer(int id, const ChipConfig& chip, L2& l2, Arbiter& arbiter, CommandProcessor& processor,
            TimelineRecorder* recorder);
  Sequencer(const Sequencer&) = delete;
  Sequencer& operator=(const Sequencer&) = delete;

  /// Prepares for a kernel: `cores` are the ones this sequencer drives (empty: none).
  void prepare(const Program& program, std::vector<CoreUnits*> cores);
  /// Takes a cluster of blocks, whose setup starts at `start`.
  void start_cluster(std::int64_t cluster, Cycles start);
  /// The arbiter's grant: runs everything due at `now`.
  void step(Cycles now) { recording_.wanted ? take_turn<true>(now) : take_turn<false>(now); }
  /// A flag now stands at `count`; contexts waiting for that much go on at `when` (> now).
  void flag_raised(std::int64_t flag, std::int64_t count, Cycles when, Cycles now);
  /// Asks for a turn at the earliest pending work.
  void schedule(Cycles now);

  int id() const { return id_; }
  bool idle() const { return active_clusters_ == 0; }
  /// Who waits for whom, one line per blocked context.
  void explain(std::vector<std::string>& lines) const;

  struct Counters {
    std::int64_t tensor_flops = 0, vector_flops = 0, operand_bytes = 0;
    std::int64_t link_bytes = 0;      ///< sent to other chips
    std::int64_t exchange_bytes = 0;  ///< of the chip's memory, that exchanges read and write

    Counters& operator+=(const Counters& o) { return add(o, 1); }
    Counters& operator-=(const Counters& o) { return add(o, -1); }

   private:
    Counters& add(const Counters& o, std::int64_t sign) {
      tensor_flops += sign * o.tensor_flops;
      vector_flops += sign * o.vector_flops;
      operand_bytes += sign * o.operand_bytes;
      link_bytes += sign * o.link_bytes;
      exchange_bytes += sign * o.exchange_bytes;
      return *this;
    }
  };
  const Counters& counters() const { return counters_; }

 private:
  struct Slot {                  // of a barrier ring
    std::int64_t completed = 0;  // phases
    std::int64_t arrivals = 0;   // of the phase in progress
    std::int64_t bytes = 0;      // announced minus landed
    Cycles latest, completion;   // of the phase in progress; of the last complete one
    Cause latest_cause = Cause::barrier, cause = Cause::barrier;
    std::uint32_t waiting = 0;  // contexts of the block blocked on it, a bit each
  };
  using Ring = Program::Ring;
  // Where a context stands in a ring: phase = generation * slots + (slot - first), no divisions.
  struct Cursor {
    std::int64_t generation = 0;
    std::int32_t slot = 0;  // of the block
  };
  static void next(Cursor& cursor, const Ring& ring) {
    if (++cursor.slot == ring.end) {
      cursor.slot = ring.first;
      ++cursor.generation;
    }
  }
  static std::int64_t phase(const Cursor& cursor, const Ring& ring) {
    return cursor.generation * (ring.end - ring.first) + (cursor.slot - ring.first);
  }
  struct alignas(64) Block {
    std::int64_t cluster = -1, rank = 0;
    int group = 0;  // resident cluster slot
    CoreUnits* core = nullptr;
    Slot* slots = nullptr;  // of its rings, one after the other
    std::size_t first_context = 0;
    int running = 0;  // contexts not ended
    Cycles end;
  };
  enum class State : std::uint8_t { idle, ready, barrier, flag, done };
  // In the order of use: a turn needs the first lines of memory, of hundreds of contexts.
  struct alignas(64) Context {
    Cycles time;
    const Program::Step* next_step = nullptr;
    Block* block = nullptr;
    Cursor* waits = nullptr;  // next phase per ring; in state barrier: of blocked_ring, waited for
    Cursor expected;          // phase that loads feed
    std::uint32_t bit = 0;    // among the block's contexts
    std::uint16_t expect_ring = 0, blocked_ring = 0;
    State state = State::idle;
    Cause waited = Cause::launch;  // longest wait since the last busy interval
    std::int64_t waited_cycles = 0;
    Fifo<Cycles> mma;     // completion times, oldest first
    Fifo<Cycles> stores;  // when each has left the scratchpad, oldest first
    Cycles last_store;    // visible in L2
    std::int64_t variables[max_variables] = {};
    const Program::Context* shape = nullptr;
    std::int64_t blocked_flag = 0, blocked_count = 0;
  };

  // As the template parameter of what follows: whether the recorder is told.
  template <bool recorded>
  void take_turn(Cycles now);
  // Runs `context` until it blocks or ends, until its next step in order lies beyond limit_, or it
  // needs the shared system later than now.
  template <bool recorded>
  void run(Context& context, Cycles now);
  template <bool recorded>
  void advance(Context& context, Cycles to, Cause cause);
  // Waits until it knows that the phase `at` of a ring is complete.
  template <bool recorded>
  void await(Context& context, std::uint16_t ring, const Cursor& at, const Slot& slot) {
    if (slot.completion <= context.time) return;
    const Cycles told = slot.completion + Cycles(chip_.barrier.latency_cycles);
    if constexpr (recorded) record_wait(context, phase(at, rings_[ring]), slot, told);
    advance<false>(context, told, slot.cause);
  }
  // Throws if `when` lies beyond end_of_time.
  void in_time(const Context& context, Cycles when) const {
    if (when > end_of_time) too_late(context, when);
  }
  [[noreturn]] void too_late(const Context& context, Cycles when) const;
  template <bool recorded>
  void arrive(Block& block, std::uint16_t ring, const Cursor& at, Cycles when,
              const Context& arriving) {
    Slot& slot = block.slots[at.slot];
    if (slot.completed != at.generation) overrun(block, ring, at, slot);
    ++slot.arrivals;
    const TrackPoint* from = nullptr;
    if constexpr (recorded) from = &recording_.of_context[index_of(arriving)];
    note<recorded>(block, ring, slot, when, Cause::barrier, from);
  }
  template <bool recorded>
  void landed(Block& block, std::uint16_t ring, const Cursor& at, std::int64_t bytes, Cycles when,
              Cause cause, const TrackPoint* from) {
    Slot& slot = block.slots[at.slot];
    slot.bytes -= bytes;
    note<recorded>(block, ring, slot, when, cause, from);
  }
  // Something of the phase in progress happened at `when`, the end of `from`.
  template <bool recorded>
  void note(Block& block, std::uint16_t ring, Slot& slot, Cycles when, Cause cause,
            [[maybe_unused]] const TrackPoint* from) {
    if (slot.latest <= when) {
      slot.latest = when;
      slot.latest_cause = cause;
      if constexpr (recorded) recording_.latest[index_of(slot)] = *from;
    }
    if (slot.bytes == 0 && slot.arrivals >= rings_[ring].arrivals)
      complete<recorded>(block, ring, slot);
  }
  [[noreturn]] void overrun(const Block& block, std::uint16_t ring, const Cursor& at,
                            const Slot& slot) const;
  template <bool recorded>
  void complete(Block& block, std::uint16_t ring, Slot& slot);
  template <bool recorded>
  bool try_load(Context& context, const Program::Step& step, Cycles now);
  template <bool recorded>
  void end_context(Context& context);
  // A context's next phase per ring for arrivals.
  Cursor* arrives(const Context& context) const { return context.waits + ring_count_; }
  // The blocks of the cluster that `block` belongs to, itself among them.
  struct Cluster {
    Block *first, *past;
    Block* begin() const { return first; }
    Block* end() const { return past; }
  };
  Cluster cluster_of(const Block& block) {
    Block* const first = &blocks_[static_cast<std::size_t>(block.group) * cores_.size()];
    return {first, first + cores_.size()};
  }
  std::size_t index_of(const Context& context) const {
    return static_cast<std::size_t>(&context - contexts_.data());
  }
  std::size_t index_of(const Slot& slot) const {
    return static_cast<std::size_t>(&slot - slots_.data());
  }
  // A slice of `context`, doing its next step, on a track of its core.
  Slice slice(const Context& context, TrackKind kind, Cycles start, Cycles end) const;
  // Tell the recorder, if it wants to know of the context's core, of a slice of the context itself,
  // and of its wait for a phase of a slot, of which it knows at `told`.
  void record(const Context& context, const Slice& slice);
  void record_wait(const Context& context, std::int64_t phase, const Slot& slot, Cycles told);
  void record_vector(const Context& context, const Program::Step& step, const Booking& booking);
  void forget_recorded(const Block& block);
  struct Group;
  // The group that retires first; nullptr: none is about to.
  const Group* first_retiring() const;
  // Time of the earliest ready context or retirement; false if there is none.
  bool next_time(Cycles& when) const;
  std::string context_name(const Context& context) const;

  int id_;
  const ChipConfig& chip_;
  L2& l2_;
  Arbiter& arbiter_;
  CommandProcessor& processor_;
  const Program* program_ = nullptr;
  const Ring* rings_ = nullptr;  // of the program
  std::size_t ring_count_ = 0;
  std::vector<CoreUnits*> cores_;
  std::vector<Block> blocks_;      // [group * cluster + rank]
  std::vector<Context> contexts_;  // [block * contexts per block + context]
  std::vector<Slot> slots_;        // [block * slots per block + slot]
  std::vector<Cursor> cursors_;    // [(context * 2 + (0: waits, 1: arrives)) * rings + ring]
  ReadyQueue ready_;
  Cycles running_at_ = ReadyQueue::never;  // when the context that runs became ready
  std::size_t contexts_per_block_ = 0;
  struct Group {  // place for one resident cluster
    bool occupied = false, retiring = false;
    Cycles retire_at;  // when a finished cluster asks for the next
    int running = 0;   // blocks
  };
  std::vector<Group> groups_;
  bool yields_ = false;  // the context that ran has asked for as many copies as a turn allows
  Cycles limit_;         // of the current run(): time of the next other context
  int active_clusters_ = 0;
  int retiring_ = 0;  // groups
  Counters counters_;
  struct Recording {
    TimelineRecorder* recorder = nullptr;
    bool wanted = false;                 // it has chosen a core of this sequencer
    std::vector<TrackPoint> of_context;  // its latest slice
    // By slot: the latest that its phase in progress waited for, and that of the last complete one.
    std::vector<TrackPoint> latest, completed;
  };
  Recording recording_;
};

}  // namespace tessera
