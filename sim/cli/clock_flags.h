#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>

#include "sim/engine/simulation.h"

namespace tessera::cli {

/// --duration of what benchmarks of single operations do: some repetitions to warm up and some to
/// measure, from an idle chip.
constexpr const char* single_op_burst = "12x";

/// Of the verbs that predict tables of measurements.
constexpr const char* no_sampling_help =
    "Simulate long kernels to their end, which takes several times as long";

/// --clock-mhz, --duration and --operands: the state of the chip that a workload meets.
class ClockFlags {
 public:
  /// `duration` is what --duration stands at if it is not given.
  explicit ClockFlags(std::string duration) : default_duration_(std::move(duration)) {}
  void add_to(CLI::App& app);
  /// Throws InputError.
  void apply(SimulationOptions& options) const;

 private:
  std::string default_duration_;
  std::string clock_mhz_, duration_, operands_;
};

/// "sustained", a time ("20ms", "500us", "2s") or a number of repetitions ("12x"). Throws
/// InputError under --duration.
RunLength parse_duration(const std::string& text);

}  // namespace tessera::cli
