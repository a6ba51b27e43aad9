#include "sim/engine/governor.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "sim/frontend/roofline.h"

namespace tessera {
namespace {

constexpr double achieved_share = 0.9;  // of the roofline, by a well-tuned kernel
// FLOP per byte of 16-bit operands for an output tile of 128 x 256: 2*128*256 / ((128+256)*2), and
// for the two m64n256k16 instructions that read them from the scratchpad: 2*64*256 / ((64+256)*2).
constexpr double flops_per_l2_byte = 85.3, flops_per_scratchpad_byte = 51.2;
// Share of the L2 traffic of a GEMM larger than the L2 that comes from memory.
constexpr double gemm_miss_share = 0.1;

struct Estimate {
  OpRecord op;
  double repeat = 0, kernels = 0;
};

double power_at(const std::vector<Estimate>& estimates, const ChipConfig& chip, double clock_mhz) {
  double energy = 0, time = 0;
  for (const Estimate& e : estimates) {
    Activity activity;
    const auto flops = static_cast<double>(e.op.tensor_flops.value);
    const double width = bits(e.op.format) / 16.0;
    (e.op.format == Format::e4m3 || e.op.format == Format::e5m2 ? activity.fp8_flops
     : e.op.format == Format::tf32                              ? activity.tf32_flops
                                                                : activity.fp16_flops) = flops;
    // Work of the vector unit alone waits for memory most of its time and never reaches the cap.
    activity.vector_flops = flops > 0 ? static_cast<double>(e.op.vector_flops.value) : 0;
    const auto compulsory =
        static_cast<double>((e.op.compulsory_read + e.op.compulsory_write).value);
    activity.l2_bytes = std::max(flops * width / flops_per_l2_byte, compulsory);
    activity.hbm_bytes =
        std::max(e.op.kind == "attention" ? 0 : gemm_miss_share * activity.l2_bytes, compulsory);
    activity.scratchpad_bytes = flops * width / flops_per_scratchpad_byte;
    energy += e.repeat * dynamic_energy_j(activity, chip.power, chip.clock, clock_mhz);
    time +=
        e.repeat *
        (roofline(e.op, chip, clock_mhz).us() / achieved_share + e.kernels * chip.launch.gap_us) *
        1e-6;
  }
  return chip.power.idle_w + (time > 0 ? energy / time : 0);
}

}  // namespace

double dynamic_energy_j(const Activity& a, const PowerConfig& power, const ClockConfig& clock,
                        double clock_mhz) {
  const double core =
      a.fp16_flops * power.fp16_pj_per_flop + a.tf32_flops * power.tf32_pj_per_flop +
      a.fp8_flops * power.fp8_pj_per_flop + a.vector_flops * power.vector_pj_per_flop +
      a.scratchpad_bytes * power.scratchpad_pj_per_byte + a.l2_bytes * power.l2_pj_per_byte;
  return (core * std::pow(clock_mhz / clock.core_mhz, power.voltage_exponent) +
          a.hbm_bytes * power.hbm_pj_per_byte) *
         1e-12;
}

double sustained_clock_mhz(const Trace& trace, const ChipConfig& chip) {
  std::vector<Estimate> estimates;
  for (const Section& section : trace.sections) {
    const std::size_t first = estimates.size();
    for (const OpRecord& op : section.ops) {
      estimates.push_back({op, static_cast<double>(section.repeat), 0});
    }
    for (const Kernel& kernel : section.kernels) {
      estimates[first + static_cast<std::size_t>(kernel.op)].kernels += 1;
    }
  }
  if (power_at(estimates, chip, chip.clock.core_mhz) <= chip.power.cap_w)
    return chip.clock.core_mhz;
  double low = chip.clock.min_mhz, high = chip.clock.core_mhz;
  while (high - low > 0.5) {
    const double middle = (low + high) / 2;
    (power_at(estimates, chip, middle) <= chip.power.cap_w ? low : high) = middle;
  }
  return std::floor(low);
}

}  // namespace tessera
