#include "sim/sweep/results.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include "sim/base/error.h"

namespace tessera {
namespace {

const std::vector<PointStatus>& all_statuses() {
  static const std::vector<PointStatus> all = {
      PointStatus::pending, PointStatus::done,    PointStatus::invalid,      PointStatus::failed,
      PointStatus::crashed, PointStatus::timeout, PointStatus::out_of_memory};
  return all;
}

/// Sorts indices of points by one column, best first; equals stay in the order of their ids.
void sort_by(std::vector<std::size_t>& indices, const std::vector<ResultPoint>& points,
             const SweepObjective& objective) {
  std::stable_sort(indices.begin(), indices.end(), [&](std::size_t a, std::size_t b) {
    const double x = points[a].numbers[objective.column], y = points[b].numbers[objective.column];
    return objective.minimise ? x < y : x > y;
  });
}

}  // namespace

std::string_view name(PointStatus status) {
  switch (status) {
    case PointStatus::pending:
      return "pending";
    case PointStatus::done:
      return "done";
    case PointStatus::invalid:
      return "invalid";
    case PointStatus::failed:
      return "failed";
    case PointStatus::crashed:
      return "crashed";
    case PointStatus::timeout:
      return "timeout";
    case PointStatus::out_of_memory:
      return "out-of-memory";
  }
  return "";
}

PointStatus parse_point_status(std::string_view text) {
  for (const PointStatus status : all_statuses())
    if (name(status) == text) return status;
  throw InputError("status", "'" + std::string(text) + "' is unknown",
                   "give a database of `tessera sweep`");
}

std::string_view name(ColumnRole role) {
  switch (role) {
    case ColumnRole::axis:
      return "axis";
    case ColumnRole::derived:
      return "derived";
    case ColumnRole::metric:
      return "metric";
  }
  return "";
}

std::size_t SweepResults::count(PointStatus status) const {
  return static_cast<std::size_t>(
      std::count_if(points.begin(), points.end(),
                    [&](const ResultPoint& point) { return point.status == status; }));
}

std::size_t SweepResults::column(const std::string& name) const {
  const auto found = std::find_if(columns.begin(), columns.end(),
                                  [&](const SweepColumn& column) { return column.name == name; });
  return static_cast<std::size_t>(found - columns.begin());
}

std::vector<std::size_t> SweepResults::front() const {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < points.size(); ++i)
    if (points[i].on_front) indices.push_back(i);
  if (!objectives.empty()) sort_by(indices, points, objectives.front());
  return indices;
}

std::vector<std::size_t> SweepResults::best(const SweepObjective& objective,
                                            std::size_t most) const {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < points.size(); ++i)
    if (points[i].status == PointStatus::done && std::isfinite(points[i].numbers[objective.column]))
      indices.push_back(i);
  sort_by(indices, points, objective);
  if (indices.size() > most) indices.resize(most);
  return indices;
}

bool is_results_file(const std::string& path) {
  char head[15] = {};
  std::ifstream(path, std::ios::binary).read(head, sizeof head);
  return std::string(head, sizeof head) == "SQLite format 3";
}

}  // namespace tessera
