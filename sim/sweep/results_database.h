#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "sim/sweep/plan.h"
#include "sim/sweep/sqlite.h"

namespace tessera {

/// How one point ended, to be stored.
struct PointOutcome {
  std::int64_t id = 0;
  PointStatus status = PointStatus::done;
  std::string message;
  PointFigures figures;             ///< of a point that is done
  std::vector<double> own_metrics;  ///< of SweepFile::metrics
  double wall_s = 0;
  std::int64_t peak_rss_bytes = 0;
};

/// The results of a sweep as one SQLite file (docs/sweeps.md#the-database). The file holds every
/// point from the beginning; each store() is one transaction, so that a process killed at any
/// instant leaves a database in which every point is either whole or pending.
class ResultsDatabase {
 public:
  /// Makes the file, which gets its name once it is complete; with `part`, for the points of these
  /// ids alone. Throws InputError: it exists, or cannot be written.
  static ResultsDatabase create(const std::string& path, const SweepFile& sweep,
                                const SweepPlan& plan, const std::vector<std::int64_t>& part = {});
  /// Throws InputError: no database, or that of another sweep (it says what differs).
  static ResultsDatabase open(const std::string& path, const SweepFile& sweep,
                              const SweepPlan& plan);

  /// Ids of the points that are pending; with `failed`, also of those that ended without metrics
  /// for a reason that another run may not meet (crashed, timeout, out-of-memory).
  std::vector<std::int64_t> open_points(bool failed);
  /// Ids of the points the database was made for, ascending: all of the sweep, or a part.
  std::vector<std::int64_t> ids();
  void store(const std::vector<PointOutcome>& outcomes);
  /// Takes over what another database of the same sweep has of points that are pending here, or
  /// that are done there and crashed or exceeded a limit here. Returns how many. Throws InputError
  /// if it is of another sweep.
  std::size_t merge(const std::string& other);
  std::size_t count(PointStatus status);
  /// Outcomes of all points that are done, by the digest of the point: what need not run again.
  static std::map<std::string, PointOutcome> done_points(const std::string& path);

 private:
  explicit ResultsDatabase(SqliteFile file);
  void check_same(const SweepFile& sweep, const SweepPlan& plan);

  SqliteFile file_;
};

/// The lock of a database that a sweep writes: `PATH.lock` beside the file itself, whatever links
/// lead to it, held by this process until the end of this object. A process that dies gives it up.
class DatabaseLock {
 public:
  /// Throws InputError if another process has it.
  explicit DatabaseLock(const std::string& database);
  ~DatabaseLock();
  DatabaseLock(const DatabaseLock&) = delete;
  DatabaseLock& operator=(const DatabaseLock&) = delete;

 private:
  std::string path_;
  int file_ = -1;
};

}  // namespace tessera
