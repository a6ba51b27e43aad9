#include "sim/chip/timeline_recorder.h"

#include <algorithm>
#include <utility>

namespace tessera {
namespace {

constexpr Cycles first_window{16384};
constexpr std::int64_t few_stretches = 16;

}  // namespace

TimelineRecorder::TimelineRecorder(std::vector<bool> cores, std::size_t most_events)
    : cores_(std::move(cores)),
      most_events_(most_events),
      period_(first_window),
      window_(first_window),
      copy_lanes_(cores_.size()),
      store_lanes_(cores_.size()) {}

void TimelineRecorder::add(Slice slice) {
  latest_ = std::max(latest_, slice.at.start);
  if (!is_kept(slice.at.start)) return;
  slice.kernel = kernel_;
  slices_.push_back(slice);
  if (slices_.size() + flows_.size() > most_events_) shrink();
}

TrackPoint TimelineRecorder::add_to_lane(Slice slice) {
  auto& lanes =
      (slice.at.kind == TrackKind::store ? store_lanes_
                                         : copy_lanes_)[static_cast<std::size_t>(slice.at.core)];
  const auto free = std::find_if(lanes.begin(), lanes.end(),
                                 [&](Cycles until) { return until <= slice.at.start; });
  slice.at.lane = static_cast<std::int32_t>(free - lanes.begin());
  if (free == lanes.end()) {
    lanes.push_back(slice.at.end);
  } else {
    *free = slice.at.end;
  }
  add(slice);
  return slice.at;
}

void TimelineRecorder::add(Flow flow) {
  if (!is_kept(flow)) return;
  flow.kernel = kernel_;
  flows_.push_back(flow);
  if (slices_.size() + flows_.size() > most_events_) shrink();
}

void TimelineRecorder::shrink() {
  while (slices_.size() + flows_.size() > most_events_ && window_ > Cycles(1)) {
    if (latest_.value / period_.value >= few_stretches) {
      period_ = period_ * 2;
    } else {
      window_ = Cycles(window_.value / 2);
    }
    slices_.erase(std::remove_if(slices_.begin(), slices_.end(),
                                 [&](const Slice& s) { return !is_kept(s.at.start); }),
                  slices_.end());
    flows_.erase(
        std::remove_if(flows_.begin(), flows_.end(), [&](const Flow& f) { return !is_kept(f); }),
        flows_.end());
  }
}

}  // namespace tessera
