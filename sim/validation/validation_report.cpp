#include "sim/validation/validation_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

void put(Json& json, const ErrorStatistics& s) {
  const auto figure = [&](double value) { return s.n > 0 ? Json(value) : Json(); };
  json["n"] = s.n;
  json["mape"] = figure(s.mape);
  json["median"] = figure(s.median);
  json["p90"] = figure(s.p90);
  json["max"] = figure(s.max);
  json["bias"] = figure(s.bias);
}

enum class Sign { of_negatives, always };

/// In a column of `width`, with an exponent where it would touch the column before.
std::string cell(double value, int decimals, std::size_t width, Sign sign = Sign::of_negatives) {
  const char* const plus = sign == Sign::always && !std::signbit(value) ? "+" : "";
  std::string text = fmt::format("{}{:.{}f}", plus, value, decimals);
  if (text.size() >= width) text = fmt::format("{}{:.1e}", plus, value);
  return fmt::format("{:>{}}", text, width);
}

std::string line_of(const std::string& what, const ErrorStatistics& s) {
  return fmt::format("  {:<34}{}\n", what, error_cells(s, 1));
}

std::string operation_of(const MeasuredRow& row) {
  std::string text = row.op;
  for (const auto& [key, value] : row.fields) text += fmt::format(" {}={}", key, value);
  return text;
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '<')
      result += "&lt;";
    else if (c == '&')
      result += "&amp;";
    else if (c == '"')
      result += "&quot;";
    else
      result += c;
  }
  return result;
}

/// A logarithmic axis over whole decades.
struct Axis {
  double low, high, from, to;  ///< exponents of ten, and the places on the picture
  double at(double us) const { return from + (std::log10(us) - low) / (high - low) * (to - from); }
};

}  // namespace

std::string error_cells(const ErrorStatistics& s, int decimals) {
  std::string text = fmt::format("{:>6}", s.n);
  if (s.n == 0) return text + fmt::format("{0:>9}{0:>9}{0:>9}{0:>9}{0:>9}", "-");
  for (const double value : {s.mape, s.median, s.p90, s.max}) text += cell(value, decimals, 9);
  return text + cell(s.bias, decimals, 9, Sign::always);
}

std::string validation_table(const MeasuredTable& table, const std::vector<Prediction>& predictions,
                             const std::vector<ClassErrors>& classes) {
  std::string text = fmt::format("  {:<34}{:>6}{:>9}{:>9}{:>9}{:>9}{:>9}\n", "errors in percent",
                                 "rows", "MAPE", "median", "p90", "max", "bias");
  for (const ClassErrors& c : classes) {
    text += line_of(c.op + " " + c.dtype, c.simulator);
    text += line_of("  ideal roofline", c.roofline);
    text += line_of("  fitted roofline, other half", c.fitted_roofline);
  }
  for (const ClassErrors& c : classes) {
    text += fmt::format("\nWorst rows of {} {}\n", c.op, c.dtype);
    text += fmt::format("  {:>6}{:>13}{:>13}{:>9}  {:<8} {}\n", "line", "measured us",
                        "predicted us", "error %", "bound", "operation");
    for (const std::size_t i : c.worst) {
      const MeasuredRow& row = table.rows[i];
      text += fmt::format("  {:>6}{}{}{}  {:<8} {}\n", row.line, cell(row.measured_us, 2, 13),
                          cell(predictions[i].us, 2, 13),
                          cell(error_percent(predictions[i], row), 1, 9, Sign::always),
                          name(predictions[i].bound), operation_of(row));
    }
  }
  return text;
}

Json validation_json(const MeasuredTable& table, const std::vector<Prediction>& predictions,
                     const std::vector<ClassErrors>& classes, const std::string& chip,
                     double wall_s) {
  Json json = {{"schema", "tessera-validate/1"}, {"chip", chip}, {"measured", table.file}};
  json["classes"] = Json::array();
  for (const ClassErrors& c : classes) {
    Json one = {{"op", c.op}, {"dtype", c.dtype}};
    put(one, c.simulator);
    put(one["roofline"], c.roofline);
    Json& fitted = one["fitted_roofline"];
    put(fitted, c.fitted_roofline);
    fitted["efficiency"] = c.fitted.efficiency;
    fitted["bandwidth_share"] = c.fitted.bandwidth_share;
    fitted["overhead_us"] = c.fitted.overhead_us;
    one["worst"] = Json::array();
    for (const std::size_t i : c.worst) {
      one["worst"].push_back({{"line", table.rows[i].line},
                              {"operation", operation_of(table.rows[i])},
                              {"measured_us", table.rows[i].measured_us},
                              {"predicted_us", predictions[i].us},
                              {"error_pct", error_percent(predictions[i], table.rows[i])},
                              {"bound", name(predictions[i].bound)}});
    }
    json["classes"].push_back(one);
  }
  json["wall_s"] = wall_s;
  return json;
}

std::string validation_svg(const MeasuredTable& table, const std::vector<Prediction>& predictions,
                           const std::string& chip) {
  double least = 1e300, most = 0;
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    for (const double us : {table.rows[i].measured_us, predictions[i].us}) {
      least = std::min(least, us);
      most = std::max(most, us);
    }
  }
  constexpr double size = 640, margin = 70;
  const double low = std::floor(std::log10(least)),
               high = std::max(low + 1, std::ceil(std::log10(most)));
  const Axis x{low, high, margin, size - 20}, y{low, high, size - margin, 40};
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {0}\" "
      "font-family=\"sans-serif\" "
      "font-size=\"13\">\n<title>Predicted against measured time, {1}</title>\n"
      "<rect width=\"{0}\" height=\"{0}\" fill=\"#ffffff\"/>\n"
      "<text x=\"{2}\" y=\"22\">Predicted against measured time on {1}, {3} rows; lines: equal, "
      "+-10 %</text>\n",
      size, escaped(chip), margin, table.rows.size());
  for (double decade = low; decade <= high; ++decade) {
    const double us = std::pow(10, decade);
    svg += fmt::format(
        "<path d=\"M{0:.1f} {3:.1f}V{4:.1f}M{5:.1f} {1:.1f}H{6:.1f}\" stroke=\"#dddddd\"/>"
        "<text x=\"{0:.1f}\" y=\"{7:.1f}\" text-anchor=\"middle\">{2:g}</text>"
        "<text x=\"{8:.1f}\" y=\"{9:.1f}\" text-anchor=\"end\">{2:g}</text>\n",
        x.at(us), y.at(us), us, y.from, y.to, x.from, x.to, y.from + 18, x.from - 6, y.at(us) + 4);
  }
  for (const double factor : {0.9, 1.0, 1.1}) {
    const double from = std::pow(10, low), to = std::pow(10, high);
    svg += fmt::format(
        "<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\" stroke=\"#333333\" stroke-dasharray=\"{}\"/>\n",
        x.at(from), y.at(from * factor), x.at(to), y.at(to * factor),
        factor == 1.0 ? "none" : "4 4");
  }
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    svg += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\" fill=\"#1f5fa8\" fill-opacity=\"0.5\">"
        "<title>{}: measured {:.2f} us, predicted {:.2f} us ({:+.1f} %)</title></circle>\n",
        x.at(table.rows[i].measured_us), y.at(predictions[i].us),
        escaped(operation_of(table.rows[i])), table.rows[i].measured_us, predictions[i].us,
        error_percent(predictions[i], table.rows[i]));
  }
  svg += fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">measured, us</text>\n"
      "<text transform=\"translate(16 {:.1f}) rotate(-90)\" text-anchor=\"middle\">predicted, "
      "us</text>\n</svg>\n",
      (x.from + x.to) / 2, size - 20, (y.from + y.to) / 2);
  return svg;
}

}  // namespace tessera
