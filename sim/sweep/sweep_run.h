#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "sim/sweep/plan.h"
#include "sim/sweep/results_database.h"

namespace tessera {

struct SweepOptions {
  int jobs = 1;                    ///< points at the same time, each in a process of its own
  bool retry = false;              ///< points that crashed or exceeded a limit run again
  std::vector<std::int64_t> only;  ///< if not empty: no other points than these
  /// Results of other sweeps, by digest: a point that has one, from the same trace, takes it.
  std::map<std::string, PointOutcome> cache;
  /// Asked some times a second: whether to stop.
  std::function<bool()> stop = [] { return false; };
  /// Called as points end: how many have, and of how many.
  std::function<void(std::size_t done, std::size_t of)> progress = [](std::size_t, std::size_t) {};
};

struct SweepSummary {
  std::size_t ran = 0;     ///< points that ended in this call
  std::size_t cached = 0;  ///< of which had the result of another sweep, or of an identical point
  bool stopped = false;
  bool left = false;  ///< the tasks of a job have ended, and points are pending still
};

/// Ids of the points of part `shard` (from 1) of `shards`: every shards-th of them.
std::vector<std::int64_t> shard_points(const SweepPlan& plan, std::int64_t shard,
                                       std::int64_t shards);

/// Runs the points that are open and stores each as it ends: a crash, a deadlock, or a limit that
/// is exceeded is the result of its point and never stops the others. Points with one digest run
/// once. What is stored does not depend on `jobs`. Throws InputError if the database cannot be
/// written any more; what was stored stays.
SweepSummary run_sweep(const SweepFile& sweep, const SweepPlan& plan, PointBuilder& builder,
                       ResultsDatabase& database, const SweepOptions& options);

}  // namespace tessera
