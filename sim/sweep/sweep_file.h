#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/error.h"
#include "sim/sweep/expression.h"
#include "sim/sweep/parameter.h"

namespace tessera {

enum class SamplingMethod : std::uint8_t { grid, zip, random, latin_hypercube };
std::string_view name(SamplingMethod method);

struct Sampling {
  SamplingMethod method = SamplingMethod::grid;
  std::int64_t points = 0;  ///< of random and latin_hypercube
  std::uint64_t seed = 1;
};

/// Values from `from` to `to`, both included: `steps` of them evenly spaced (in the logarithm, if
/// `logarithmic`), or any in random sampling. Each is rounded to a multiple of `multiple` where
/// that is above 0, to a whole number where the parameter wants one.
struct AxisRange {
  double from = 0, to = 0;
  std::int64_t steps = 0;  ///< 0: not given
  bool logarithmic = false;
  double multiple = 0;

  /// The value at `position` in [0, 1].
  double at(double position, bool whole) const;
};

/// What a sweep varies: a list of values or a range.
struct Axis {
  Parameter parameter;
  SourceLocation where;
  std::vector<std::string> values;
  std::optional<AxisRange> range;

  /// The values of a list, or the steps of a range.
  std::vector<std::string> steps() const;
  /// The value at `position` in [0, 1) of a sample.
  std::string sample(double position) const;
};

/// What all points share.
struct Setting {
  std::string name, text;
  SourceLocation where;
};

/// A parameter computed from the others.
struct DerivedParameter {
  Parameter parameter;
  SourceLocation where;
  Expression expression;
};

/// A number computed from a point's parameters and metrics.
struct DerivedMetric {
  std::string name;
  SourceLocation where;
  Expression expression;
};

struct Constraint {
  SourceLocation where;
  Expression expression;
};

struct Objective {
  std::string metric;  ///< or an axis, or a derived parameter: what a designer pays with
  bool minimise = true;
};

/// A sweep as the user wrote it (docs/sweeps.md).
struct SweepFile {
  std::string path;
  std::string text;  ///< the file
  std::string title, question;
  std::vector<Setting> settings;
  std::vector<Axis> axes;
  std::vector<DerivedParameter> derived;  ///< in order: each may use those before it
  Sampling sampling;
  std::vector<Constraint> skip_if;
  std::vector<DerivedMetric> metrics;  ///< in order
  std::vector<Objective> objectives;   ///< time_us and energy_j unless given
  bool numerical_error = false;        ///< whether the error of each point is studied
  bool allow_oversubscription = false;
  double timeout_s = 300;          ///< of one point
  std::int64_t memory_mib = 4096;  ///< of one point's process
};

/// More points are a mistake.
constexpr std::int64_t max_sweep_points = 1'000'000;

/// Throws InputError `file:line: key: ...` for whatever is wrong with it.
SweepFile parse_sweep(const std::string& text, const std::string& path);
SweepFile read_sweep_file(const std::string& path);

}  // namespace tessera
