#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sim/regression/comparison.h"

namespace tessera {

/// How a case moved, in one line: "+4.1 % cycles: waiting for data from DRAM +3.8, no block to run:
/// too few tiles, or the tail +0.3". The causes' parts are percent of all core-cycles, so they add
/// up to the change of cycles. For failed, added and missing cases: what that means.
std::string summary(const CaseResult& result);

/// "36 cases: 33 same, 2 moved, 1 missing".
std::string tally(const std::vector<CaseResult>& results);

/// For a terminal: the tally, and below it every case that is not the same with its numbers.
/// `bold`: headings stand out with ANSI codes.
std::string regression_table(const std::vector<CaseResult>& results, bool bold = false);

/// The same as Markdown, fit for a comment on a merge request; `title` is its heading.
std::string regression_markdown(const std::vector<CaseResult>& results, const std::string& title);

/// JUnit XML: a test case for each case, with a failure where it moved, is added or is missing, and
/// an error where it could not be run. `suite` names the test suite. No times: equal results give
/// equal bytes.
std::string regression_junit(const std::vector<CaseResult>& results, const std::string& suite);

/// {"schema", "folder", "passed", "counts": {STATUS: n}, "cases": [{"trace", "chip", "status",
/// "summary", "cycles", "cycles_was", "change_pct", "trace_changed", "chip_changed", "metrics": [
/// {"name", "was", "is", "change_pct", "beyond_tolerance"}], "causes": [...], "ops": [...]}]};
/// null where there is no number.
nlohmann::ordered_json regression_json(const std::vector<CaseResult>& results,
                                       const std::string& folder);

}  // namespace tessera
