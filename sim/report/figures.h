#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/report/result.h"

namespace tessera {

/// Fractions of core-cycles by Cause. They sum to exactly 1 (as doubles, in any order),
/// or are all 0 where no core-cycle was simulated.
using Stalls = std::array<double, cause_count>;
Stalls fractions(const CoreCycles& core_cycles);

/// What the report prints of one operation or of a whole run: sums, and every ratio there is.
/// A ratio whose denominator is 0 is 0. Sums that do not fit 64 bits saturate.
struct Figures {
  std::int64_t repeat = 1;  ///< of an operation; 1 for the run
  std::int64_t cycles = 0;
  double time_us = 0;  ///< cycles at the run's clock
  std::int64_t flops = 0, tensor_flops = 0;
  double tflops = 0;                   ///< 10^12 FLOP/s over the time
  double tensor_core_utilization = 0;  ///< tensor FLOPs over what the peak allows in the cycles
  std::int64_t hbm_read = 0, hbm_write = 0;  ///< bytes
  double hbm_gbps = 0;                       ///< read and written, 10^9 byte/s
  double hbm_utilization = 0;                ///< of the peak
  std::int64_t l2_read = 0, l2_hit = 0;      ///< bytes
  double l2_hit_rate = 0;                    ///< of bytes read from L2; 0 where nothing was read
  double roofline_us = 0;
  double roofline_fraction = 0;  ///< roofline_us / time_us
  double time_share = 0;         ///< of the run's time, repeats included
  double energy_j = 0;
  double power_w = 0;  ///< mean: energy_j over the time
  CoreCycles core_cycles{};
  Stalls stalls{};
  Bound bound = Bound::latency;

  std::int64_t hbm_bytes() const;
};

/// Of each of run.ops: the numbers of one execution; only time_share counts the repeats.
std::vector<Figures> op_figures(const RunResult& run);
/// The run: every operation weighed by its repeat. Its bound is the one its operations spent the
/// most cycles at (the first in declaration order among equals).
Figures figures(const RunResult& run);

/// "layer.norm" of "layer[7].norm", "layer[1-46].norm" and "layer[0,47][1].norm": the name without
/// the number of its section among equal ones; a name of another form as it is.
std::string unnumbered(const std::string& name);

/// Operations of the same name, kind and precision taken together, in order of first appearance:
/// what a person reads of a run whose identical layers were all simulated. The number of a repeated
/// section is no part of the name: "layer[7].norm" is one of "layer.norm".
struct OpGroup {
  std::string name;
  const OpResult* op = nullptr;  ///< the first of them
  Figures total;                 ///< over all of them and their repeats; total.repeat = executions
};
std::vector<OpGroup> group_ops(const RunResult& run);

/// Peak TFLOP/s of the chip at the run's clock, in the run's dominant format.
double peak_tflops(const RunResult& run);

}  // namespace tessera
