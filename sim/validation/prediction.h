#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "sim/config/chip_config.h"
#include "sim/engine/simulation.h"
#include "sim/report/result.h"
#include "sim/validation/measured_table.h"

namespace tessera {

/// What the simulator says of a measured row, and the quantities that rooflines are made of.
struct Prediction {
  double us = 0;           ///< of the operation, its launch gap included if the row's is
  double roofline_us = 0;  ///< least possible time: compute or memory at peak
  double compute_us = 0;   ///< arithmetic at peak rate
  double memory_us = 0;    ///< compulsory traffic (link traffic of a collective) at peak rate
  Bound bound = Bound::latency;
};

struct PredictionOptions {
  SimulationOptions simulation;  ///< of each row; its jobs are not used
  int jobs = 1;                  ///< rows predicted at the same time, each in a process of its own
  /// Called as rows are done, with their number so far.
  std::function<void(std::size_t)> progress = [](std::size_t) {};
};

/// Predicts every row of a table. Results do not depend on `jobs`. Throws InputError naming the
/// first row (file and line) whose operation makes no sense or cannot run on the chip, and
/// SimulationError likewise.
std::vector<Prediction> predict(const MeasuredTable& table, const ChipConfig& chip,
                                const PredictionOptions& options);

/// error_pct of a row: 100 (predicted / measured - 1).
double error_percent(const Prediction& prediction, const MeasuredRow& row);

/// The table as it was read, with the columns predicted_us, error_pct and bound added.
std::string per_row_csv(const MeasuredTable& table, const std::vector<Prediction>& predictions);

}  // namespace tessera
