#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "sim/base/cause.h"
#include "sim/chip/fifo.h"
#include "sim/chip/memory_model.h"
#include "sim/chip/memory_port.h"
#include "sim/chip/units.h"
#include "sim/config/chip_config.h"
#include "sim/trace/trace.h"

namespace tessera {

/// What a core gets for a box it asked of the L2.
struct L2Answer {
  Cycles arrival;           ///< last byte in the scratchpad
  std::int64_t bytes = 0;   ///< fetched (the box clipped to the tensor)
  Cause cause = Cause::l2;  ///< what took longest: hbm, l2 or noc
};

/// The tensors that a section's kernels touch, by number, and those they write.
struct L2Footprint {
  std::set<int> loaded, written;
};

/// One bit per line of a segment.
__extension__ using LineMask = unsigned __int128;

/// When a written box has left the scratchpad, and when its last byte is in the cache.
struct L2Written {
  Cycles left, visible;
  std::int64_t bytes = 0;  ///< written (the box clipped to the tensor)
};

/// Second-level cache of `partitions` halves, each near its share of the cores.
///
/// Unit of book-keeping: a segment, 128 lines of one tensor with a valid and a dirty bit
/// each. Its shape, 2^i rows x 2^(7-i) lines, is the one in which the boxes the section's kernels
/// move touch the fewest segments: 64 x 1 for a tensor read in GEMM tiles, 1 x 64 for one read in
/// rows.
///
/// Each segment has a home partition, chosen by a hash of its address. With `replicate_far` (A100,
/// H100) data homed in the other partition is also kept in the near one, so that data shared by all
/// cores takes twice its size. Replacement is least recently used, by segment, to within a
/// sixteenth of the capacity (a segment used again so soon keeps its place in the order). Dirty
/// lines are written back when evicted, or when there are more of them than `max_dirty_percent`,
/// the oldest first; who brings lines waits until memory has taken those that make room.
///
/// Time of a read of b bytes, asked at t (latencies add, durations take the maximum):
///   near hit  t + near_latency, and b through the partition's read pipe and the core's port
///   far hit   t + far_latency, and b also through the link between partitions
///   miss      memory.read(t + near_latency/2 + controller/2) + near_latency/2 + controller/2
/// A hit on a line still on its way waits for it (the fill is shared, as by miss-status registers).
/// Numbers: l2.* and hbm.controller_latency_cycles of the chip; near and far latency are measured
/// load-to-use times.
class L2 {
 public:
  L2(const ChipConfig& chip, MemoryPort& memory);

  /// Announces the tensors of a section; warm ones are installed as clean lines, and of others what
  /// `before` says is left of them.
  void attach(const Section& section, const CacheBefore& before = {});

  /// Box of tensor (row, col, rows x cols elements) for `core`; clipped at the tensor's edges.
  L2Answer read(Cycles now, int core, int tensor, std::int64_t row, std::int64_t col,
                std::int64_t rows, std::int64_t cols);
  /// As read, each row from a pseudo-random place of the tensor.
  L2Answer gather(Cycles now, int core, int tensor, std::int64_t row, std::int64_t col,
                  std::int64_t rows, std::int64_t cols);
  /// Passes `bytes` another core has read (multicast) through the port of `core`.
  Cycles deliver(Cycles now, int core, std::int64_t bytes);
  /// Write of a box; `accumulate` reads and adds in the cache (atomic), which takes its pipe twice.
  L2Written write(Cycles now, int core, int tensor, std::int64_t row, std::int64_t col,
                  std::int64_t rows, std::int64_t cols, bool accumulate);

  struct Counters {
    std::int64_t read_bytes = 0;  ///< asked by cores
    std::int64_t hit_bytes = 0;   ///< of which some partition had
    std::int64_t write_bytes = 0;
    std::int64_t hbm_read_bytes = 0, hbm_write_bytes = 0;
  };
  const Counters& counters() const { return counters_; }

 private:
  struct alignas(64) Segment {
    LineMask valid = 0, dirty = 0;
    Cycles ready;  // of the latest fill
    std::int32_t newer = -1, older = -1;
    std::uint32_t touched = 0;  // Partition::touches when it last moved to the front
    std::int32_t map = -1;      // tensor
    std::int32_t index = 0;     // segment of the tensor
    std::uint32_t soiled = 0;   // Partition::soilings when it became dirty
  };
  struct Partition {
    Partition(BandwidthCalendar reads, BandwidthCalendar writes, BandwidthCalendar crossing)
        : read(reads), write(writes), link(crossing) {}
    std::vector<Segment> segments;
    std::vector<std::int32_t> free;
    std::int32_t newest = -1, oldest = -1;
    std::int64_t lines = 0;
    std::int64_t old_lines = 0;        // left by the run before, least recently used
    double old_dirty_share = 0;        // of those that make room
    double old_lines_to_write = 0;     // of those that made room
    std::int64_t old_dirty_lines = 0;  // of those left, if they are counted
    std::int64_t dirty_lines = 0;      // of the section's own
    // Its segments by the time they became dirty; one whose `soiled` is another has left since.
    struct Soiled {
      std::int32_t slot;
      std::uint32_t soiled;
    };
    Fifo<Soiled> dirty;
    std::uint32_t soilings = 0;
    std::uint32_t touches = 0;
    BandwidthCalendar read, write, link;
  };
  struct TensorMap {
    std::int64_t address = 0, rows = 0, lines_per_row = 0;
    int line_shift = 0;          // log2 of elements per line
    int row_shift = 0;           // log2 of rows per segment
    std::int64_t run_bytes = 0;  // contiguous in memory of what boxes move
    std::int64_t cols = 0;
    std::int64_t segments_per_row = 0, segments = 0;
    // [segment * partitions + partition] -> index in Partition::segments, -1; empty until used.
    std::vector<std::int32_t> slots;
  };
  // A box on its way to a core.
  struct Request {
    Cycles now;
    int core, tensor, near_partition;
    std::int64_t bytes = 0;    // so far
    Cycles from_l2, from_hbm;  // when the last of them is there
  };
  // Visits (segment index, line mask, number of lines) of a clipped box.
  template <class Visit>
  void visit(const TensorMap& map, std::int64_t row, std::int64_t col, std::int64_t rows,
             std::int64_t cols, Visit&& each) const;
  int home(std::int64_t address) const;
  int near(int core) const { return near_[static_cast<std::size_t>(core)]; }
  // A tensor that is about to be touched.
  TensorMap& use(int tensor);
  std::int64_t address_of(const TensorMap& map, std::int64_t index) const {
    return map.address + index * segment_bytes_;
  }
  // Where the partitions keep a segment: one place each, -1 where it is not.
  std::int32_t* places(TensorMap& map, std::int64_t index) const {
    return &map.slots[static_cast<std::size_t>(index) * partitions_.size()];
  }
  // The segment, found or made, moved to the front; `place` is the partition's.
  Segment& install(Partition& p, std::int32_t& place, int tensor, std::int64_t index);
  void drop_copies(int home_partition, const std::int32_t* places, LineMask lines);
  // Makes room for `added` lines; since when there is: once memory has taken what was dirty.
  Cycles add_lines(Cycles now, int partition, std::int32_t keep, std::int64_t added);
  void touch(Partition& p, std::int32_t slot) {
    const Segment& s = p.segments[static_cast<std::size_t>(slot)];
    if (p.touches - s.touched < recent_touches_) return;
    unlink(p, slot);
    link_newest(p, slot);
  }
  void link_newest(Partition& p, std::int32_t slot);
  void unlink(Partition& p, std::int32_t slot);
  Cycles evict(Cycles now, int partition, std::int32_t slot);
  // Until when lines that leave at `now` take room.
  Cycles write_back(Cycles now, std::int64_t address, std::int64_t bytes, std::int64_t run_bytes);
  // Fills what is free with what the kernels before leave.
  void begin_full(const Section& section, const CacheBefore& before, const L2Footprint& footprint);
  // Puts a share of a tensor's lines in, those that a hash of their addresses chooses.
  void install_share(int tensor, const Tensor& shape, double share);
  // Bytes that so many runs on copies of their own bring in: what all cores read stands in each
  // partition, what one core reads in one or two of them, what is only written in one. `one_copy`:
  // all that is read counts as by one core, as its copy in one partition is enough.
  double brought_by(const Section& section, const L2Footprint& footprint, int runs,
                    bool one_copy) const;
  // Makes room for `lines` of an old section's.
  Cycles evict_old(Cycles now, int partition, std::int64_t lines);
  // Takes segments that have been evicted off the front of those that became dirty.
  static void forget_left(Partition& p);
  // Writes dirty lines to memory, the oldest first, until there are no more than may be; `keep` is
  // the segment being written.
  Cycles clean(Cycles now, int partition, std::int32_t keep);
  // The next of the old section's dirty segments.
  Cycles write_old(Cycles now);
  // `count` lines of one segment.
  void read_segment(Request& request, TensorMap& map, std::int64_t index, LineMask lines,
                    std::int64_t count);
  // The same where the near partition may not have them all.
  void read_missing(Request& request, std::int64_t index, LineMask lines, std::int64_t count);
  L2Answer finish(const Request& request);

  MemoryPort& memory_;
  std::int64_t line_bytes_, segment_bytes_;
  Cycles near_latency_, far_latency_;
  Cycles to_memory_;  // core to memory controller, one way
  bool replicate_far_;
  bool touches_twice_;  // a second touch in a row is not always too soon to matter
  bool attaching_ = false;
  std::int64_t capacity_lines_;    // per partition
  std::int64_t most_dirty_lines_;  // per partition
  std::uint32_t recent_touches_;   // a sixteenth of the segments of a partition
  std::vector<int> near_;          // partition by core
  std::vector<Partition> partitions_;
  std::vector<TensorMap> tensors_;
  bool old_dirty_is_counted_ = false;     // the run before has left as many dirty lines as may be
  std::int64_t old_address_ = 0;          // where the next of them are written to
  std::int64_t old_run_bytes_ = 1 << 20;  // of a flush that wrote in one piece
  std::vector<BandwidthCalendar> read_ports_, write_ports_;
  Counters counters_;
};

}  // namespace tessera
