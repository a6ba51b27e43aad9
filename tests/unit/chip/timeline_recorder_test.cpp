#include "sim/chip/timeline_recorder.h"

#include <catch2/catch.hpp>
#include <set>

using namespace tessera;

namespace {

Slice slice_at(std::int64_t start, std::int64_t duration, TrackKind kind = TrackKind::tensor_core) {
  Slice slice;
  slice.at.start = Cycles(start);
  slice.at.end = Cycles(start + duration);
  slice.at.core = 0;
  slice.at.kind = kind;
  return slice;
}

}  // namespace

TEST_CASE("a short section is recorded as a whole") {
  TimelineRecorder recorder({true}, 100);
  for (int i = 0; i < 100; ++i) recorder.add(slice_at(i * 1000, 10));
  CHECK(recorder.slices().size() == 100);
  CHECK(recorder.period() == recorder.window());
}

TEST_CASE("of a long section evenly spread stretches are kept, each with every slice") {
  TimelineRecorder recorder({true}, 1000);
  constexpr std::int64_t every = 128, count = 100'000;
  for (std::int64_t i = 0; i < count; ++i) recorder.add(slice_at(i * every, 100));
  CHECK(recorder.slices().size() <= 1000);
  CHECK(recorder.slices().size() > 250);
  std::set<std::int64_t> stretches, starts;
  for (const Slice& slice : recorder.slices()) {
    CHECK(slice.at.start.value % recorder.period().value < recorder.window().value);
    stretches.insert(slice.at.start.value / recorder.period().value);
    starts.insert(slice.at.start.value);
  }
  // Every stretch of the run is there, and nothing is missing inside one.
  CHECK(static_cast<std::int64_t>(stretches.size()) ==
        (count - 1) * every / recorder.period().value + 1);
  for (std::int64_t i = 0; i < count; ++i) {
    const bool inside = i * every % recorder.period().value < recorder.window().value;
    CHECK(starts.count(i * every) == (inside ? 1 : 0));
  }
}

TEST_CASE("a flow is kept only where both its slices are") {
  TimelineRecorder recorder({true}, 100);
  for (std::int64_t i = 0; i < 10'000; ++i) {
    const Slice from = slice_at(i * 100, 50), to = slice_at(i * 100 + 5000, 50);
    recorder.add(from);
    recorder.add(to);
    recorder.add(Flow{from.at, to.at, 0});
  }
  CHECK(recorder.slices().size() + recorder.flows().size() <= 100);
  CHECK_FALSE(recorder.slices().empty());
  for (const Flow& flow : recorder.flows()) {
    for (const TrackPoint& end : {flow.from, flow.to})
      CHECK(end.start.value % recorder.period().value < recorder.window().value);
  }
}

TEST_CASE("copies under way at the same time take a lane each, and free lanes are used again") {
  TimelineRecorder recorder({true, true}, 100);
  CHECK(recorder.add_to_lane(slice_at(0, 100, TrackKind::copy)).lane == 0);
  CHECK(recorder.add_to_lane(slice_at(10, 20, TrackKind::copy)).lane == 1);
  CHECK(recorder.add_to_lane(slice_at(29, 20, TrackKind::copy)).lane == 2);
  CHECK(recorder.add_to_lane(slice_at(30, 20, TrackKind::copy)).lane == 1);
  // Stores have lanes of their own, and so has another core.
  CHECK(recorder.add_to_lane(slice_at(31, 20, TrackKind::store)).lane == 0);
  Slice other = slice_at(31, 20, TrackKind::copy);
  other.at.core = 1;
  CHECK(recorder.add_to_lane(other).lane == 0);
}
