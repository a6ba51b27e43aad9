#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/base/cause.h"
#include "sim/config/chip_config.h"
#include "sim/trace/trace.h"

namespace tessera {

/// What a trace on a chip is held to, beside its core-cycles by cause.
enum class Metric : std::uint8_t {
  cycles,
  time_ns,  ///< at the clock that the power cap allowed
  flops,
  hbm_read_bytes,
  hbm_write_bytes,
  l2_read_bytes,
  l2_hit_bytes,
  energy_uj,
};
constexpr std::size_t metric_count = 8;
/// The key of baselines and JSON, e.g. "hbm_read_bytes".
std::string_view name(Metric metric);

/// What one trace did on one chip, in whole numbers: equal runs are equal to the bit.
struct Measurement {
  std::string trace_digest;  ///< of what the trace executes; its names do not count
  std::string chip_digest;   ///< of the chip's values
  std::array<std::int64_t, metric_count> metrics{};
  CoreCycles core_cycles{};
  /// Cycles of each operation, repeats included, where the trace has several; in execution order.
  std::vector<std::pair<std::string, std::int64_t>> ops;

  std::int64_t operator[](Metric metric) const { return metrics[static_cast<std::size_t>(metric)]; }
  bool operator==(const Measurement& o) const {
    return trace_digest == o.trace_digest && chip_digest == o.chip_digest && metrics == o.metrics &&
           core_cycles == o.core_cycles && ops == o.ops;
  }
};

/// Verifies the trace for the chip and simulates it. Throws InputError for a trace that is not
/// sound on the chip, and what simulate() throws.
Measurement measure(const Trace& trace, const ChipConfig& chip);

}  // namespace tessera
