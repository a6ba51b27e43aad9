#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/regression/measurement.h"

namespace tessera {

/// How far a number may move before it counts, in percent of what it was; 0: not at all.
struct Tolerances {
  std::array<double, metric_count> metrics{};
  /// Of the core-cycles of each cause, in percent of all core-cycles.
  double core_cycles = 0;
};

/// `PCT`, for every metric, and METRIC=PCT in any number and order, joined by commas; later ones
/// win. METRIC is a metric's name or core_cycles. Throws InputError under `flag`.
Tolerances parse_tolerances(std::string_view text, const std::string& flag);

/// One number that moved.
struct Change {
  std::string what;  ///< a metric's, a cause's or an operation's name
  std::int64_t was = 0, is = 0;
  double percent = 0;   ///< of what it was; of a cause: of all core-cycles there were
  bool beyond = false;  ///< its tolerance
};

enum class CaseStatus : std::uint8_t {
  same,     ///< every number is what it was
  within,   ///< some moved, none beyond its tolerance
  moved,    ///< some moved beyond their tolerance
  added,    ///< the baseline has no numbers of it
  missing,  ///< the baseline has it, the folder has not
  failed,   ///< it cannot be read or run
};
std::string_view name(CaseStatus status);
/// Whether a case of this status makes the regression fail: all but same and within.
bool fails(CaseStatus status);

/// A trace on a chip, and what became of it.
struct CaseResult {
  std::string trace, chip;
  CaseStatus status = CaseStatus::same;
  std::string failure;  ///< of status failed: why
  std::optional<Measurement> was, is;
  std::vector<Change> metrics;  ///< that moved, in declaration order
  std::vector<Change> causes;   ///< whose core-cycles moved, the largest part of the change first
  std::vector<Change> ops;      ///< whose cycles moved, likewise; new and gone ones were or are 0
  bool trace_changed = false, chip_changed = false;
};

/// Fills in how `is` differs from `was` (both must be there), and the status.
void compare(CaseResult& result, const Tolerances& tolerances);

}  // namespace tessera
