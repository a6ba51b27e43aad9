#include "sim/engine/governor.h"

#include <catch2/catch.hpp>
#include <cmath>

using namespace tessera;

namespace {

/// 1 GHz boost, 100 W cap, 130 W peak, 20 W idle, energy as the square of the clock.
ChipConfig capped_chip() {
  ChipConfig chip;
  chip.clock.core_mhz = 1000;
  chip.clock.min_mhz = 200;
  chip.hbm.bandwidth_gbps = 1000;
  chip.power.cap_w = 100;
  chip.power.peak_w = 130;
  chip.power.window_ms = 10;
  chip.power.idle_w = 20;
  chip.power.fp16_pj_per_flop = 1;
  chip.power.hbm_pj_per_byte = 100;
  chip.power.l2_pj_per_byte = 30;
  chip.power.link_pj_per_byte = 50;
  chip.power.voltage_exponent = 2;
  chip.power.zero_operand_activity = 0.5;
  return chip;
}

/// A millisecond at boost that draws `watts` beyond idle there, none of it memory's.
PowerProfile computing(double watts) {
  PowerProfile profile;
  profile.clock_mhz = 1000;
  profile.seconds = 1e-3;
  profile.activity.fp16_flops = watts * 1e-3 * 1e12;
  return profile;
}

RunLength repeated(double times) {
  RunLength length;
  length.repetitions = times;
  return length;
}

}  // namespace

TEST_CASE("a light load keeps the boost clock, sustained or not") {
  const ChipConfig chip = capped_chip();
  CHECK(governed_clock_mhz(computing(80), chip, {}) == 1000);
  CHECK(governed_clock_mhz(computing(80), chip, repeated(1)) == 1000);
  CHECK(governed_clock_mhz(computing(80.5), chip, {}) < 1000);
}

TEST_CASE("a sustained clock is the highest that holds the cap") {
  const ChipConfig chip = capped_chip();
  const PowerProfile heavy = computing(160);
  const double clock = governed_clock_mhz(heavy, chip, {});
  // 20 + 160 (f/1000)^3 = 100 at 1000 / 2^(1/3).
  CHECK(clock == std::floor(1000 / std::cbrt(2.0)));
  CHECK(power_w(heavy, chip, clock) <= chip.power.cap_w);
  CHECK(power_w(heavy, chip, clock + 1) > chip.power.cap_w);
  CHECK(governed_clock_mhz(computing(1e6), chip, {}) == chip.clock.min_mhz);
}

TEST_CASE("a burst runs at the peak power until the filtered power reaches the cap") {
  const ChipConfig chip = capped_chip();
  const PowerProfile heavy = computing(220);
  const double burst = std::floor(1000 * std::cbrt(110.0 / 220));
  const double sustained = std::floor(1000 * std::cbrt(80.0 / 220));
  // t* = 10 ms ln(110 / 30) = 12.99 ms; a repetition at the burst's clock takes 1.26 ms.
  CHECK(governed_clock_mhz(heavy, chip, repeated(10)) == burst);
  CHECK(governed_clock_mhz(heavy, chip, repeated(11)) < burst);
  CHECK(governed_clock_mhz(heavy, chip, repeated(1e6)) == sustained);
  CHECK(governed_clock_mhz(heavy, chip, {}) == sustained);
  RunLength timed;
  timed.ms = 12.9;
  CHECK(governed_clock_mhz(heavy, chip, timed) == burst);
  timed.ms = 26;
  CHECK(governed_clock_mhz(heavy, chip, timed) ==
        Approx((burst + sustained) / 2).margin(3));  // half the time at each
}

TEST_CASE("the longer a burst, the slower, between its own clock and the sustained one") {
  const ChipConfig chip = capped_chip();
  for (const double watts : {90.0, 150.0, 500.0}) {
    double before = 1e9;
    for (const double times : {1.0, 5.0, 10.0, 12.0, 20.0, 50.0, 1000.0}) {
      const double clock = governed_clock_mhz(computing(watts), chip, repeated(times));
      CHECK(clock <= before);
      CHECK(clock >= governed_clock_mhz(computing(watts), chip, {}));
      before = clock;
    }
  }
}

TEST_CASE("without a peak of its own a burst has the sustained clock") {
  ChipConfig chip = capped_chip();
  chip.power.peak_w = 0;
  CHECK(governed_clock_mhz(computing(160), chip, repeated(1)) ==
        governed_clock_mhz(computing(160), chip, {}));
}

TEST_CASE("operands of zeros take less energy and so run faster under the cap") {
  const ChipConfig chip = capped_chip();
  PowerProfile zeros = computing(300);
  zeros.activity.operands = Operands::zeros;
  CHECK(dynamic_energy_j(zeros.activity, chip.power, chip.clock, 1000) ==
        Approx(0.5 * dynamic_energy_j(computing(300).activity, chip.power, chip.clock, 1000)));
  CHECK(governed_clock_mhz(zeros, chip, {}) > governed_clock_mhz(computing(300), chip, {}));
}

TEST_CASE("memory's part of the time and of the energy does not change with the clock") {
  const ChipConfig chip = capped_chip();
  PowerProfile profile = computing(0);
  profile.activity.hbm_bytes = 0.75e-3 * 1000e9;
  profile.fixed_seconds = 0.75e-3;
  CHECK(profile.seconds_at(500) == Approx(1.25e-3));
  CHECK(dynamic_energy_j(profile.activity, chip.power, chip.clock, 500) ==
        Approx(dynamic_energy_j(profile.activity, chip.power, chip.clock, 1000)));
}

TEST_CASE("of the energy of an exchange only the part of the L2 follows the clock") {
  const ChipConfig chip = capped_chip();
  Activity exchange;
  exchange.add_exchange(7e9, 16e9);
  CHECK(dynamic_energy_j(exchange, chip.power, chip.clock, 1000) ==
        Approx(7e-3 * 50 + 16e-3 * (100 + 30)));
  CHECK(dynamic_energy_j(exchange, chip.power, chip.clock, 500) ==
        Approx(7e-3 * 50 + 16e-3 * (100 + 30 / 4.0)));
  Activity twice;
  twice.add(exchange, 2);
  CHECK(dynamic_energy_j(twice, chip.power, chip.clock, 1000) ==
        Approx(2 * dynamic_energy_j(exchange, chip.power, chip.clock, 1000)));
}

TEST_CASE("the energy of the stretches of a section is the section's") {
  const ChipConfig chip = capped_chip();
  const Picoseconds width(100'000);
  const auto energies = [&](const std::vector<ActivityBin>& bins, std::int64_t cycles) {
    return energy_over_time_j(bins, width, Cycles(cycles), Operands::random, chip, 1000);
  };
  ActivityBin busy;
  busy.fp16_flops = 1'000'000;
  busy.hbm_read = 10'000;
  busy.link_bytes = 1'000;
  const double dynamic = 1e-6 + 1e-6 + 5e-8, idle = 20 * 100e-9;
  CHECK(energies({}, 100).empty());
  // A section of 250 cycles, which are 250 ns.
  const std::vector<double> all = energies({busy, {}, busy}, 250);
  REQUIRE(all.size() == 3);
  CHECK(all[0] == Approx(dynamic + idle));
  CHECK(all[1] == Approx(idle));
  CHECK(all[2] == Approx(dynamic + idle / 2));
  // Behind the end nothing idles; a last stretch that ends too soon takes what is left.
  CHECK(energies({busy, busy}, 80)[0] == Approx(dynamic + idle * 0.8));
  CHECK(energies({busy, busy}, 80)[1] == Approx(dynamic));
  CHECK(energies({busy, {}}, 230)[1] == Approx(idle * 1.3));
}
