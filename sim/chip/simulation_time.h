#pragma once

#include <cstdint>
#include <systemc>

#include "sim/base/units.h"

namespace tessera {

/// Times in the machine stay below this, 43 minutes at 1.7 GHz, so that no calendar overflows:
/// pipes hold 2^-20 cycles, memories picoseconds. What would last longer is refused.
constexpr Cycles end_of_time{std::int64_t{1} << 42};

/// Converts between cycles of the core clock, picoseconds of memory devices and the simulation
/// kernel's time: the one place where sc_time is built.
///
/// picoseconds(c) = round(c * period), always from the absolute count, so no error accumulates
/// (at 1 ps a GPU clock's period is not a whole number). The period is held as a fixed-point
/// number with 32 fraction bits: exact to 1 ps over 2^32 cycles.
class ClockDomain {
 public:
  /// mhz in [1, 1e5].
  explicit ClockDomain(double mhz)
      : period_(
            static_cast<std::int64_t>(1e6 / mhz * static_cast<double>(1LL << fraction_bits) + 0.5)),
        frequency_(mhz * 1e-6) {}

  Picoseconds picoseconds(Cycles cycles) const {
    return Picoseconds(static_cast<std::int64_t>(
        (static_cast<Wide>(cycles.value) * period_ + (Wide{1} << (fraction_bits - 1))) >>
        fraction_bits));
  }
  /// First cycle that starts at or after `time`.
  Cycles cycles_after(Picoseconds time) const {
    // A guess from below in floating point, then exact steps.
    auto cycle = static_cast<std::int64_t>(static_cast<double>(time.value) * frequency_) - 1;
    while (picoseconds(Cycles(cycle)) < time) ++cycle;
    return Cycles(cycle);
  }
  /// From the kernel's time until `target`, which is not before it, for a notification.
  sc_core::sc_time delay_until(Cycles target) const {
    return to_sc_time(picoseconds(target) - from_sc_time(sc_core::sc_time_stamp()));
  }
  /// The kernel's resolution is its default, 1 ps.
  static sc_core::sc_time to_sc_time(Picoseconds time) {
    return sc_core::sc_time::from_value(static_cast<sc_dt::uint64>(time.value));
  }
  static Picoseconds from_sc_time(const sc_core::sc_time& time) {
    return Picoseconds(static_cast<std::int64_t>(time.value()));
  }

 private:
  __extension__ using Wide = __int128;
  static constexpr int fraction_bits = 32;
  std::int64_t period_;  // ps * 2^32
  double frequency_;     // cycles per ps
};

}  // namespace tessera
