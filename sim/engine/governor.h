#pragma once

#include "sim/config/chip_config.h"
#include "sim/report/result.h"
#include "sim/trace/trace.h"

namespace tessera {

/// Switching activity of a stretch of work.
struct Activity {
  double fp16_flops = 0, tf32_flops = 0, fp8_flops = 0, vector_flops = 0;
  double scratchpad_bytes = 0, l2_bytes = 0, hbm_bytes = 0;
};

/// Dynamic energy in joules at `clock_mhz`:
///   E = sum(operations * pJ) * (clock / boost)^voltage_exponent + hbm_bytes * pJ
/// The core's voltage falls with its clock; DRAM has its own supply.
double dynamic_energy_j(const Activity& activity, const PowerConfig& power,
                        const ClockConfig& clock, double clock_mhz);

/// The clock a sustained run settles at: the highest in [clock.min_mhz, clock.core_mhz] for which
///   power.idle_w + E(clock) / T(clock) <= power.cap_w
/// E and T are estimated per operation before the simulation, from its record: T = 1/0.9 of the
/// roofline plus the launch gap, E from its FLOPs and compulsory bytes, with L2 and scratchpad
/// traffic of a 128 x 256 output tile, a tenth of a GEMM's L2 traffic from memory. Source of the
/// behaviour: H100 SXM at 700 W runs dense bf16 GEMM at 1560-1600 MHz instead of 1980
/// (docs/timing-model/power.md).
double sustained_clock_mhz(const Trace& trace, const ChipConfig& chip);

}  // namespace tessera
