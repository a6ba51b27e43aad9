#pragma once

#include <nlohmann/json.hpp>

#include "sim/report/result.h"

namespace tessera {

/// Whether the JSON carries `simulator`, the only part that differs between equal runs.
enum class SimulatorPart { include, leave_out };

/// The report of a run; keys and units as glossary() and docs/report.md say. Every number is
/// finite. Without the simulator part, equal results give equal bytes.
nlohmann::ordered_json to_json(const RunResult& run,
                               SimulatorPart simulator = SimulatorPart::include);

/// The value of `schema`: changes when a key changes its meaning or goes away.
constexpr const char* run_schema = "tessera-run/1";

}  // namespace tessera
