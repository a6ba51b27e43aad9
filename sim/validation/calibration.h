#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/config/chip_config.h"
#include "sim/config/schema.h"
#include "sim/validation/class_errors.h"
#include "sim/validation/measured_table.h"
#include "sim/validation/prediction.h"

namespace tessera {

/// A number of a chip to fit, and where to search for it.
struct FittedKey {
  const KeyInfo* key = nullptr;
  double low = 0, high = 0;
};

/// Of "KEY" or "KEY=LOW:HIGH", the keys to fit. Without a range the schema's plausible one is
/// searched. Throws InputError under --fit: a key that does not exist, is text or stands twice; one
/// without a plausible range; a range that is empty, exceeds the schema's, or does not hold the
/// chip's own value.
std::vector<FittedKey> fitted_keys(const std::vector<std::string>& texts, const ChipConfig& chip);

/// What is fitted if nobody says: the keys with a plausible range that the operations of the tables
/// depend on, as far as the chip's own values lie in it.
std::vector<FittedKey> default_fitted_keys(const std::vector<MeasuredTable>& tables,
                                           const ChipConfig& chip);

struct CalibrationOptions {
  PredictionOptions prediction;  ///< of each row; its progress is not used
  std::size_t most_rows = 200;   ///< 0: all; else so many, drawn by `seed`
  int folds = 5;                 ///< of the cross-validation, at most one a row; 0: none
  int most_evaluations = 120;    ///< of each fit; 2 keys + 1 make the optimiser's first model
  std::uint64_t seed = 1;
  /// Called before each evaluation of all rows: the fit it is of, out of how many, its number in
  /// that fit, and the least error so far.
  struct Step {
    int fit = 0, fits = 0, evaluation = 0;
    double mape = 0;
  };
  std::function<void(const Step&)> progress = [](const Step&) {};
};

struct Calibration {
  ChipConfig chip;  ///< with the fitted values
  std::vector<FittedKey> keys;
  std::vector<double> before, after;   ///< values, by key
  std::size_t rows = 0, measured = 0;  ///< used, of how many
  ErrorStatistics error_before, error_after;
  ErrorStatistics error_held_out;  ///< each row predicted by a fit to the folds without it
  int folds = 0, evaluations = 0;
  std::vector<std::string> notes;  ///< what the reader should know: why not to trust it
};

/// Fits the keys to the measurements of all tables together, from the chip's own values:
///   minimise  mean over rows of sqrt(1 + (ln(predicted / measured) / 0.1)^2) - 1
/// which is quadratic for errors below 10 % and linear above, so that neither a few wild rows nor
/// the many good ones rule. BOBYQA (Powell 2009; NLopt's implementation), a quadratic model within
/// the bounds and no gradients; a single key by subplex. Integers are rounded. For
/// cross-validation rows are dealt to `folds` by the seed, and each fold is predicted by a fit to
/// the others. Results do not depend on the number of jobs. Throws InputError and SimulationError
/// as predict() does for the chip as it is; values at which keys contradict each other are avoided.
Calibration calibrate(const std::vector<MeasuredTable>& tables, const ChipConfig& chip,
                      const std::vector<FittedKey>& keys, const CalibrationOptions& options);

/// The calibrated chip as a file: `base` and every key that differs from it, with comments that say
/// to what it was fitted and what came of it.
std::string calibrated_yaml(const Calibration& calibration,
                            const std::vector<MeasuredTable>& tables, const std::string& base,
                            const ChipConfig& base_chip, const std::string& tool_version,
                            std::uint64_t seed);

}  // namespace tessera
