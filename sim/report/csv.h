#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "sim/report/result.h"

namespace tessera {

/// One row per operation in execution order, as `layers` of the JSON (numbers of one execution),
/// preceded by chip and workload, with one column `stall_CAUSE` per cause; the columns
/// `error_...` are empty where no error was studied. RFC 4180 quoting, lines
/// end in "\n". Deterministic.
std::string to_csv(const RunResult& run);
/// The same of a report's JSON. Throws nlohmann's exceptions where a key is missing.
std::string report_csv(const nlohmann::ordered_json& report);

/// Text as one field of a CSV line, quoted where RFC 4180 asks for it.
std::string csv_field(const std::string& text);

}  // namespace tessera
