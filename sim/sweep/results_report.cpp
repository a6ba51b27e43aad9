#include "sim/sweep/results_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "sim/report/csv.h"
#include "sim/sweep/parameter.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t most_front_rows = 25;
constexpr std::size_t most_best_rows = 5;
constexpr std::size_t most_failure_rows = 10;
constexpr std::size_t most_derived = 2;  // columns

// JSON has no NaN: null.
Json number(double value) {
  if (!std::isfinite(value)) return {};
  if (value == std::floor(value) && std::abs(value) < 9e15) return static_cast<std::int64_t>(value);
  return value;
}

Json cell_json(const SweepColumn& column, const ResultPoint& point, std::size_t i) {
  return column.numeric ? number(point.numbers[i]) : Json(point.texts[i]);
}

/// A number for a person: whole ones as they are, others with five digits.
std::string shown(double value) {
  if (!std::isfinite(value)) return "-";
  if (value == std::floor(value) && std::abs(value) < 1e9) return number_text(value);
  return fmt::format("{:.5g}", value);
}

std::string cell_text(const SweepResults& results, const ResultPoint& point, std::size_t i) {
  return results.columns[i].numeric ? shown(point.numbers[i]) : point.texts[i];
}

/// Columns aligned, the first row the header; numbers are right-aligned, texts in between too.
std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> width(rows.front().size(), 0);
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) text += fmt::format("  {:>{}}", row[i], width[i]);
    text += "\n";
  }
  return text;
}

/// The columns that a table of points shows: axes, some derived parameters, objectives.
std::vector<std::size_t> shown_columns(const SweepResults& results) {
  std::vector<std::size_t> columns;
  std::size_t derived = 0;
  for (std::size_t i = 0; i < results.columns.size(); ++i) {
    const ColumnRole role = results.columns[i].role;
    if (role == ColumnRole::axis || (role == ColumnRole::derived && ++derived <= most_derived))
      columns.push_back(i);
  }
  for (const SweepObjective& objective : results.objectives)
    if (std::find(columns.begin(), columns.end(), objective.column) == columns.end())
      columns.push_back(objective.column);
  return columns;
}

std::string points_table(const SweepResults& results, const std::vector<std::size_t>& points) {
  const std::vector<std::size_t> columns = shown_columns(results);
  std::vector<std::vector<std::string>> rows = {{"point"}};
  for (const std::size_t column : columns) rows[0].push_back(results.columns[column].name);
  rows[0].emplace_back("bound");
  for (const std::size_t index : points) {
    const ResultPoint& point = results.points[index];
    rows.push_back({std::to_string(point.id)});
    for (const std::size_t column : columns)
      rows.back().push_back(cell_text(results, point, column));
    rows.back().push_back(point.bound);
  }
  return aligned(rows);
}

std::string goal_text(const SweepResults& results, const SweepObjective& objective) {
  return fmt::format("{} {}", objective.minimise ? "least" : "most",
                     results.columns[objective.column].name);
}

std::string front_text(const SweepResults& results) {
  std::vector<std::size_t> front = results.front();
  std::vector<std::string> goals;
  for (const SweepObjective& objective : results.objectives)
    goals.push_back(goal_text(results, objective));
  std::string text = fmt::format("\nPareto front ({}): {} of {} points\n", fmt::join(goals, ", "),
                                 front.size(), results.count(PointStatus::done));
  const std::size_t all = front.size();
  if (front.empty()) return text;
  if (all > most_front_rows) front.resize(most_front_rows);
  text += points_table(results, front);
  if (all > most_front_rows)
    text += fmt::format("  ... {} more: --csv, --jsonl or --json has all\n", all - front.size());
  return text;
}

std::string sensitivity_text(const SweepResults& results) {
  if (results.fits.empty()) return "";
  std::vector<std::vector<std::string>> rows = {{"axis"}};
  for (const SensitivityFit& fit : results.fits)
    rows[0].push_back(results.columns[fit.metric].name);
  for (std::size_t c = 0; c < results.columns.size(); ++c) {
    if (results.columns[c].role != ColumnRole::axis) continue;
    rows.push_back({results.columns[c].name});
    for (const SensitivityFit& fit : results.fits) {
      for (const Sensitivity& s : results.sensitivities) {
        if (s.axis != c || s.metric != fit.metric) continue;
        rows.back().push_back(
            s.known ? fmt::format("{:+.3f} +- {:.3f}", s.elasticity, s.standard_error) : s.note);
      }
    }
  }
  rows.push_back({"R^2 of the fit"});
  for (const SensitivityFit& fit : results.fits)
    rows.back().push_back(fmt::format("{:.3f}", fit.r_squared));
  return "\nSensitivities (percent of change for 1 % more of the axis)\n" + aligned(rows);
}

std::string failures_text(const SweepResults& results) {
  std::string text;
  std::size_t shown_rows = 0, all = 0;
  for (const ResultPoint& point : results.points) {
    if (point.status == PointStatus::done || point.status == PointStatus::pending) continue;
    ++all;
    if (shown_rows == most_failure_rows) continue;
    ++shown_rows;
    const std::string message = point.message.substr(0, point.message.find('\n'));
    text += fmt::format("  {} {}: {}\n", point.id, name(point.status), message.substr(0, 200));
  }
  if (all == 0) return "";
  if (all > shown_rows) text += fmt::format("  ... {} more\n", all - shown_rows);
  return "\nWithout a result\n" + text;
}

std::vector<std::string> keys(const SweepResults& results) {
  std::vector<std::string> names = {"id", "status", "message", "bound", "pareto"};
  for (const SweepColumn& column : results.columns) names.push_back(column.name);
  return names;
}

Json point_json(const SweepResults& results, const ResultPoint& point) {
  Json json{{"id", point.id},
            {"status", name(point.status)},
            {"message", point.message},
            {"bound", point.bound},
            {"pareto", point.on_front}};
  for (std::size_t i = 0; i < results.columns.size(); ++i)
    json[results.columns[i].name] = cell_json(results.columns[i], point, i);
  return json;
}

}  // namespace

std::string results_text(const SweepResults& results) {
  std::string text = results.title + "\n";
  if (!results.question.empty()) {
    text += results.question;
    if (text.back() != '\n') text += "\n";
  }
  std::vector<std::string> counts;
  for (const PointStatus status :
       {PointStatus::done, PointStatus::invalid, PointStatus::failed, PointStatus::crashed,
        PointStatus::timeout, PointStatus::out_of_memory, PointStatus::pending}) {
    const std::size_t count = results.count(status);
    if (count > 0) counts.push_back(fmt::format("{} {}", count, name(status)));
  }
  if (results.skipped > 0) counts.push_back(fmt::format("{} skipped by skip_if", results.skipped));
  const auto here = static_cast<std::int64_t>(results.points.size());
  const std::string part = here < results.planned ? fmt::format("{} of ", here) : "";
  text += fmt::format("{}{} points: {} (tessera {})\n", part, results.planned,
                      fmt::join(counts, ", "), results.tool_version);
  text += front_text(results);
  for (const SweepObjective& objective : results.objectives) {
    if (results.columns[objective.column].role != ColumnRole::metric) continue;
    const auto best = results.best(objective, most_best_rows);
    if (best.empty()) continue;
    text += fmt::format("\nBest points: {}\n", goal_text(results, objective));
    text += points_table(results, best);
  }
  return text + sensitivity_text(results) + failures_text(results);
}

Json results_json(const SweepResults& results) {
  Json json{{"schema", results_schema},   {"tool_version", results.tool_version},
            {"title", results.title},     {"question", results.question},
            {"planned", results.planned}, {"skipped", results.skipped},
            {"columns", Json::array()},   {"objectives", Json::array()},
            {"points", Json::array()},    {"sensitivities", Json::array()}};
  for (const SweepColumn& column : results.columns)
    json["columns"].push_back({{"name", column.name},
                               {"role", name(column.role)},
                               {"kind", column.numeric ? "number" : "text"},
                               {"unit", column.unit},
                               {"meaning", column.meaning},
                               {"expression", column.expression}});
  for (const SweepObjective& objective : results.objectives)
    json["objectives"].push_back({{"metric", results.columns[objective.column].name},
                                  {"goal", objective.minimise ? "min" : "max"}});
  for (const ResultPoint& point : results.points)
    json["points"].push_back(point_json(results, point));
  for (const SensitivityFit& fit : results.fits) {
    Json axes = Json::array();
    for (const Sensitivity& s : results.sensitivities) {
      if (s.metric != fit.metric) continue;
      Json axis{{"axis", results.columns[s.axis].name}};
      axis["elasticity"] = s.known ? number(s.elasticity) : Json();
      axis["standard_error"] = s.known ? number(s.standard_error) : Json();
      axis["note"] = s.note;
      axes.push_back(axis);
    }
    json["sensitivities"].push_back({{"metric", results.columns[fit.metric].name},
                                     {"r_squared", number(fit.r_squared)},
                                     {"axes", axes}});
  }
  return json;
}

std::string results_csv(const SweepResults& results) {
  std::string csv;
  for (const std::string& key : keys(results)) csv += (csv.empty() ? "" : ",") + csv_field(key);
  csv += "\n";
  for (const ResultPoint& point : results.points) {
    csv += fmt::format("{},{},{},{},{}", point.id, name(point.status), csv_field(point.message),
                       point.bound, point.on_front ? 1 : 0);
    for (std::size_t i = 0; i < results.columns.size(); ++i) {
      csv += ",";
      if (!results.columns[i].numeric) {
        csv += csv_field(point.texts[i]);
      } else if (std::isfinite(point.numbers[i])) {
        csv += number_text(point.numbers[i]);
      }
    }
    csv += "\n";
  }
  return csv;
}

std::string results_jsonl(const SweepResults& results) {
  std::string lines;
  for (const ResultPoint& point : results.points)
    lines += point_json(results, point).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return lines;
}

}  // namespace tessera
