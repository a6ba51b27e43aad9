#include "sim/report/policy_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

double time_us(const PolicyResult& policy, std::int64_t cycles) {
  return policy.clock_mhz > 0 ? static_cast<double>(cycles) / policy.clock_mhz : 0;
}

std::string time_text(double us) {
  if (us < 1e3) return fmt::format("{:.1f} us", us);
  if (us < 1e6) return fmt::format("{:.3f} ms", us * 1e-3);
  return fmt::format("{:.3f} s", us * 1e-6);
}

/// Of time, beside `of`.
std::string saving(std::int64_t cycles, std::int64_t of) {
  if (of <= 0) return "-";
  return fmt::format("{:.1f} %", 100 * (1 - static_cast<double>(cycles) / static_cast<double>(of)));
}

std::string line(std::string text, std::size_t width) {
  if (text.size() > width) text = text.substr(0, width - 1) + "~";
  text.erase(text.find_last_not_of(' ') + 1);
  return text + "\n";
}

std::string decisions_text(const PolicyResult& policy, std::size_t width) {
  std::size_t layers = 6, op = 9;
  for (const PolicyDecision& d : policy.decisions) {
    layers = std::max(layers, d.layers.size());
    op = std::max(op, d.op.size());
  }
  std::string text = line(fmt::format("  {:<{}}  {:<{}}  {:<11}  {:>11}  {:>8}  {:>8}", "layers",
                                      layers, "operation", op, "chosen", "time", "saves", "adds"),
                          width);
  for (const PolicyDecision& d : policy.decisions) {
    const PolicyAlternative& chosen = d.alternatives[d.chosen];
    text += line(fmt::format("  {:<{}}  {:<{}}  {:<11}  {:>11}  {:>8}  {:>8.2g}", d.layers, layers,
                             d.op, op, chosen.precision, time_text(time_us(policy, chosen.cycles)),
                             saving(chosen.cycles, d.alternatives.front().cycles),
                             std::sqrt(chosen.added_error)),
                 width);
    text += line(fmt::format("  {:<{}}  {}", "", layers, d.reason), width);
  }
  return text;
}

bool is_chosen(const PolicyResult& policy, const PolicyCurvePoint& point) {
  return point.cycles == policy.cycles && point.error == policy.predicted_error;
}

std::string curve_text(const PolicyResult& policy, std::size_t width, std::size_t most_points) {
  const std::size_t count = policy.curve.size();
  std::string text =
      line("    time of the layers, saved, predicted error, operations (* chosen)", width);
  std::size_t next = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const PolicyCurvePoint& point = policy.curve[i];
    const bool chosen = is_chosen(policy, point);
    // Evenly spread ones, the first and the last among them, and the chosen one.
    const bool shown =
        count <= most_points || i == next * (count - 1) / std::max<std::size_t>(1, most_points - 1);
    if (shown) ++next;
    if (!shown && !chosen) continue;
    text += line(fmt::format("  {} {:>11}  {:>8}  {:>8.3g}  {}", chosen ? '*' : ' ',
                             time_text(time_us(policy, point.cycles)),
                             saving(point.cycles, policy.wide_cycles), point.error, point.choice),
                 width);
  }
  return text;
}

}  // namespace

Json policy_json(const PolicyResult& policy) {
  Json json{{"wide", policy.wide},
            {"error_budget", policy.budget},
            {"error", policy.error},
            {"predicted_error", policy.predicted_error},
            {"wide_error", policy.wide_error},
            {"clock_mhz", policy.clock_mhz},
            {"cycles", policy.cycles},
            {"wide_cycles", policy.wide_cycles},
            {"fastest_cycles", policy.fastest_cycles},
            {"least_cycles", policy.least_cycles},
            {"evaluations", policy.evaluations},
            {"tightened", policy.tightened},
            {"decisions", Json::array()},
            {"curve", Json::array()}};
  for (const PolicyDecision& d : policy.decisions) {
    Json alternatives = Json::array();
    for (const PolicyAlternative& a : d.alternatives) {
      alternatives.push_back(Json{{"precision", a.precision},
                                  {"cycles", a.cycles},
                                  {"added_error", std::sqrt(a.added_error)}});
    }
    json["decisions"].push_back(Json{{"layers", d.layers},
                                     {"repeat", d.repeat},
                                     {"operation", d.op},
                                     {"precision", d.alternatives[d.chosen].precision},
                                     {"reason", d.reason},
                                     {"alternatives", std::move(alternatives)}});
  }
  for (const PolicyCurvePoint& point : policy.curve) {
    json["curve"].push_back(Json{{"cycles", point.cycles},
                                 {"time_us", time_us(policy, point.cycles)},
                                 {"error", point.error},
                                 {"chosen", is_chosen(policy, point)},
                                 {"choice", point.choice}});
  }
  return json;
}

std::string policy_table(const PolicyResult& policy, std::size_t width, std::size_t most_points) {
  std::string text = line(
      fmt::format(
          "  precision by tessera's policy: error {:.3g} within a budget of {:.3g}; all {} {:.3g}",
          policy.error, policy.budget, policy.wide, policy.wide_error),
      width);
  if (policy.error > policy.budget) {
    text = line(fmt::format("  precision by tessera's policy: all {}, whose error of {:.3g} is "
                            "beyond the budget of {:.3g}",
                            policy.wide, policy.error, policy.budget),
                width);
  }
  text += line(fmt::format("  layers {}, saves {} of {}; bound for this budget {}",
                           time_text(time_us(policy, policy.cycles)),
                           saving(policy.cycles, policy.wide_cycles),
                           time_text(time_us(policy, policy.wide_cycles)),
                           time_text(time_us(policy, policy.least_cycles))),
               width);
  return text + "\n" + decisions_text(policy, width) + "\n" +
         curve_text(policy, width, most_points);
}

}  // namespace tessera
