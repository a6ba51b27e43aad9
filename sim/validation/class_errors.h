#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "sim/validation/measured_table.h"
#include "sim/validation/prediction.h"

namespace tessera {

/// Relative errors of predictions, in percent of the measured time.
struct ErrorStatistics {
  std::size_t n = 0;
  double mape = 0;    ///< mean absolute
  double median = 0;  ///< of the absolute errors; of an even number, the mean of the middle two
  double p90 = 0;     ///< 90th percentile of the absolute errors, nearest rank
  double max = 0;     ///< largest absolute error
  double bias = 0;    ///< mean, signed: above 0 where predictions are too long
};
/// Of signed errors in percent; all 0 where there are none.
ErrorStatistics error_statistics(const std::vector<double>& errors_percent);

/// The trivial rival: time = max(compute / efficiency, memory / bandwidth_share) + overhead, with
/// compute and memory the chip's ideal times of an operation.
struct FittedRoofline {
  double efficiency = 1;       ///< share of the peak arithmetic rate
  double bandwidth_share = 1;  ///< share of the peak bandwidth
  double overhead_us = 0;
  double us(const Prediction& row) const;
};

/// One class of a table: rows of the same operation and dtype.
struct ClassErrors {
  std::string op, dtype;
  std::vector<std::size_t> rows;  ///< indices in the table, in order
  ErrorStatistics simulator;
  ErrorStatistics roofline;         ///< the ideal roofline: no parameter
  ErrorStatistics fitted_roofline;  ///< on the rows it was not fitted on
  FittedRoofline fitted;            ///< fitted on every second row of the class, by least MAPE
  std::vector<std::size_t> worst;   ///< up to ten rows of largest absolute error, worst first
};

/// The classes of a table, in the order in which they first appear.
std::vector<ClassErrors> class_errors(const MeasuredTable& table,
                                      const std::vector<Prediction>& predictions);

}  // namespace tessera
