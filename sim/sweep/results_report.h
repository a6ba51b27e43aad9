#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "sim/sweep/results.h"

namespace tessera {

/// The value of `schema` in results_json().
constexpr const char* results_schema = "tessera-sweep/1";

/// What a person reads of a sweep: how many points, the Pareto front, the best points of each
/// objective, sensitivities, and what went wrong.
std::string results_text(const SweepResults& results);

/// Everything of it: columns, objectives, points (with `pareto`), sensitivities.
nlohmann::ordered_json results_json(const SweepResults& results);

/// One row per point in the order of ids: id, status, message, bound, pareto, then the columns. A
/// number that is not there is an empty field. RFC 4180 quoting.
std::string results_csv(const SweepResults& results);

/// One JSON object per point and line, with the same keys in every line (null where there is no
/// value): what columnar stores (Parquet) read without a schema.
std::string results_jsonl(const SweepResults& results);

}  // namespace tessera
