#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sim/report/saved_run.h"

namespace tessera {

/// Time by cause, in microseconds: an operation's time shared out as its core-cycles were.
using CauseTimes = std::array<double, cause_count>;

/// The executions of the operations of one name (the number of a repeated section is no part of it)
/// in one of two runs. Precision and bound are of the first.
struct OperationTimes {
  bool present = false;
  std::string precision, bound;
  double time_us = 0;
  CauseTimes causes_us{};
};

struct OperationChange {
  std::string name;
  OperationTimes before, after;
};

struct FigureChange {
  std::string name, unit;
  double before = 0, after = 0;
};

/// What differs between two runs.
struct Comparison {
  SavedRun before, after;
  std::vector<FigureChange> figures;        ///< of the whole runs
  CauseTimes before_us{}, after_us{};       ///< of the whole runs
  std::vector<OperationChange> operations;  ///< in the order of the runs
};

Comparison compare(SavedRun before, SavedRun after);

/// The value of `schema` in to_json().
constexpr const char* comparison_schema = "tessera-comparison/1";

std::string to_text(const Comparison& comparison);
nlohmann::ordered_json to_json(const Comparison& comparison);
/// One row per operation: times, their change, and of each cause how its time changed.
std::string to_csv(const Comparison& comparison);

}  // namespace tessera
