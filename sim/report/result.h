#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/cause.h"
#include "sim/base/units.h"

namespace tessera {

enum class Bound : std::uint8_t { compute, hbm, l2, noc, latency, link };
std::string_view name(Bound bound);

/// What one operation did, summed over its kernels, for one execution.
struct OpResult {
  std::string name, kind, precision;
  std::int64_t repeat = 1;  ///< times this result counts in the run's totals
  Cycles cycles;            ///< launch gap included
  Flops flops;              ///< on the tensor core, or on the vector unit if it has none
  Flops tensor_flops, vector_flops;
  Bytes hbm_read, hbm_write;
  Bytes l2_read, l2_hit;         ///< read from L2 by the cores; of which it had
  Bytes scratchpad_bytes;        ///< read by the tensor core
  CoreCycles core_cycles{};      ///< sums to cycles * cores
  double roofline_us = 0;        ///< time at the bound: max(flops/peak, compulsory bytes/bandwidth)
  Bound bound = Bound::latency;  ///< what the simulated time was spent on most
  double energy_j = 0;
};

/// One simulated workload.
struct RunResult {
  std::string tool_version, chip, workload, digest;
  double clock_mhz = 0;
  int cores = 0;
  double peak_flops_per_cycle = 0;  ///< of the chip, in the workload's dominant format
  double hbm_peak_gbps = 0;
  std::vector<OpResult> ops;            ///< in execution order
  std::int64_t simulated_sections = 0;  ///< how many were simulated ...
  std::int64_t reused_sections = 0;     ///< ... and how many took an identical one's result
  double power_w = 0;
  std::vector<std::string> notes;  ///< what the reader should know (reuse, oversubscription)
  struct Simulator {
    double wall_s = 0;
    std::int64_t events = 0;
    std::int64_t simulated_cycles = 0;
    std::int64_t peak_rss_bytes = 0;
  } simulator;
};

}  // namespace tessera
