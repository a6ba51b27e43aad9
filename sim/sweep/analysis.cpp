#include "sim/sweep/analysis.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace tessera {
namespace {

// An axis whose logarithm is this close to what the axes before it say moves together with them.
constexpr double collinear = 1e-6;

/// Whether a is at least as good as b in every objective.
bool covers(const std::vector<double>& a, const std::vector<double>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] > b[i]) return false;
  return true;
}

void find_front(SweepResults& results) {
  // The objectives of each point, all to be minimised.
  std::vector<std::vector<double>> values(results.points.size());
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < results.points.size(); ++i) {
    bool has_all = results.points[i].status == PointStatus::done && !results.objectives.empty();
    for (const SweepObjective& objective : results.objectives) {
      const double value = results.points[i].numbers[objective.column];
      has_all = has_all && std::isfinite(value);
      values[i].push_back(objective.minimise ? value : -value);
    }
    if (has_all) order.push_back(i);
  }
  // In lexicographic order nobody is dominated by a later one: comparing with the front is enough.
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<std::size_t> front;
  for (const std::size_t i : order) {
    const bool dominated = std::any_of(front.begin(), front.end(), [&](std::size_t f) {
      return values[f] != values[i] && covers(values[f], values[i]);
    });
    if (dominated) continue;
    front.push_back(i);
    results.points[i].on_front = true;
  }
}

using Column = std::vector<double>;

double dot(const Column& a, const Column& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// Takes the mean of each group of rows from its rows.
void centre(Column& column, const std::vector<std::size_t>& group, std::size_t groups) {
  Column sum(groups, 0), count(groups, 0);
  for (std::size_t i = 0; i < column.size(); ++i) {
    sum[group[i]] += column[i];
    count[group[i]] += 1;
  }
  for (std::size_t i = 0; i < column.size(); ++i) column[i] -= sum[group[i]] / count[group[i]];
}

struct AxisFit {
  std::size_t axis = 0;
  std::string note;       // why it takes no part
  std::size_t basis = 0;  // which of the fitted columns it is
};

/// Whether an axis can take part: a number above 0 everywhere, and not always the same.
AxisFit look_at(const SweepResults& results, std::size_t axis,
                const std::vector<std::size_t>& rows) {
  AxisFit fit;
  fit.axis = axis;
  if (!results.columns[axis].numeric) {
    fit.note = "a text";
    return fit;
  }
  bool varies = false;
  for (const std::size_t row : rows) {
    const double value = results.points[row].numbers[axis];
    if (!(value > 0)) fit.note = "not above 0 everywhere";
    varies = varies || value != results.points[rows.front()].numbers[axis];
  }
  if (fit.note.empty() && !varies) fit.note = "never changes";
  return fit;
}

/// Least squares of ln(metric) on the logarithms of the axes, with a constant for each combination
/// of the values of the others (texts, and numbers that are not above 0).
void fit_metric(SweepResults& results, std::size_t metric) {
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < results.points.size(); ++i)
    if (results.points[i].numbers[metric] > 0 && std::isfinite(results.points[i].numbers[metric]))
      rows.push_back(i);

  std::vector<AxisFit> axes;
  for (std::size_t c = 0; c < results.columns.size(); ++c)
    if (results.columns[c].role == ColumnRole::axis)
      axes.push_back(rows.empty() ? AxisFit{c, "no point has it", 0} : look_at(results, c, rows));

  std::map<std::string, std::size_t> groups;
  std::vector<std::size_t> group;
  for (const std::size_t row : rows) {
    std::string key;
    for (const AxisFit& fit : axes) {
      if (fit.note.empty()) continue;
      const ResultPoint& point = results.points[row];
      key += results.columns[fit.axis].numeric ? std::to_string(point.numbers[fit.axis])
                                               : point.texts[fit.axis];
      key += '\n';
    }
    group.push_back(groups.emplace(key, groups.size()).first->second);
  }
  const auto logarithms = [&](std::size_t column) {
    Column values;
    for (const std::size_t row : rows)
      values.push_back(std::log(results.points[row].numbers[column]));
    centre(values, group, groups.size());
    return values;
  };

  // Modified Gram-Schmidt: X = Q R, an axis that is left with nothing takes no part.
  std::vector<Column> q;
  std::vector<Column> r;  // r[j][i]: part of column j along q[i]
  for (AxisFit& fit : axes) {
    if (!fit.note.empty()) continue;
    Column column = logarithms(fit.axis);
    const double whole = std::sqrt(dot(column, column));
    Column along;
    for (const Column& base : q) {
      along.push_back(dot(base, column));
      for (std::size_t i = 0; i < column.size(); ++i) column[i] -= along.back() * base[i];
    }
    const double rest = std::sqrt(dot(column, column));
    if (!(rest > collinear * whole) || whole == 0) {
      fit.note = "moves together with the axes before it";
      continue;
    }
    for (double& value : column) value /= rest;
    along.push_back(rest);
    fit.basis = q.size();
    q.push_back(std::move(column));
    r.push_back(std::move(along));
  }

  Column residual = logarithms(metric);
  const double total = dot(residual, residual);
  Column target;
  for (const Column& base : q) {
    target.push_back(dot(base, residual));
    for (std::size_t i = 0; i < residual.size(); ++i) residual[i] -= target.back() * base[i];
  }
  // R is upper triangular: beta from the last column back, and its inverse for the errors.
  const std::size_t n = q.size();
  Column beta(n, 0);
  std::vector<Column> inverse(n, Column(n, 0));
  for (std::size_t j = n; j-- > 0;) {
    beta[j] = target[j];
    for (std::size_t k = j + 1; k < n; ++k) beta[j] -= r[k][j] * beta[k];
    beta[j] /= r[j][j];
    inverse[j][j] = 1 / r[j][j];
    for (std::size_t c = j + 1; c < n; ++c) {
      for (std::size_t k = j + 1; k <= c; ++k) inverse[j][c] -= r[k][j] * inverse[k][c];
      inverse[j][c] /= r[j][j];
    }
  }
  const double left = dot(residual, residual);
  const double freedom = static_cast<double>(rows.size()) - static_cast<double>(n) -
                         static_cast<double>(groups.size());
  const double variance = freedom > 0 ? left / freedom : 0;
  for (const AxisFit& fit : axes) {
    Sensitivity sensitivity;
    sensitivity.axis = fit.axis;
    sensitivity.metric = metric;
    sensitivity.note = fit.note;
    sensitivity.known = fit.note.empty();
    if (sensitivity.known) {
      sensitivity.elasticity = beta[fit.basis];
      sensitivity.standard_error =
          std::sqrt(variance * dot(inverse[fit.basis], inverse[fit.basis]));
    }
    results.sensitivities.push_back(sensitivity);
  }
  results.fits.push_back({metric, total > 0 ? 1 - left / total : 0});
}

}  // namespace

void analyse(SweepResults& results) {
  find_front(results);
  std::vector<std::size_t> metrics = {results.column("time_us")};
  for (const SweepObjective& objective : results.objectives)
    if (results.columns[objective.column].role == ColumnRole::metric &&
        std::find(metrics.begin(), metrics.end(), objective.column) == metrics.end())
      metrics.push_back(objective.column);
  for (const std::size_t metric : metrics) fit_metric(results, metric);
}

}  // namespace tessera
