#pragma once

#include <map>
#include <string>
#include <vector>

#include "sim/sweep/points.h"
#include "sim/sweep/results.h"

namespace tessera {

/// Everything that is known of a sweep before it runs.
struct SweepPlan {
  std::string tool_version;
  SweepPoints points;
  std::vector<std::string> digests;   ///< of each point; "" of one that is invalid
  std::vector<std::string> messages;  ///< why it is invalid
  /// Of the points, their digests, and what is recorded of them: sweeps with equal digests have the
  /// same results.
  std::string digest;

  /// Index of the point with that id.
  static std::size_t index(std::int64_t id) { return static_cast<std::size_t>(id - 1); }
};

/// Throws InputError: what PointBuilder::points() refuses, and where no point is valid.
SweepPlan make_plan(const SweepFile& sweep, PointBuilder& builder, const std::string& tool_version);

/// The columns of the results: axes, derived parameters, metrics, metrics of the sweep's own.
std::vector<SweepColumn> sweep_columns(const SweepFile& sweep);

}  // namespace tessera
