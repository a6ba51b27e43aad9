#include "sim/report/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <utility>
#include <vector>

#include "sim/report/figures.h"
#include "sim/report/policy_report.h"
#include "sim/report/quantity_text.h"

namespace tessera {
namespace {

// --- numbers ----------------------------------------------------------------------------------

std::string bytes_text(std::int64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (value < 1e3) return fmt::format("{} B", bytes);
  if (value < 1e6) return digits_text(value * 1e-3) + " kB";
  if (value < 1e9) return digits_text(value * 1e-6) + " MB";
  if (value < 1e12) return digits_text(value * 1e-9) + " GB";
  return digits_text(value * 1e-12) + " TB";
}

std::string percent(double fraction) { return fmt::format("{:.1f} %", fraction * 100); }

/// 1234567 as "1,234,567".
std::string grouped(std::int64_t value) {
  std::string text = fmt::format("{}", value);
  const std::size_t first = text[0] == '-' ? 1 : 0;
  for (std::size_t at = text.size(); at > first + 3;) {
    at -= 3;
    text.insert(at, 1, ',');
  }
  return text;
}

// --- text -------------------------------------------------------------------------------------

/// ANSI escapes, or nothing.
struct Paint {
  bool on = false;
  std::string operator()(const char* code, const std::string& text) const {
    return on ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
  }
  std::string heading(const std::string& text) const { return (*this)("1", text); }
};

/// Control characters of names that came from a file must not reach the terminal.
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

std::string cut(const std::string& text, std::size_t width) {
  if (text.size() <= width) return text;
  return width == 0 ? "" : text.substr(0, width - 1) + "~";
}

const char* colour_of(Cause cause) {
  switch (cause) {
    case Cause::tensor_core:
      return "32";
    case Cause::vector:
    case Cause::special_function:
    case Cause::epilogue:
      return "36";
    case Cause::hbm:
    case Cause::l2:
    case Cause::noc:
    case Cause::scratchpad:
    case Cause::link:
      return "33";
    case Cause::barrier:
    case Cause::pipeline:
    case Cause::launch:
    case Cause::idle:
      return "35";
  }
  return "0";
}

/// Causes with a share of `stalls`, largest first; declaration order among equals.
std::vector<std::pair<Cause, double>> ranked(const Stalls& stalls) {
  std::vector<std::pair<Cause, double>> causes;
  for (std::size_t i = 0; i < cause_count; ++i)
    if (stalls[i] > 0) causes.emplace_back(static_cast<Cause>(i), stalls[i]);
  std::stable_sort(causes.begin(), causes.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return causes;
}

// --- sections of the report -------------------------------------------------------------------

std::string headline(const RunResult& run, const Figures& f, const Paint& paint) {
  using Pair = std::array<std::string, 2>;
  const std::string none = "-";
  const double peak = peak_tflops(run);
  const std::vector<std::array<Pair, 2>> rows = {
      {{{"time", time_text(f.time_us)},
        {"cycles", fmt::format("{} at {:.0f} MHz", grouped(f.cycles), run.clock_mhz)}}},
      {{{"compute", digits_text(f.tflops) + " TFLOP/s"},
        {"tensor cores", peak > 0
                             ? fmt::format("{} of {} TFLOP/s", percent(f.tensor_core_utilization),
                                           digits_text(peak))
                             : none}}},
      {{{"HBM", digits_text(f.hbm_gbps) + " GB/s"},
        {"HBM peak", run.hbm_peak_gbps > 0
                         ? fmt::format("{} of {} GB/s", percent(f.hbm_utilization),
                                       digits_text(run.hbm_peak_gbps))
                         : none}}},
      {{{"HBM read", bytes_text(f.hbm_read)}, {"HBM written", bytes_text(f.hbm_write)}}},
      {{{"L2 hit rate", f.l2_read > 0 ? percent(f.l2_hit_rate) : none},
        {"power", run.power_w > 0 ? digits_text(run.power_w) + " W" : none}}},
      {{{"bound", std::string(name(f.bound))},
        {"roofline", f.roofline_us > 0 ? fmt::format("{}, {} achieved", time_text(f.roofline_us),
                                                     percent(f.roofline_fraction))
                                       : none}}},
  };
  std::string text;
  for (const auto& row : rows)
    text += fmt::format("  {:<12} {}  {:<13} {}\n", row[0][0],
                        paint.heading(fmt::format("{:<18}", row[0][1])), row[1][0],
                        paint.heading(row[1][1]));
  return text;
}

struct Column {
  std::string title;
  bool left = false;
  int drop = 0;  ///< 0: always shown; else the higher, the earlier it gives way
  std::vector<std::string> cells;

  std::size_t width() const {
    std::size_t widest = title.size();
    for (const std::string& cell : cells) widest = std::max(widest, cell.size());
    return widest;
  }
};

std::size_t total_width(const std::vector<Column>& columns) {
  std::size_t width = 2;
  for (const Column& column : columns) width += column.width() + 2;
  return width - 2;
}

/// A relative error in percent, two digits.
std::string error_text(double error) {
  const double percents = error * 100;
  return percents < 0.0095 ? fmt::format("{:.0e}", percents) : fmt::format("{:.2g}", percents);
}

std::string waits(const Stalls& stalls, std::size_t count) {
  std::string text;
  for (const auto& [cause, fraction] : ranked(stalls)) {
    if (cause == Cause::tensor_core || fraction < 0.005) continue;
    if (count-- == 0) break;
    text += fmt::format("{}{} {:.0f}%", text.empty() ? "" : ", ", name(cause), fraction * 100);
  }
  return text;
}

constexpr std::size_t max_rows = 60;

std::string operations(const RunResult& run, std::size_t width, const Paint& paint) {
  std::vector<OpGroup> groups = group_ops(run);
  if (groups.empty()) return "";
  std::size_t left_out = 0;
  double left_out_share = 0;
  if (groups.size() > max_rows) {
    // The longest ones, still in execution order.
    std::vector<double> shares;
    for (const OpGroup& group : groups) shares.push_back(group.total.time_share);
    std::nth_element(shares.begin(), shares.begin() + (max_rows - 1), shares.end(),
                     std::greater<double>());
    const double least = shares[max_rows - 1];
    std::vector<OpGroup> kept;
    for (OpGroup& group : groups) {
      if (group.total.time_share >= least && kept.size() < max_rows) {
        kept.push_back(group);
      } else {
        ++left_out;
        left_out_share += group.total.time_share;
      }
    }
    groups = kept;
  }

  Column op{"operation", true, 0, {}}, kind{"op", true, 8, {}}, precision{"prec", true, 4, {}},
      repeat{"times", false, 3, {}}, time{"time", false, 0, {}}, share{"% time", false, 0, {}},
      tflops{"TFLOP/s", false, 0, {}}, gbps{"GB/s", false, 0, {}}, power{"W", false, 7, {}},
      bound{"bound", true, 0, {}}, roof{"% roof", false, 0, {}}, own{"% error", false, 5, {}},
      propagated{"% err out", false, 1, {}}, stalls{"top stalls", true, 6, {}};
  for (const OpGroup& group : groups) {
    const Figures& f = group.total;
    op.cells.push_back(cut(printable(group.name), 28));
    kind.cells.push_back(cut(printable(group.op->kind), 12));
    precision.cells.push_back(cut(printable(group.op->precision), 9));
    repeat.cells.push_back(fmt::format("x{}", f.repeat));
    time.cells.push_back(time_text(f.time_us));
    share.cells.push_back(fmt::format("{:.1f}", f.time_share * 100));
    tflops.cells.push_back(digits_text(f.tflops));
    gbps.cells.push_back(digits_text(f.hbm_gbps));
    power.cells.push_back(f.power_w > 0 ? fmt::format("{:.0f}", f.power_w) : "-");
    bound.cells.push_back(std::string(name(f.bound)));
    roof.cells.push_back(f.roofline_us > 0 ? fmt::format("{:.1f}", f.roofline_fraction * 100)
                                           : "-");
    const OpError& error = group.op->error;
    own.cells.push_back(error.total.rel_rmse > 0 ? error_text(error.total.rel_rmse) : "-");
    propagated.cells.push_back(error.studied ? error_text(error.propagated.rel_rmse) : "-");
    stalls.cells.push_back(waits(f.stalls, 3));
  }
  std::vector<Column> columns = {op,   kind,  precision, repeat, time, share,      tflops,
                                 gbps, power, bound,     roof,   own,  propagated, stalls};
  if (std::none_of(groups.begin(), groups.end(), [](const auto& g) { return g.op->error.studied; }))
    columns.erase(columns.begin() + 11, columns.begin() + 13);
  // "x1" everywhere says nothing.
  if (std::all_of(groups.begin(), groups.end(), [](const auto& g) { return g.total.repeat == 1; }))
    columns.erase(columns.begin() + 3);
  while (total_width(columns) > width) {
    const auto victim =
        std::max_element(columns.begin(), columns.end(),
                         [](const auto& a, const auto& b) { return a.drop < b.drop; });
    if (victim->drop == 0) break;
    // One cause where three do not fit.
    if (victim->title == stalls.title) {
      Column one{"top stall", true, 2, {}};
      for (const OpGroup& group : groups) one.cells.push_back(waits(group.total.stalls, 1));
      *victim = one;
      continue;
    }
    columns.erase(victim);
  }

  std::string text;
  const auto add_row = [&](auto cell, bool heading) {
    std::string line = " ";
    for (const Column& column : columns)
      line += fmt::format(column.left ? " {:<{}} " : " {:>{}} ", cell(column), column.width());
    line.erase(line.find_last_not_of(' ') + 1);
    text += (heading ? paint.heading(line) : line) + "\n";
  };
  add_row([](const Column& column) { return column.title; }, true);
  for (std::size_t row = 0; row < groups.size(); ++row)
    add_row([row](const Column& column) { return column.cells[row]; }, false);
  if (left_out > 0)
    text += fmt::format("  ... and {} shorter ones, {} of the time (JSON and CSV have all)\n",
                        left_out, percent(left_out_share));
  return text;
}

/// `text` in lines of at most `width` characters, indented.
std::string wrapped(const std::string& text, std::size_t width) {
  std::string lines, line = " ";
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find(' ', start), text.size());
    const std::string word = text.substr(start, end - start);
    if (line.size() + 1 + word.size() > width && line.size() > 4) {
      lines += line + "\n";
      line = "   ";
    }
    line += " " + word;
    start = end + 1;
  }
  return lines + line + "\n";
}

std::string numerical_error(const PrecisionResult& precision, std::size_t width,
                            const Paint& paint) {
  if (!precision.studied) return "";
  const std::string source =
      precision.tensors == "synthetic" ? "synthetic tensors" : "tensors of " + precision.tensors;
  std::string text =
      fmt::format("{}, seed {}{}; {}", printable(source), precision.seed,
                  precision.recipe.empty() ? "" : ", FP8 scaling " + precision.recipe,
                  precision.exact ? "every output computed"
                                  : fmt::format("{} of {} tokens and some outputs of each computed",
                                                precision.sampled_tokens, precision.tokens));
  if (precision.layers > 0) {
    text += fmt::format("; behind the first layer {} % [{}, {}]",
                        error_text(precision.layer_output), error_text(precision.layer_output_low),
                        error_text(precision.layer_output_high));
    if (precision.layers > 1)
      text += fmt::format(", behind the last of {}: {} %", precision.layers,
                          error_text(precision.output));
  }
  std::string lines = paint.heading("  numerical error") + "\n" + wrapped(text, width);
  for (const std::string& note : precision.notes) lines += wrapped(printable(note), width);
  return lines;
}

std::string core_cycles(const Figures& f, std::size_t width, const Paint& paint) {
  const auto causes = ranked(f.stalls);
  if (causes.empty()) return "";
  constexpr std::size_t name_width = 16;
  constexpr std::size_t bar_width = 22;
  // The meanings are shown where all of them fit; the glossary has them in any case.
  const bool explain = std::all_of(causes.begin(), causes.end(), [width](const auto& share) {
    constexpr std::size_t indent = 2 + name_width + 1 + 7 + 2 + bar_width + 2;
    return indent + meaning(share.first).size() <= width;
  });
  std::string text;
  for (const auto& [cause, fraction] : causes) {
    const std::size_t length = static_cast<std::size_t>(std::clamp(
        std::lround(fraction * static_cast<double>(bar_width)), 0L, static_cast<long>(bar_width)));
    std::string line = fmt::format("  {:<{}} {:>7}  ", name(cause), name_width,
                                   fraction < 0.0005 ? "<0.1 %" : percent(fraction));
    line += length > 0 ? paint(colour_of(cause), std::string(length, '#')) : "";
    if (explain)
      line += std::string(bar_width - length + 2, ' ') + paint("2", std::string(meaning(cause)));
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

}  // namespace

std::string to_table(const RunResult& run, const TableOptions& options) {
  const std::size_t width = static_cast<std::size_t>(std::clamp(options.width, 80, 160));
  const Paint paint{options.colour};
  const Figures f = figures(run);
  std::string text =
      paint.heading(fmt::format("{} on {}", printable(run.workload), printable(run.chip)));
  text += "\n\n" + headline(run, f, paint);
  const std::string ops = operations(run, width, paint);
  if (!ops.empty()) text += "\n" + ops;
  const std::string causes = core_cycles(f, width, paint);
  if (!causes.empty()) text += "\n" + paint.heading("  where the core-cycles went") + "\n" + causes;
  const std::string error = numerical_error(run.precision, width, paint);
  if (!error.empty()) text += "\n" + error;
  if (run.policy.decided) text += "\n" + policy_table(run.policy, width);
  std::string notes;
  for (const std::string& note : run.notes) notes += "  note: " + printable(note) + "\n";
  if (!notes.empty()) text += "\n" + notes;
  return text;
}

}  // namespace tessera
