#include "sim/sweep/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/trace/digest.h"

namespace tessera {
namespace {

SweepColumn parameter_column(const Parameter& parameter, ColumnRole role,
                             const std::string& expression) {
  SweepColumn column;
  column.name = parameter.name;
  column.role = role;
  column.numeric = parameter.numeric;
  column.unit = parameter.unit;
  column.meaning = parameter.meaning;
  column.expression = expression;
  return column;
}

}  // namespace

std::vector<SweepColumn> sweep_columns(const SweepFile& sweep) {
  std::vector<SweepColumn> columns;
  for (const Axis& axis : sweep.axes)
    columns.push_back(parameter_column(axis.parameter, ColumnRole::axis, ""));
  for (const DerivedParameter& derived : sweep.derived)
    columns.push_back(
        parameter_column(derived.parameter, ColumnRole::derived, derived.expression.text()));
  const auto metric = [&](const std::string& name, const std::string& unit,
                          const std::string& meaning, const std::string& expression) {
    SweepColumn column;
    column.name = name;
    column.role = ColumnRole::metric;
    column.unit = unit;
    column.meaning = meaning;
    column.expression = expression;
    columns.push_back(column);
  };
  for (const MetricInfo& info : sweep_metrics()) metric(info.name, info.unit, info.meaning, "");
  for (const DerivedMetric& own : sweep.metrics) metric(own.name, "", "", own.expression.text());
  return columns;
}

SweepPlan make_plan(const SweepFile& sweep, PointBuilder& builder,
                    const std::string& tool_version) {
  SweepPlan plan;
  plan.tool_version = tool_version;
  plan.points = builder.points();
  std::string all = tool_version + "\n";
  for (const SweepColumn& column : sweep_columns(sweep))
    all += column.name + " " + column.expression + "\n";
  for (const Objective& objective : sweep.objectives)
    all += fmt::format("{} {}\n", objective.metric, objective.minimise);
  for (const SweepPoint& point : plan.points.points) {
    std::string digest, message;
    try {
      digest = builder.digest(point, tool_version);
    } catch (const InputError& error) {
      message = error.what();
    }
    for (const PointValue& value : point.values) all += value.text + "\t";
    all += digest + message + "\n";
    plan.digests.push_back(std::move(digest));
    plan.messages.push_back(std::move(message));
  }
  if (std::all_of(plan.digests.begin(), plan.digests.end(),
                  [](const std::string& digest) { return digest.empty(); }))
    throw InputError({sweep.path, 0}, "", fmt::format("no point can run: {}", plan.messages[0]),
                     "");
  plan.digest = content_digest(all);
  return plan;
}

}  // namespace tessera
