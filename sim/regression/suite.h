#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "sim/regression/baseline.h"
#include "sim/regression/comparison.h"

namespace tessera {

/// The traces of a folder with what they took before.
struct Suite {
  std::string folder;
  std::vector<std::string> traces;  ///< *.trace and *.ttb below the folder, sorted, with /
  Baseline baseline;                ///< empty where the folder has none yet
};

/// Finds the traces and reads the baseline. Throws InputError: no folder, one without a trace or a
/// baseline, a malformed baseline.
Suite read_suite(const std::string& folder);

/// The paths of the traces and of the chips' files that run_suite() reads; of a chip that only the
/// trace names, none.
std::vector<std::string> files_of(const Suite& suite, const std::vector<std::string>& chip_dirs);

struct SuiteOptions {
  Tolerances tolerances;
  /// Where chips are found by name.
  std::vector<std::string> chip_dirs;
  /// Cases run at the same time, each in a process of its own. Results do not depend on it.
  int jobs = 1;
  /// Called with the number of cases that have been run.
  std::function<void(std::size_t)> progress = [](std::size_t) {};
};

/// Runs every trace on its chips and compares. A trace's chips are those of its baseline (a name,
/// or a YAML file by its path from the folder); of a trace without one, the chip it was lowered
/// for. In order of traces and chips. What goes wrong with one case is its result and stops no
/// other.
std::vector<CaseResult> run_suite(const Suite& suite, const SuiteOptions& options);

/// How many cases run_suite() will run.
std::size_t case_count(const Suite& suite);

/// The baseline that agrees with these results: without cases that are missing. Precondition: no
/// case failed.
Baseline agreed(const std::vector<CaseResult>& results);

}  // namespace tessera
