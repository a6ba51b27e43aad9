#include "sim/regression/regression_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t status_count = 6;
constexpr std::size_t shown_causes = 3;    ///< of a summary
constexpr std::size_t listed_changes = 8;  ///< of a line of details
constexpr double least_percent = 0.05;     ///< a smaller part is left out of a summary

std::string percent_text(const Change& change) {
  if (change.was == 0) return "from 0";
  const double size = std::abs(change.percent);
  return size < least_percent ? fmt::format("{:+.2g} %", change.percent)
                              : fmt::format("{:+.1f} %", change.percent);
}

/// What a cause's key means, for those who do not know it by heart.
std::string meaning_of(const std::string& cause) {
  for (std::size_t i = 0; i < cause_count; ++i) {
    if (name(static_cast<Cause>(i)) == cause) return std::string(meaning(static_cast<Cause>(i)));
  }
  return cause;
}

const Change* find(const std::vector<Change>& changes, std::string_view what) {
  const auto found = std::find_if(changes.begin(), changes.end(),
                                  [&](const Change& change) { return change.what == what; });
  return found == changes.end() ? nullptr : &*found;
}

/// What the change comes from, as far as the digests tell.
std::string origin(const CaseResult& result) {
  if (result.trace_changed && result.chip_changed) return "the trace and the chip's values changed";
  if (result.trace_changed) return "the trace changed";
  if (result.chip_changed) return "the chip's values changed";
  return "trace and chip are the same: the simulator changed";
}

std::string list_of(const std::vector<Change>& changes) {
  std::string text;
  for (const Change& change : changes) {
    if (&change == changes.data() + listed_changes)
      return text + fmt::format(" and {} more", changes.size() - listed_changes);
    text += fmt::format("{}{} {} -> {} ({})", text.empty() ? "" : ", ", change.what, change.was,
                        change.is, percent_text(change));
  }
  return text;
}

/// The lines below a case that moved: everything that its summary leaves out.
std::vector<std::string> details(const CaseResult& result) {
  std::vector<std::string> lines;
  if (!result.was || !result.is) return lines;
  if (!result.metrics.empty()) lines.push_back(list_of(result.metrics));
  if (!result.causes.empty()) lines.push_back("core-cycles: " + list_of(result.causes));
  if (!result.ops.empty()) lines.push_back("cycles of operations: " + list_of(result.ops));
  lines.push_back(origin(result));
  return lines;
}

std::array<std::size_t, status_count> counts(const std::vector<CaseResult>& results) {
  std::array<std::size_t, status_count> count{};
  for (const CaseResult& result : results) ++count[static_cast<std::size_t>(result.status)];
  return count;
}

/// Text of the user's files in one line of plain text.
std::string line(std::string text) {
  for (char& c : text) {
    if (c == '\n') c = ' ';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

std::string markdown(const std::string& text) {
  std::string result;
  for (const char c : line(text)) {
    if (c == '|' || c == '<' || c == '`' || c == '*' || c == '_' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string xml(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '&':
        result += "&amp;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\n':
        result += "&#10;";
        break;
      default:
        // XML 1.0 has no other control characters; bytes beyond ASCII may not be UTF-8.
        result +=
            static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f ? '?' : c;
    }
  }
  return result;
}

Json change_json(const std::vector<Change>& changes) {
  Json list = Json::array();
  for (const Change& change : changes) {
    Json one{{"name", change.what},
             {"was", change.was},
             {"is", change.is},
             {"change_pct", nullptr},
             {"beyond_tolerance", change.beyond}};
    if (change.was != 0) one["change_pct"] = change.percent;
    list.push_back(std::move(one));
  }
  return list;
}

std::string cycles_text(const std::optional<Measurement>& m) {
  return m ? fmt::format("{}", (*m)[Metric::cycles]) : "-";
}

std::string change_text(const CaseResult& result) {
  if (!result.was || !result.is) return std::string(name(result.status));
  const Change* cycles = find(result.metrics, name(Metric::cycles));
  return cycles == nullptr ? "none" : percent_text(*cycles);
}

}  // namespace

std::string summary(const CaseResult& result) {
  switch (result.status) {
    case CaseStatus::same:
      return "the same";
    case CaseStatus::failed:
      return result.failure;
    case CaseStatus::added:
      return "not in the baseline";
    case CaseStatus::missing:
      return "in the baseline, but there is no such trace";
    case CaseStatus::within:
    case CaseStatus::moved:
      break;
  }
  const Change* cycles = find(result.metrics, name(Metric::cycles));
  std::string text = cycles == nullptr ? "cycles as before" : percent_text(*cycles) + " cycles";
  std::string causes;
  std::size_t shown = 0;
  for (const Change& cause : result.causes) {
    const bool matters = std::abs(cause.percent) >= least_percent || shown == 0;
    if (!matters || shown == shown_causes) break;
    ++shown;
    causes += fmt::format("{}{} {:+.{}f}", causes.empty() ? "" : ", ", meaning_of(cause.what),
                          cause.percent, std::abs(cause.percent) < least_percent ? 4 : 1);
  }
  if (!causes.empty()) return text + ": " + causes;
  for (const Change& metric : result.metrics) {
    if (&metric != cycles) text += fmt::format(", {} {}", metric.what, percent_text(metric));
  }
  return text;
}

std::string tally(const std::vector<CaseResult>& results) {
  const auto count = counts(results);
  std::string text = fmt::format("{} case{}", results.size(), results.size() == 1 ? "" : "s");
  std::string separator = ": ";
  for (std::size_t i = 0; i < status_count; ++i) {
    if (count[i] == 0) continue;
    text += fmt::format("{}{} {}", separator, count[i], name(static_cast<CaseStatus>(i)));
    separator = ", ";
  }
  return text;
}

std::string regression_table(const std::vector<CaseResult>& results, bool bold) {
  std::string text = tally(results) + "\n";
  std::size_t trace_width = 5, chip_width = 4;
  bool any = false;
  for (const CaseResult& result : results) {
    if (result.status == CaseStatus::same) continue;
    any = true;
    trace_width = std::max(trace_width, line(result.trace).size());
    chip_width = std::max(chip_width, line(result.chip).size());
  }
  if (!any) return text;
  const std::string heading =
      fmt::format("  {:<{}}  {:<{}}  {:>12}  {:>12}  {:>9}", "trace", trace_width, "chip",
                  chip_width, "cycles", "were", "change");
  text += "\n" + (bold ? "\x1b[1m" + heading + "\x1b[0m" : heading) + "\n";
  for (const CaseResult& result : results) {
    if (result.status == CaseStatus::same) continue;
    text += fmt::format("  {:<{}}  {:<{}}  {:>12}  {:>12}  {:>9}\n", line(result.trace),
                        trace_width, line(result.chip), chip_width, cycles_text(result.is),
                        cycles_text(result.was), change_text(result));
    // What added and missing mean is no news in each of their lines.
    if (result.status != CaseStatus::added && result.status != CaseStatus::missing)
      text += "      " + line(summary(result)) + "\n";
    for (const std::string& detail : details(result)) text += "      " + line(detail) + "\n";
  }
  return text;
}

std::string regression_markdown(const std::vector<CaseResult>& results, const std::string& title) {
  std::string text = fmt::format("### {}\n\n{}\n", markdown(title), tally(results));
  std::string rows, more;
  for (const CaseResult& result : results) {
    if (result.status == CaseStatus::same) continue;
    const std::string change = change_text(result);
    rows += fmt::format("| {} | {} | {} | {} | {} | {} |\n", markdown(result.trace),
                        markdown(result.chip), cycles_text(result.is), cycles_text(result.was),
                        fails(result.status) ? "**" + change + "**" : change,
                        markdown(summary(result)));
    const std::vector<std::string> lines = details(result);
    if (lines.empty()) continue;
    more += fmt::format("- {} on {}\n", markdown(result.trace), markdown(result.chip));
    for (const std::string& detail : lines) more += "  - " + markdown(detail) + "\n";
  }
  if (rows.empty()) return text;
  text +=
      "\n| trace | chip | cycles | were | change | why |\n|---|---|---:|---:|---:|---|\n" + rows;
  if (!more.empty())
    text += "\n<details><summary>Every number that moved</summary>\n\n" + more + "\n</details>\n";
  return text;
}

std::string regression_junit(const std::vector<CaseResult>& results, const std::string& suite) {
  const auto count = counts(results);
  const auto of = [&](CaseStatus status) { return count[static_cast<std::size_t>(status)]; };
  const std::string totals =
      fmt::format("tests=\"{}\" failures=\"{}\" errors=\"{}\"", results.size(),
                  of(CaseStatus::moved) + of(CaseStatus::added) + of(CaseStatus::missing),
                  of(CaseStatus::failed));
  std::string text = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {}>\n  <testsuite name=\"{}\" {}>\n",
      totals, xml(suite), totals);
  for (const CaseResult& result : results) {
    text += fmt::format("    <testcase classname=\"{}\" name=\"{}\"", xml(result.trace),
                        xml(result.chip.empty() ? "-" : result.chip));
    if (!fails(result.status)) {
      text += "/>\n";
      continue;
    }
    const char* element = result.status == CaseStatus::failed ? "error" : "failure";
    std::string body = summary(result);
    for (const std::string& detail : details(result)) body += "\n" + detail;
    text +=
        fmt::format(">\n      <{} type=\"{}\" message=\"{}\">{}</{}>\n    </testcase>\n", element,
                    name(result.status), xml(line(summary(result))), xml(body), element);
  }
  return text + "  </testsuite>\n</testsuites>\n";
}

Json regression_json(const std::vector<CaseResult>& results, const std::string& folder) {
  Json json{{"schema", "tessera-regress/1"}, {"folder", folder}};
  json["passed"] = std::none_of(results.begin(), results.end(),
                                [](const CaseResult& r) { return fails(r.status); });
  const auto count = counts(results);
  for (std::size_t i = 0; i < status_count; ++i)
    json["counts"][std::string(name(static_cast<CaseStatus>(i)))] = count[i];
  json["cases"] = Json::array();
  for (const CaseResult& result : results) {
    Json one{{"trace", result.trace},
             {"chip", result.chip},
             {"status", name(result.status)},
             {"summary", summary(result)},
             {"cycles", nullptr},
             {"cycles_was", nullptr},
             {"change_pct", nullptr},
             {"trace_changed", result.trace_changed},
             {"chip_changed", result.chip_changed}};
    if (result.is) one["cycles"] = (*result.is)[Metric::cycles];
    if (result.was) one["cycles_was"] = (*result.was)[Metric::cycles];
    if (result.is && result.was && (*result.was)[Metric::cycles] > 0) {
      const Change* cycles = find(result.metrics, name(Metric::cycles));
      one["change_pct"] = cycles == nullptr ? 0.0 : cycles->percent;
    }
    one["metrics"] = change_json(result.metrics);
    one["causes"] = change_json(result.causes);
    one["ops"] = change_json(result.ops);
    json["cases"].push_back(std::move(one));
  }
  return json;
}

}  // namespace tessera
