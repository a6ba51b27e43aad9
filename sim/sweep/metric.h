#pragma once

#include <limits>
#include <string>
#include <vector>

#include "sim/report/result.h"

namespace tessera {

/// A number that a sweep records of each point.
struct MetricInfo {
  std::string name, unit, meaning;
};
/// The numbers that every sweep records, in the order of the results' columns. A sweep adds its own
/// (`metrics:`) behind them.
const std::vector<MetricInfo>& sweep_metrics();
/// The name of the numerical error among them.
constexpr const char* error_metric = "error";

/// One operation of a point, as an entry of `layers` in the JSON of `run`.
struct PointOperation {
  std::string name, op, precision, bound;
  std::int64_t repeat = 1, cycles = 0, flops = 0, hbm_bytes = 0;
  double time_us = 0, roofline_us = 0, energy_j = 0;
  /// Relative RMSE; NaN where no error was studied.
  double error_quantisation = std::numeric_limits<double>::quiet_NaN();
  double error_accumulation = error_quantisation, error_total = error_quantisation,
         error_propagated = error_quantisation;
};

/// What the simulation of one point gave.
struct PointFigures {
  std::string bound;
  std::string trace_digest;
  std::vector<double> metrics;  ///< of sweep_metrics(), NaN where there is none
  std::vector<PointOperation> operations;
};

PointFigures point_figures(const RunResult& run, const std::string& trace_digest);

// Results cross a pipe as text.
std::string to_text(const PointFigures& figures);
PointFigures point_figures_from(const std::string& text);

}  // namespace tessera
