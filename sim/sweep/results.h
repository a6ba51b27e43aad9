#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/sweep/metric.h"

namespace tessera {

// What a results database holds, as plain values: for reports and for programs of one's own.

/// How a point ended.
enum class PointStatus : std::uint8_t {
  pending,        ///< not run yet
  done,           ///< has metrics
  invalid,        ///< its chip or workload makes no sense
  failed,         ///< the simulation failed: a deadlock
  crashed,        ///< its process died
  timeout,        ///< took longer than the sweep allows
  out_of_memory,  ///< wanted more memory than the sweep allows
};
/// "pending", ..., "out-of-memory": as the database spells it.
std::string_view name(PointStatus status);
/// Inverse of name(); throws InputError.
PointStatus parse_point_status(std::string_view text);

/// What a column of the points is.
enum class ColumnRole : std::uint8_t {
  axis,     ///< varied by the sweep
  derived,  ///< a parameter computed from others
  metric,   ///< recorded of every sweep, or computed (`metrics:`)
};
std::string_view name(ColumnRole role);

struct SweepColumn {
  std::string name;
  ColumnRole role = ColumnRole::axis;
  bool numeric = true;
  std::string unit;        ///< "" = a plain number or text
  std::string meaning;     ///< one sentence, "" where there is none
  std::string expression;  ///< of a derived parameter or a metric of the sweep's own
};

struct SweepObjective {
  std::size_t column = 0;  ///< index in SweepResults::columns
  bool minimise = true;
};

struct ResultPoint {
  std::int64_t id = 0;
  PointStatus status = PointStatus::pending;
  std::string message;             ///< why it is not done; "" if it is
  std::string bound;               ///< what the time went to most; "" unless done
  std::vector<double> numbers;     ///< one per column; NaN of a text or where there is none
  std::vector<std::string> texts;  ///< one per column; "" of a metric
  bool on_front = false;  ///< no other point is better in one objective and not worse in all
};

/// How strongly a metric follows an axis: d ln(metric) / d ln(axis), by least squares over all
/// points that are done (docs/sweeps.md#sensitivities).
struct Sensitivity {
  std::size_t axis = 0;    ///< index in SweepResults::columns
  std::size_t metric = 0;  ///< likewise
  bool known = false;      ///< whether the points allow to tell
  double elasticity = 0;   ///< -0.5: 1 % more of the axis, 0.5 % less of the metric
  double standard_error = 0;
  std::string note;  ///< why it is not known
};

/// How well all elasticities of a metric together describe it.
struct SensitivityFit {
  std::size_t metric = 0;
  double r_squared = 0;  ///< of ln(metric); 1: exactly
};

struct SweepResults {
  std::string path;
  std::string title, question, tool_version;
  std::string sweep_file;  ///< the YAML text
  std::vector<SweepColumn> columns;
  std::vector<SweepObjective> objectives;
  std::vector<ResultPoint> points;  ///< by id
  std::int64_t planned = 0;         ///< points of the whole sweep: more than here in a part of it
  std::int64_t skipped = 0;         ///< points that constraints left out
  std::vector<Sensitivity> sensitivities;
  std::vector<SensitivityFit> fits;

  std::size_t count(PointStatus status) const;
  /// Index of a column, or columns.size().
  std::size_t column(const std::string& name) const;
  /// Indices of the points on the Pareto front, by the first objective, best first.
  std::vector<std::size_t> front() const;
  /// Indices of the `most` points that are best by one objective, best first.
  std::vector<std::size_t> best(const SweepObjective& objective, std::size_t most) const;
};

/// Reads a database of `tessera sweep`, finished or not. Throws InputError if it is none.
SweepResults read_results(const std::string& path);

/// The operations of one point, in execution order; empty unless it is done.
std::vector<PointOperation> read_operations(const std::string& path, std::int64_t point);

/// Whether the file is a database (and no JSON): its first bytes say so.
bool is_results_file(const std::string& path);

}  // namespace tessera
