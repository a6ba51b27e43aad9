#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sim/validation/class_errors.h"

namespace tessera {

/// A line's columns "rows", 6 wide, and "MAPE", "median", "p90", "max", "bias", 9 wide each:
/// figures with so many decimals, or with an exponent where they would not fit; "-" where there are
/// no rows.
std::string error_cells(const ErrorStatistics& s, int decimals);

/// The errors of a table, for a terminal: a line for each class with the rivals below it, then the
/// worst rows of each class with what bounds them.
std::string validation_table(const MeasuredTable& table, const std::vector<Prediction>& predictions,
                             const std::vector<ClassErrors>& classes);

/// {"schema", "chip", "measured", "classes": [{"op", "dtype", "n", "mape", "median", "p90", "max",
/// "bias", "roofline": {...}, "fitted_roofline": {..., "efficiency", "bandwidth_share",
/// "overhead_us"}, "worst": [{"line", "measured_us", "predicted_us", "error_pct", "bound"}]}],
/// "wall_s"}; errors in percent, null where n is 0: of a class of one row none is left to test the
/// fitted roofline on.
nlohmann::ordered_json validation_json(const MeasuredTable& table,
                                       const std::vector<Prediction>& predictions,
                                       const std::vector<ClassErrors>& classes,
                                       const std::string& chip, double wall_s);

/// Predicted against measured time, both logarithmic, as a picture that stands alone (SVG): a point
/// for each row with its operation in the tooltip, the diagonal, and +-10 %.
std::string validation_svg(const MeasuredTable& table, const std::vector<Prediction>& predictions,
                           const std::string& chip);

}  // namespace tessera
