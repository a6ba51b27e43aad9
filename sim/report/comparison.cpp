#include "sim/report/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "sim/report/csv.h"
#include "sim/report/quantity_text.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::pair<const char*, const char*> compared_figures[] = {{"time_us", "us"},
                                                                    {"cycles", "cycles"},
                                                                    {"clock_mhz", "MHz"},
                                                                    {"tflops", "TFLOP/s"},
                                                                    {"tensor_core_utilization", ""},
                                                                    {"hbm_gbps", "GB/s"},
                                                                    {"hbm_read_bytes", "bytes"},
                                                                    {"hbm_write_bytes", "bytes"},
                                                                    {"l2_hit_rate", ""},
                                                                    {"power_w", "W"},
                                                                    {"energy_j", "J"},
                                                                    {"roofline_us", "us"},
                                                                    {"roofline_fraction", ""}};

void add(CauseTimes& sum, const Stalls& stalls, double time_us) {
  for (std::size_t i = 0; i < cause_count; ++i) sum[i] += stalls[i] * time_us;
}

std::vector<OperationChange> operations_of(const SavedRun& before, const SavedRun& after) {
  std::vector<OperationChange> changes;
  std::map<std::string, std::size_t> index;
  const auto take = [&](const SavedRun& run, OperationTimes OperationChange::*side) {
    for (const SavedOperation& op : run.operations) {
      const std::string name = unnumbered(op.name);
      const auto found = index.emplace(name, changes.size());
      if (found.second) changes.push_back({name, {}, {}});
      OperationTimes& times = changes[found.first->second].*side;
      if (!times.present) {
        times.present = true;
        times.precision = op.precision;
        times.bound = op.bound;
      } else if (times.precision != op.precision) {
        times.precision = "mixed";
      }
      times.time_us += op.total_us();
      add(times.causes_us, op.stalls, op.total_us());
    }
  };
  take(before, &OperationChange::before);
  take(after, &OperationChange::after);
  return changes;
}

/// Relative; 0 where there was nothing before.
double relative(double before, double after) { return before > 0 ? after / before - 1 : 0; }

std::string change_text(double before, double after) {
  if (!(before > 0)) return after > 0 ? "new" : "";
  return fmt::format("{:+.1f} %", relative(before, after) * 100);
}

/// The causes whose times changed most, in percent of `whole`: "hbm -3.8 %, l2 +0.4 %".
std::string movers(const CauseTimes& before, const CauseTimes& after, double whole,
                   std::size_t most) {
  constexpr double least = 0.0005;
  std::vector<std::pair<double, std::size_t>> changes;
  for (std::size_t i = 0; i < cause_count; ++i) {
    const double change = whole > 0 ? (after[i] - before[i]) / whole : 0;
    if (std::abs(change) >= least) changes.emplace_back(change, i);
  }
  std::stable_sort(changes.begin(), changes.end(), [](const auto& a, const auto& b) {
    return std::abs(a.first) > std::abs(b.first);
  });
  std::string text;
  for (std::size_t i = 0; i < std::min(most, changes.size()); ++i) {
    text += fmt::format("{}{} {:+.1f} %", text.empty() ? "" : ", ",
                        name(static_cast<Cause>(changes[i].second)), changes[i].first * 100);
  }
  return text;
}

std::string or_arrow(const std::string& before, const std::string& after) {
  return before == after || after.empty() ? before
         : before.empty()                 ? after
                                          : before + " > " + after;
}

Json causes_json(const CauseTimes& times) {
  Json json = Json::object();
  for (std::size_t i = 0; i < cause_count; ++i)
    json[std::string(name(static_cast<Cause>(i)))] = times[i];
  return json;
}

}  // namespace

Comparison compare(SavedRun before, SavedRun after) {
  Comparison comparison;
  comparison.before = std::move(before);
  comparison.after = std::move(after);
  const SavedRun &a = comparison.before, &b = comparison.after;
  for (const auto& [key, unit] : compared_figures)
    comparison.figures.push_back({key, unit, a.number(key), b.number(key)});
  add(comparison.before_us, a.stalls, a.number("time_us"));
  add(comparison.after_us, b.stalls, b.number("time_us"));
  comparison.operations = operations_of(a, b);
  return comparison;
}

std::string to_text(const Comparison& comparison) {
  const SavedRun &a = comparison.before, &b = comparison.after;
  std::string text =
      fmt::format("before  {} on {}\nafter   {} on {}\n\n", a.workload, a.chip, b.workload, b.chip);
  text += fmt::format("  {:<24} {:>14} {:>14} {:>10}\n", "", "before", "after", "change");
  for (const FigureChange& f : comparison.figures) {
    text += fmt::format("  {:<24} {:>14} {:>14} {:>10}\n", f.name, digits_text(f.before),
                        digits_text(f.after), change_text(f.before, f.after));
  }
  text += fmt::format("  {:<24} {:>14} {:>14}\n", "bound", a.bound, b.bound);

  std::size_t longest = 9;
  for (const OperationChange& op : comparison.operations)
    longest = std::max(longest, op.name.size());
  text += fmt::format("\n  {:<{}}  {:<13} {:>10} {:>10} {:>9}  {}\n", "operation", longest, "prec",
                      "before", "after", "change", "causes that moved, in % of its time before");
  for (const OperationChange& op : comparison.operations) {
    const auto shown = [](const OperationTimes& times) {
      return times.present ? time_text(times.time_us) : std::string("-");
    };
    text += fmt::format(
        "  {:<{}}  {:<13} {:>10} {:>10} {:>9}  {}\n", op.name, longest,
        or_arrow(op.before.precision, op.after.precision), shown(op.before), shown(op.after),
        op.after.present ? change_text(op.before.time_us, op.after.time_us) : "gone",
        movers(op.before.causes_us, op.after.causes_us, op.before.time_us, 3));
  }

  text += fmt::format("\n  {:<17} {:>10} {:>10} {:>11}   of the time before\n", "time by cause",
                      "before", "after", "change");
  const double whole = a.number("time_us");
  for (std::size_t i = 0; i < cause_count; ++i) {
    const double before = comparison.before_us[i], after = comparison.after_us[i];
    if (before <= 0 && after <= 0) continue;
    text += fmt::format("  {:<17} {:>10} {:>10} {:>11}\n", name(static_cast<Cause>(i)),
                        time_text(before), time_text(after),
                        whole > 0 ? fmt::format("{:+.1f} %", (after - before) / whole * 100) : "");
  }
  return text;
}

Json to_json(const Comparison& comparison) {
  const auto side = [](const SavedRun& run) {
    return Json{{"chip", run.chip},
                {"workload", run.workload},
                {"digest", run.digest},
                {"bound", run.bound}};
  };
  Json json{{"schema", comparison_schema},
            {"before", side(comparison.before)},
            {"after", side(comparison.after)},
            {"figures", Json::array()},
            {"causes_us",
             {{"before", causes_json(comparison.before_us)},
              {"after", causes_json(comparison.after_us)}}},
            {"operations", Json::array()}};
  for (const FigureChange& f : comparison.figures) {
    json["figures"].push_back(Json{{"name", f.name},
                                   {"unit", f.unit},
                                   {"before", f.before},
                                   {"after", f.after},
                                   {"change", relative(f.before, f.after)}});
  }
  for (const OperationChange& op : comparison.operations) {
    Json entry{{"name", op.name}};
    for (const auto& [key, times] :
         {std::make_pair("before", &op.before), std::make_pair("after", &op.after)}) {
      entry[key] = times->present ? Json{{"precision", times->precision},
                                         {"bound", times->bound},
                                         {"time_us", times->time_us},
                                         {"causes_us", causes_json(times->causes_us)}}
                                  : Json::object();
    }
    entry["change"] = relative(op.before.time_us, op.after.time_us);
    json["operations"].push_back(std::move(entry));
  }
  return json;
}

std::string to_csv(const Comparison& comparison) {
  std::string csv =
      "name,before_precision,after_precision,before_us,after_us,change,before_bound,after_bound";
  for (std::size_t i = 0; i < cause_count; ++i)
    csv += fmt::format(",change_{}_us", name(static_cast<Cause>(i)));
  csv += "\n";
  for (const OperationChange& op : comparison.operations) {
    csv +=
        fmt::format("{},{},{},{},{},{},{},{}", csv_field(op.name), csv_field(op.before.precision),
                    csv_field(op.after.precision), op.before.time_us, op.after.time_us,
                    relative(op.before.time_us, op.after.time_us), op.before.bound, op.after.bound);
    for (std::size_t i = 0; i < cause_count; ++i)
      csv += fmt::format(",{}", op.after.causes_us[i] - op.before.causes_us[i]);
    csv += "\n";
  }
  return csv;
}

}  // namespace tessera
