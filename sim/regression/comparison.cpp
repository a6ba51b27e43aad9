#include "sim/regression/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "sim/base/error.h"

namespace tessera {
namespace {

constexpr double max_percent = 1e6;
constexpr const char* causes_key = "core_cycles";

double parse_percent(std::string_view text, const std::string& flag) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= 0) ||
      value > max_percent)
    throw InputError(flag, fmt::format("'{}' is no tolerance", text),
                     "give percent from 0 to 1000000, or METRIC=PERCENT");
  return value;
}

double percent_of(std::int64_t was, std::int64_t is, double whole) {
  if (was == is) return 0;
  // What was nothing and is something has moved by any measure.
  if (!(whole > 0)) return is > was ? max_percent : -max_percent;
  return 100 * (static_cast<double>(is) - static_cast<double>(was)) / whole;
}

Change change_of(std::string_view what, std::int64_t was, std::int64_t is, double whole,
                 double tolerance) {
  const double percent = percent_of(was, is, whole);
  return {std::string(what), was, is, percent,
          was != is && (tolerance == 0 || std::abs(percent) > tolerance || !(whole > 0))};
}

void largest_first(std::vector<Change>& changes) {
  std::stable_sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
    return std::abs(a.percent) > std::abs(b.percent);
  });
}

std::int64_t cycles_of(const Measurement& m, const std::string& op) {
  for (const auto& [known, cycles] : m.ops)
    if (known == op) return cycles;
  return 0;
}

}  // namespace

Tolerances parse_tolerances(std::string_view text, const std::string& flag) {
  Tolerances result;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < metric_count; ++i) names.emplace_back(name(static_cast<Metric>(i)));
  names.emplace_back(causes_key);
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) {
      result.metrics.fill(parse_percent(part, flag));
      result.core_cycles = result.metrics.front();
      continue;
    }
    const std::string metric(part.substr(0, equals));
    const double percent = parse_percent(part.substr(equals + 1), flag);
    const auto found = std::find(names.begin(), names.end(), metric);
    if (found == names.end()) {
      const std::string close = nearest(metric, names);
      throw InputError(flag, fmt::format("there is no metric '{}'", metric),
                       close.empty() ? fmt::format("give one of {}", fmt::join(names, ", "))
                                     : fmt::format("did you mean '{}'?", close));
    }
    const auto index = static_cast<std::size_t>(found - names.begin());
    (index < metric_count ? result.metrics[index] : result.core_cycles) = percent;
  }
  return result;
}

std::string_view name(CaseStatus status) {
  constexpr std::string_view names[] = {"same", "within", "moved", "added", "missing", "failed"};
  return names[static_cast<std::size_t>(status)];
}

bool fails(CaseStatus status) { return status != CaseStatus::same && status != CaseStatus::within; }

void compare(CaseResult& result, const Tolerances& tolerances) {
  const Measurement& was = *result.was;
  const Measurement& is = *result.is;
  result.trace_changed = was.trace_digest != is.trace_digest;
  result.chip_changed = was.chip_digest != is.chip_digest;
  const auto note = [](std::vector<Change>& to, const Change& change) {
    if (change.was != change.is) to.push_back(change);
  };
  for (std::size_t i = 0; i < metric_count; ++i) {
    const auto metric = static_cast<Metric>(i);
    note(result.metrics, change_of(name(metric), was[metric], is[metric],
                                   static_cast<double>(was[metric]), tolerances.metrics[i]));
  }
  double all = 0;
  for (const std::int64_t cycles : was.core_cycles) all += static_cast<double>(cycles);
  for (std::size_t i = 0; i < cause_count; ++i)
    note(result.causes, change_of(name(static_cast<Cause>(i)), was.core_cycles[i],
                                  is.core_cycles[i], all, tolerances.core_cycles));
  largest_first(result.causes);
  // Where time went inside a trace explains a change; it is held to no tolerance of its own.
  std::vector<std::string> ops;
  for (const Measurement* m : {&is, &was}) {
    for (const auto& [op, cycles] : m->ops) {
      if (std::find(ops.begin(), ops.end(), op) == ops.end()) ops.push_back(op);
    }
  }
  for (const std::string& op : ops) {
    const std::int64_t before = cycles_of(was, op);
    Change change = change_of(op, before, cycles_of(is, op), static_cast<double>(before), 0);
    change.beyond = false;
    note(result.ops, change);
  }
  largest_first(result.ops);
  const auto is_beyond = [](const Change& change) { return change.beyond; };
  if (std::any_of(result.metrics.begin(), result.metrics.end(), is_beyond) ||
      std::any_of(result.causes.begin(), result.causes.end(), is_beyond)) {
    result.status = CaseStatus::moved;
  } else {
    const bool any = !result.metrics.empty() || !result.causes.empty() || !result.ops.empty();
    result.status = any ? CaseStatus::within : CaseStatus::same;
  }
}

}  // namespace tessera
