#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "sim/regression/measurement.h"

namespace tessera {

/// What the traces of a folder took when somebody last agreed to it: by trace (its path in the
/// folder, with /) and chip. A chip without a measurement was asked for and never run.
struct Baseline {
  std::map<std::string, std::map<std::string, std::optional<Measurement>>> traces;
};

/// Name of the baseline's file in a folder of traces.
constexpr const char* baseline_name = "baseline.json";

/// The file: JSON with one number a line, in a fixed order, so that a change reads well as a diff.
/// Keys of core_cycles that are 0, and ops of traces with a single one, are left out.
std::string to_text(const Baseline& baseline);

/// Reads it back; `file` is what errors call it. Throws InputError: not JSON, another schema,
/// unknown, missing or repeated keys, numbers that are not whole or negative, more than 16 MiB.
Baseline parse_baseline(std::string_view text, const std::string& file);

}  // namespace tessera
