#pragma once

#include <cstdint>
#include <vector>

#include "sim/base/units.h"
#include "sim/config/chip_config.h"
#include "sim/report/result.h"
#include "sim/trace/trace.h"

namespace tessera {

// Power and clock (docs/timing-model/power.md). Core units, L2 and network share one clock, whose
// voltage falls with it; DRAM and links have supplies of their own:
//   E(f) = (tensor FLOPs * pJ + vector FLOPs * pJ + scratchpad and L2 bytes * pJ)
//          * (f / clock.core_mhz) ^ voltage_exponent + (memory bytes + link bytes) * pJ
//   P(f) = idle_w + E(f) / T(f)
// A run that goes on forever (sustained) has the highest clock for which P(f) <= cap_w, or the
// lowest there is (min_mhz), whatever it draws there. The power
// controller sees power through a first-order filter of time constant window_ms, so a burst that
// starts from idle may draw up to peak_w, what the regulators deliver, until the filtered power
// reaches the cap; then it runs at the sustained clock:
//   t* = window_ms * ln((P_b - idle_w) / (P_b - cap_w)),  P_b = power at the burst's clock

/// Operands of random data switch about half of the wires at every step; zeros switch few.
enum class Operands : std::uint8_t { random, zeros };

/// Where counts (Activity, ActivityBin) have the tensor cores' FLOPs of a format: fp8_flops,
/// tf32_flops, or fp16_flops, which bf16 shares.
template <class Counts>
auto& flops_of(Counts& counts, Format format) {
  if (format == Format::tf32) return counts.tf32_flops;
  return format == Format::e4m3 || format == Format::e5m2 ? counts.fp8_flops : counts.fp16_flops;
}

/// Switching activity of a stretch of work.
struct Activity {
  double fp16_flops = 0, tf32_flops = 0, fp8_flops = 0, vector_flops = 0;
  double scratchpad_bytes = 0, l2_bytes = 0, hbm_bytes = 0;
  double link_bytes = 0;  ///< sent to other chips
  Operands operands = Operands::random;

  void add_tensor_flops(Format format, double flops);
  /// An exchange that sends `sent` bytes and reads and writes `own` bytes of the chip's memory, by
  /// way of the L2.
  void add_exchange(double sent, double own);
  /// Sums counts; the operands are those of both.
  void add(const Activity& other, double times);
};

/// Dynamic energy in joules at `clock_mhz`, E(f) above. Zero operands leave zero_operand_activity
/// of what tensor cores, scratchpads and L2 switch.
double dynamic_energy_j(const Activity& activity, const PowerConfig& power,
                        const ClockConfig& clock, double clock_mhz);

/// Energy in joules of each stretch of a section's samples, idle power included, at `clock_mhz`:
/// together the section's. `chip` is at its boost clock, to which the energies refer. What is
/// counted behind the section's end takes no idle power.
std::vector<double> energy_over_time_j(const std::vector<ActivityBin>& bins, Picoseconds width,
                                       Cycles section, Operands operands, const ChipConfig& chip,
                                       double clock_mhz);

/// How long a workload is repeated back to back, from an idle chip; neither: without end.
struct RunLength {
  double ms = 0;           ///< > 0: for this time
  double repetitions = 0;  ///< > 0: this often
  bool is_sustained() const { return ms <= 0 && repetitions <= 0; }
};

/// What one execution of a workload does and takes at a clock.
struct PowerProfile {
  Activity activity;
  double clock_mhz = 0;
  double seconds = 0;
  /// Part of the time that does not depend on the clock: what the cores, on average, wait for
  /// memory and for links.
  double fixed_seconds = 0;

  /// Time at another clock: seconds at clock_mhz, less of it as far as it is the core's.
  double seconds_at(double mhz) const;
};
double power_w(const PowerProfile& profile, const ChipConfig& chip, double clock_mhz);

/// The profile of one execution of a trace before it is simulated, from its operations: time =
/// roofline / 0.75 (of attention: a sum over its units), launch gaps and 2 us a kernel; energy from
/// FLOPs and compulsory bytes, with L2 and scratchpad traffic of a 128 x 256 output tile, a tenth
/// of a GEMM's L2 traffic from memory.
PowerProfile estimated_profile(const Trace& trace, const ChipConfig& chip, Operands operands);

/// The mean clock at which the power controller lets `profile` run: whole MHz, in [clock.min_mhz,
/// clock.core_mhz]. Of a burst that meets both limits, the one clock that takes as long as both
/// phases together.
double governed_clock_mhz(const PowerProfile& profile, const ChipConfig& chip,
                          const RunLength& length);

}  // namespace tessera
