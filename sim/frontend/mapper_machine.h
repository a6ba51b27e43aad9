#pragma once

#include "sim/config/chip_config.h"
#include "sim/trace/trace.h"

namespace tessera {

/// The rates and latencies of a chip that estimates need, in core cycles.
struct MachineRates {
  explicit MachineRates(const ChipConfig& chip);

  double cores;
  double l2_latency;   ///< a load that hits, half near and half far
  double hbm_latency;  ///< a load that misses
  double hbm_bytes;    ///< per cycle, as streams reach it
  double l2_read_bytes, l2_write_bytes;
  double port_read_bytes, port_write_bytes;  ///< of one core
  double in_flight_bytes;                    ///< of one core
  double l2_capacity;                        ///< for data that all cores share
  double launch_gap;  ///< end of a kernel to the first instruction of the next
};

/// FP32-lane cycles of one element of `function`, or special-function cycles if those are more.
double vector_cycles(VectorFunction function, const VectorUnitConfig& unit);

}  // namespace tessera
