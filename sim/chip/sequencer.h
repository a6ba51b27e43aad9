#pragma once

#include <boost/circular_buffer.hpp>
#include <cstdint>
#include <string>
#include <systemc>
#include <utility>
#include <vector>

#include "sim/chip/l2.h"
#include "sim/chip/ledger.h"
#include "sim/chip/program.h"
#include "sim/chip/simulation_time.h"
#include "sim/chip/units.h"

namespace tessera {

class Arbiter;
class CommandProcessor;

/// What the contexts of one core share. Owned by Core.
struct CoreUnits {
  int id = 0;
  TensorCore tensor_core;
  Cycles dma_free;  ///< when the copy engine takes its next request
  VectorUnit vector_unit;
  /// Copies in flight to the scratchpad, retired in order: (arrival, bytes).
  boost::circular_buffer<std::pair<Cycles, std::int64_t>> in_flight;
  std::int64_t in_flight_bytes = 0;
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
/// wake-up for each block of a cluster; they are booked with their own time): the sequencer
/// notifies its one event for that cycle, asks the arbiter for its turn, and all sequencers due in
/// a cycle take turns in the order of their number. So the order of simultaneous processes never
/// shows in a result.
class Sequencer : public sc_core::sc_module {
 public:
  SC_HAS_PROCESS(Sequencer);
  Sequencer(sc_core::sc_module_name name, int id, const ChipConfig& chip, const ClockDomain& clock,
            L2& l2, Arbiter& arbiter, CommandProcessor& processor);

  /// Prepares for a kernel: `cores` are the ones this sequencer drives (empty: none).
  void prepare(const Program& program, std::vector<CoreUnits*> cores);
  /// Takes a cluster of blocks, whose setup starts at `start`.
  void start_cluster(std::int64_t cluster, Cycles start);
  /// The arbiter's grant: runs everything due at `now`.
  void step(Cycles now);
  /// A flag now stands at `count`; contexts waiting for that much go on at `when` (> now).
  void flag_raised(std::int64_t flag, std::int64_t count, Cycles when, Cycles now);
  /// Notifies the event for the earliest pending work.
  void schedule(Cycles now);

  int id() const { return id_; }
  bool idle() const { return active_clusters_ == 0; }
  /// Who waits for whom, one line per blocked context.
  void explain(std::vector<std::string>& lines) const;

  struct Counters {
    std::int64_t tensor_flops = 0, vector_flops = 0, operand_bytes = 0;
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
  struct Block {
    std::int64_t cluster = -1, rank = 0;
    int group = 0;  // resident cluster slot
    CoreUnits* core = nullptr;
    Slot* slots = nullptr;  // of its rings, one after the other
    std::size_t first_context = 0;
    int running = 0;  // contexts not ended
    Cycles end;
  };
  enum class State : std::uint8_t { idle, ready, barrier, flag, done };
  struct Context {
    Cycles time;
    const Program::Step* next_step = nullptr;
    Block* block = nullptr;
    Cursor* waits = nullptr;    // next phase per ring
    Cursor* arrives = nullptr;  // the same for arrivals
    Cursor expected;            // phase that loads feed
    std::uint16_t expect_ring = 0;
    State state = State::idle;
    Cause waited = Cause::launch;  // longest wait since the last busy interval
    std::int64_t waited_cycles = 0;
    boost::circular_buffer<Cycles> mma;     // completion times, oldest first
    boost::circular_buffer<Cycles> stores;  // when each has left the scratchpad, oldest first
    std::int64_t variables[max_variables] = {};
    Cycles last_store;  // visible in L2
    const Program::Context* shape = nullptr;
    std::uint32_t bit = 0;  // among the block's contexts
    std::uint16_t blocked_ring = 0;
    Cycles blocked_since;
    Cursor blocked;  // state barrier: phase waited for
    std::int64_t blocked_flag = 0, blocked_count = 0;
  };

  void on_wake();
  // Runs `context` until it blocks or ends, until its next step in order lies beyond limit_, or it
  // needs the shared system later than now.
  void run(Context& context, Cycles now);
  void advance(Context& context, Cycles to, Cause cause);
  // Throws if `when` lies beyond end_of_time.
  void in_time(const Context& context, Cycles when) const;
  void arrive(Block& block, std::uint16_t ring, const Cursor& at, Cycles when) {
    Slot& slot = block.slots[at.slot];
    if (slot.completed != at.generation) overrun(block, ring, at, slot);
    ++slot.arrivals;
    note(block, ring, slot, when, Cause::barrier);
  }
  void landed(Block& block, std::uint16_t ring, const Cursor& at, std::int64_t bytes, Cycles when,
              Cause cause) {
    Slot& slot = block.slots[at.slot];
    slot.bytes -= bytes;
    note(block, ring, slot, when, cause);
  }
  // Something of the phase in progress happened at `when`.
  void note(Block& block, std::uint16_t ring, Slot& slot, Cycles when, Cause cause) {
    if (slot.latest <= when) {
      slot.latest = when;
      slot.latest_cause = cause;
    }
    if (slot.bytes == 0 && slot.arrivals >= rings_[ring].arrivals) complete(block, ring, slot);
  }
  [[noreturn]] void overrun(const Block& block, std::uint16_t ring, const Cursor& at,
                            const Slot& slot) const;
  void complete(Block& block, std::uint16_t ring, Slot& slot);
  bool try_load(Context& context, const Program::Step& step, Cycles now);
  void end_context(Context& context);
  // Time of the earliest ready context or retirement; false if there is none.
  bool next_time(Cycles& when) const;
  std::string context_name(const Context& context) const;

  int id_;
  const ChipConfig& chip_;
  const ClockDomain& clock_;
  L2& l2_;
  Arbiter& arbiter_;
  CommandProcessor& processor_;
  sc_core::sc_event wake_;
  Cycles wake_at_;  // pending notification
  bool wake_pending_ = false;
  const Program* program_ = nullptr;
  const Ring* rings_ = nullptr;  // of the program
  std::vector<CoreUnits*> cores_;
  std::vector<Block> blocks_;      // [group * cluster + rank]
  std::vector<Context> contexts_;  // [block * contexts per block + context]
  std::vector<Slot> slots_;        // [block * slots per block + slot]
  std::vector<Cursor> cursors_;    // [(context * 2 + (0: waits, 1: arrives)) * rings + ring]
  // By context: its time if it is ready, or forever. Apart from the contexts, so that finding the
  // earliest reads one cache line.
  std::vector<Cycles> ready_at_;
  std::size_t contexts_per_block_ = 0;
  struct Group {  // place for one resident cluster
    bool occupied = false, retiring = false;
    Cycles retire_at;  // when a finished cluster asks for the next
    int running = 0;   // blocks
  };
  std::vector<Group> groups_;
  Cycles limit_;  // of the current run(): time of the next other context
  int active_clusters_ = 0;
  Counters counters_;
};

}  // namespace tessera
