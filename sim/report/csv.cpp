#include "sim/report/csv.h"

#include <fmt/format.h>

#include "sim/report/json.h"

namespace tessera {
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

std::string to_csv(const RunResult& run) {
  return report_csv(to_json(run, SimulatorPart::leave_out));
}

std::string report_csv(const nlohmann::ordered_json& report) {
  constexpr const char* columns[] = {"name",
                                     "op",
                                     "precision",
                                     "repeat",
                                     "cycles",
                                     "time_us",
                                     "time_fraction",
                                     "flops",
                                     "tflops",
                                     "hbm_read_bytes",
                                     "hbm_write_bytes",
                                     "hbm_gbps",
                                     "l2_hit_rate",
                                     "bound",
                                     "roofline_us",
                                     "roofline_fraction",
                                     "energy_j",
                                     "power_w"};
  constexpr const char* errors[] = {"quantisation", "accumulation", "total", "propagated"};
  std::string csv = "chip,workload";
  for (const char* column : columns) csv += fmt::format(",{}", column);
  for (const char* error : errors) csv += fmt::format(",error_{}", error);
  csv += ",error_sampled";
  for (std::size_t i = 0; i < cause_count; ++i)
    csv += fmt::format(",stall_{}", name(static_cast<Cause>(i)));
  csv += "\n";
  const auto field = [](const nlohmann::ordered_json& value) {
    if (value.is_string()) return csv_field(value.get<std::string>());
    return value.is_number_float() ? fmt::format("{}", value.get<double>())
                                   : fmt::format("{}", value.get<std::int64_t>());
  };
  for (const auto& layer : report.at("layers")) {
    csv += field(report.at("chip")) + "," + field(report.at("workload"));
    for (const char* column : columns) csv += "," + field(layer.at(column));
    const auto& error = layer.at("error");
    for (const char* part : errors)
      csv += "," + (error.empty() ? "" : field(error.at(part).at("rel_rmse")));
    csv += "," + (error.empty() ? "" : field(error.at("sampled")));
    for (std::size_t i = 0; i < cause_count; ++i)
      csv += "," + field(layer.at("stalls").at(std::string(name(static_cast<Cause>(i)))));
    csv += "\n";
  }
  return csv;
}

}  // namespace tessera
