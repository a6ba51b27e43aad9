#include "sim/regression/suite.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "sim/base/error.h"
#include "sim/config/loader.h"
#include "sim/engine/process_pool.h"
#include "sim/trace/trace_file.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

/// A trace on a chip before it is run. An empty chip: the one the trace was lowered for.
struct Case {
  std::string trace, chip;
};

bool is_trace(const fs::path& path) {
  return path.extension() == ".trace" || path.extension() == ".ttb";
}

std::vector<Case> cases_of(const Suite& suite) {
  std::vector<Case> cases;
  for (const std::string& trace : suite.traces) {
    const auto found = suite.baseline.traces.find(trace);
    if (found == suite.baseline.traces.end() || found->second.empty()) {
      cases.push_back({trace, ""});
      continue;
    }
    for (const auto& [chip, measurement] : found->second) cases.push_back({trace, chip});
  }
  return cases;
}

/// A baseline of one case: how its measurement crosses the pipe from the process that took it.
std::string packed(const CaseResult& result) {
  Baseline one;
  one.traces[result.trace][result.chip] = result.is;
  return to_text(one);
}

/// What load_chip() takes for a chip of the baseline.
std::string chip_of(const Suite& suite, const std::string& chip) {
  const bool is_path = chip.find('/') != std::string::npos || fs::path(chip).extension() == ".yaml";
  return is_path ? (fs::path(suite.folder) / chip).string() : chip;
}

/// Runs in a process of its own; the answer is 'D' and the result, or 'F' and what went wrong.
std::string run_case(const Suite& suite, const Case& which, const SuiteOptions& options) {
  try {
    CaseResult result;
    result.trace = which.trace;
    result.chip = which.chip;
    const Trace trace = read_trace((fs::path(suite.folder) / which.trace).string());
    if (result.chip.empty()) {
      if (trace.chip.empty())
        throw InputError("chip", "the trace does not say which chip it was lowered for",
                         fmt::format("name one in {}, {{\"CHIP\": {{}}}}", baseline_name));
      result.chip = trace.chip;
    }
    const ChipConfig chip = load_chip(chip_of(suite, result.chip), {}, options.chip_dirs);
    result.is = measure(trace, chip);
    return "D" + packed(result);
  } catch (const std::exception& error) {
    return std::string("F") + error.what();
  }
}

CaseResult result_of(const Case& which, const ProcessAnswer& answer) {
  CaseResult result;
  result.trace = which.trace;
  result.chip = which.chip;
  if (!answer.failure.empty() || answer.text[0] != 'D') {
    result.status = CaseStatus::failed;
    result.failure =
        answer.failure.empty() ? answer.text.substr(1) : "the simulation " + answer.failure;
    return result;
  }
  const Baseline one = parse_baseline(std::string_view(answer.text).substr(1), which.trace);
  const auto& [chip, measurement] = *one.traces.begin()->second.begin();
  result.chip = chip;
  result.is = measurement;
  return result;
}

}  // namespace

Suite read_suite(const std::string& folder) {
  Suite suite;
  suite.folder = folder;
  std::error_code error;
  if (!fs::is_directory(folder, error))
    throw InputError("DIR", fmt::format("'{}' is no folder", folder),
                     "give a folder with traces and their baseline");
  const fs::recursive_directory_iterator all(folder, error), end;
  if (error)
    throw InputError("DIR", fmt::format("'{}' cannot be read: {}", folder, error.message()),
                     "give a folder that may be read");
  for (auto entry = all; entry != end; entry.increment(error)) {
    if (error) break;
    if (is_trace(entry->path()) && !entry->is_directory(error))
      suite.traces.push_back(entry->path().lexically_relative(folder).generic_string());
  }
  std::sort(suite.traces.begin(), suite.traces.end());
  const std::string file = (fs::path(folder) / baseline_name).string();
  if (fs::exists(file, error)) {
    std::ifstream stream(file, std::ios::binary);
    std::ostringstream text;
    if (!stream || !(text << stream.rdbuf()))
      throw InputError({file, 0}, "", "cannot be read", "give a baseline that may be read");
    suite.baseline = parse_baseline(text.str(), file);
  }
  if (suite.traces.empty() && suite.baseline.traces.empty())
    throw InputError("DIR", fmt::format("'{}' holds no traces", folder),
                     "put *.trace or *.ttb files there, as `tessera lower` writes them");
  return suite;
}

std::vector<std::string> files_of(const Suite& suite, const std::vector<std::string>& chip_dirs) {
  std::set<std::string> chips;
  std::vector<std::string> files;
  for (const std::string& trace : suite.traces)
    files.push_back((fs::path(suite.folder) / trace).string());
  for (const auto& [trace, by_chip] : suite.baseline.traces)
    for (const auto& [chip, measurement] : by_chip) chips.insert(chip_of(suite, chip));
  for (const std::string& chip : chips) {
    const std::vector<std::string> read = chip_files(chip, chip_dirs);
    files.insert(files.end(), read.begin(), read.end());
  }
  return files;
}

std::size_t case_count(const Suite& suite) { return cases_of(suite).size(); }

std::vector<CaseResult> run_suite(const Suite& suite, const SuiteOptions& options) {
  const std::vector<Case> cases = cases_of(suite);
  std::vector<CaseResult> results(cases.size());
  std::size_t done = 0;
  run_processes(
      cases.size(), options.jobs, [&](std::size_t i) { return run_case(suite, cases[i], options); },
      [&](std::size_t i, const ProcessAnswer& answer) {
        results[i] = result_of(cases[i], answer);
        options.progress(++done);
        return AfterAnswer::go_on;
      });
  for (CaseResult& result : results) {
    const auto trace = suite.baseline.traces.find(result.trace);
    if (trace != suite.baseline.traces.end()) {
      const auto chip = trace->second.find(result.chip);
      if (chip != trace->second.end()) result.was = chip->second;
    }
    if (!result.is) continue;
    if (result.was) {
      compare(result, options.tolerances);
    } else {
      result.status = CaseStatus::added;
    }
  }
  for (const auto& [trace, chips] : suite.baseline.traces) {
    if (std::binary_search(suite.traces.begin(), suite.traces.end(), trace)) continue;
    for (const auto& [chip, measurement] : chips) {
      CaseResult result;
      result.trace = trace;
      result.chip = chip;
      result.status = CaseStatus::missing;
      result.was = measurement;
      results.push_back(std::move(result));
    }
  }
  std::stable_sort(results.begin(), results.end(), [](const CaseResult& a, const CaseResult& b) {
    return std::pair(a.trace, a.chip) < std::pair(b.trace, b.chip);
  });
  return results;
}

Baseline agreed(const std::vector<CaseResult>& results) {
  Baseline baseline;
  for (const CaseResult& result : results) {
    if (result.is) baseline.traces[result.trace][result.chip] = result.is;
  }
  return baseline;
}

}  // namespace tessera
