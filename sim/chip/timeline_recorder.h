#pragma once

#include <cstdint>
#include <vector>

#include "sim/base/cause.h"
#include "sim/base/units.h"

namespace tessera {

/// What a track of the timeline belongs to.
enum class TrackKind : std::uint8_t {
  tensor_core,
  vector_lanes,
  special_function,
  copy,     ///< loads on their way from L2 or memory to the scratchpad
  store,    ///< stores on their way out of the scratchpad
  context,  ///< what an instruction stream waits for, and its vector work
};

/// One track of one core. `lane`: several copies are under way at a time, each on a lane of its
/// own; of a context, the number of its block among those resident on the core.
struct TrackPoint {
  Cycles start, end;
  std::int32_t core = -1;  ///< -1: nowhere
  TrackKind kind = TrackKind::context;
  std::uint8_t copy = 0;   ///< of the context's role
  std::uint16_t role = 0;  ///< of the kernel
  std::int32_t lane = 0;
};

/// Something a unit or a context was busy with, or waited for, in [start, end).
struct Slice {
  TrackPoint at;
  std::int32_t kernel = 0;       ///< of the section
  std::int32_t instruction = 0;  ///< of the role; its code's size: the end of the context
  /// A barrier's: the phase that completed, and its cost of telling so. -1: any other slice.
  std::int64_t phase = -1;
  std::int64_t bytes = 0;  ///< of a copy or a store
  Cause cause = Cause::pipeline;
};

/// A barrier's phase, completed by `from`, lets `to` go on.
struct Flow {
  TrackPoint from, to;
  std::int32_t kernel = 0;  ///< of the section
};

/// Keeps what the chosen cores of one section did, in bounded memory. Beyond `most_events` slices
/// and flows it keeps stretches of time: those that start in [i * period, i * period + window).
/// Whenever the bound is reached, the period doubles while more than 16 stretches have been kept,
/// else the window halves; what falls out is dropped. So a short section is there as a whole, and
/// of a long one evenly spread samples, each with every slice. Deterministic, as calls come in the
/// order of the simulation.
class TimelineRecorder {
 public:
  TimelineRecorder(std::vector<bool> cores, std::size_t most_events);

  bool wants(int core) const { return cores_[static_cast<std::size_t>(core)]; }
  void begin_kernel(std::int32_t kernel) { kernel_ = kernel; }

  /// The kernel of a slice or a flow is set here.
  void add(Slice slice);
  /// As add, on the first free lane of its kind and core. Returns where it went.
  TrackPoint add_to_lane(Slice slice);
  void add(Flow flow);

  const std::vector<Slice>& slices() const { return slices_; }
  const std::vector<Flow>& flows() const { return flows_; }
  /// The stretches kept: all time where window and period are equal.
  Cycles period() const { return period_; }
  Cycles window() const { return window_; }

 private:
  bool is_kept(Cycles start) const { return start.value % period_.value < window_.value; }
  bool is_kept(const Flow& flow) const {
    return is_kept(flow.from.start) && is_kept(flow.to.start);
  }
  void shrink();

  std::vector<bool> cores_;
  std::size_t most_events_;
  std::int32_t kernel_ = 0;
  Cycles period_, window_, latest_;
  std::vector<Slice> slices_;
  std::vector<Flow> flows_;
  std::vector<std::vector<Cycles>> copy_lanes_, store_lanes_;  // by core: when each falls free
};

}  // namespace tessera
