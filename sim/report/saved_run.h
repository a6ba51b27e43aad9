#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sim/report/figures.h"

namespace tessera {

/// One operation of a saved run: the numbers of one execution.
struct SavedOperation {
  std::string name, kind, precision, bound;
  std::int64_t repeat = 1, cycles = 0;
  double time_us = 0, time_share = 0, tflops = 0, hbm_gbps = 0, roofline_fraction = 0;
  Stalls stalls{};

  /// Of all its executions.
  double total_us() const { return time_us * static_cast<double>(repeat); }
};

/// The JSON that `tessera run --json` wrote, read back.
struct SavedRun {
  std::string chip, workload, digest, bound;
  Stalls stalls{};
  std::vector<SavedOperation> operations;
  nlohmann::ordered_json json;  ///< all of it

  double number(const char* key) const { return json.at(key).get<double>(); }
};

/// Reads a report of this schema. Throws InputError: no such file, no JSON, another schema, a key
/// that is missing, of another kind or negative.
SavedRun read_saved_run(const std::string& path);

/// For people: what the run says. Lines are at most `width` characters, names aside.
std::string to_text(const SavedRun& run, int width = 100);

}  // namespace tessera
