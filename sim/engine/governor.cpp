#include "sim/engine/governor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "sim/frontend/roofline.h"

namespace tessera {
namespace {

// A first guess of a kernel's time, which the simulation corrects: what it reaches of its roofline,
// and how long it takes to begin and to end. In attention, the vector unit and the tensor cores
// mostly take turns, and a cache is written before it is read: about so many times the time of
// each.
constexpr double achieved_share = 0.75;
constexpr double begin_and_end_us = 2;
constexpr double attention_compute = 1.2, attention_vector = 3, attention_memory = 3;
// FLOP per byte of 16-bit operands for an output tile of 128 x 256: 2*128*256 / ((128+256)*2), and
// for the two m64n256k16 instructions that read them from the scratchpad: 2*64*256 / ((64+256)*2).
constexpr double flops_per_l2_byte = 85.3, flops_per_scratchpad_byte = 51.2;
// Share of the L2 traffic of a GEMM larger than the L2 that comes from memory.
constexpr double gemm_miss_share = 0.1;

double about_us(const OpRecord& op, const ChipConfig& chip) {
  const RooflinePoint point = roofline(op, chip, chip.clock.core_mhz);
  if (op.kind != "attention") return point.us() / achieved_share;
  const double vector_us =
      static_cast<double>(op.vector_flops.value) /
      (2.0 * chip.core.count * chip.vector_unit.fma_per_cycle * chip.clock.core_mhz);
  return attention_compute * point.compute_us + attention_vector * vector_us +
         attention_memory * point.memory_us;
}

/// The highest clock whose power is within `limit_w`, or the lowest there is.
double highest_clock_mhz(const PowerProfile& profile, const ChipConfig& chip, double limit_w) {
  double low = chip.clock.min_mhz, high = chip.clock.core_mhz;
  if (power_w(profile, chip, high) <= limit_w) return high;
  while (high - low > 0.01) {
    const double middle = (low + high) / 2;
    (power_w(profile, chip, middle) <= limit_w ? low : high) = middle;
  }
  return low;
}

/// Time of one execution in a burst: at `burst_mhz` until the filtered power reaches the cap, then
/// at `sustained_mhz`.
double mean_seconds(const PowerProfile& profile, const ChipConfig& chip, const RunLength& length,
                    double burst_mhz, double sustained_mhz) {
  const PowerConfig& power = chip.power;
  const double fast = profile.seconds_at(burst_mhz), slow = profile.seconds_at(sustained_mhz);
  const double watts = power_w(profile, chip, burst_mhz);
  double reach_s = std::numeric_limits<double>::infinity();
  if (watts > power.cap_w) {
    reach_s = 1e-3 * power.window_ms * std::log((watts - power.idle_w) / (watts - power.cap_w));
  }
  if (length.repetitions > 0) {
    const double at_burst = std::min(reach_s / fast, length.repetitions);
    return (at_burst * fast + (length.repetitions - at_burst) * slow) / length.repetitions;
  }
  const double all_s = length.ms * 1e-3, burst_s = std::min(reach_s, all_s);
  return all_s / (burst_s / fast + (all_s - burst_s) / slow);
}

}  // namespace

void Activity::add_tensor_flops(Format format, double flops) { flops_of(*this, format) += flops; }

void Activity::add_exchange(double sent, double own) {
  link_bytes += sent;
  l2_bytes += own;
  hbm_bytes += own;
}

void Activity::add(const Activity& other, double times) {
  fp16_flops += times * other.fp16_flops;
  tf32_flops += times * other.tf32_flops;
  fp8_flops += times * other.fp8_flops;
  vector_flops += times * other.vector_flops;
  scratchpad_bytes += times * other.scratchpad_bytes;
  l2_bytes += times * other.l2_bytes;
  hbm_bytes += times * other.hbm_bytes;
  link_bytes += times * other.link_bytes;
}

double dynamic_energy_j(const Activity& a, const PowerConfig& power, const ClockConfig& clock,
                        double clock_mhz) {
  const double operands =
      a.fp16_flops * power.fp16_pj_per_flop + a.tf32_flops * power.tf32_pj_per_flop +
      a.fp8_flops * power.fp8_pj_per_flop + a.scratchpad_bytes * power.scratchpad_pj_per_byte +
      a.l2_bytes * power.l2_pj_per_byte;
  const double toggling = a.operands == Operands::zeros ? power.zero_operand_activity : 1;
  const double core = toggling * operands + a.vector_flops * power.vector_pj_per_flop;
  return (core * std::pow(clock_mhz / clock.core_mhz, power.voltage_exponent) +
          a.hbm_bytes * power.hbm_pj_per_byte + a.link_bytes * power.link_pj_per_byte) *
         1e-12;
}

std::vector<double> energy_over_time_j(const std::vector<ActivityBin>& bins, Picoseconds width,
                                       Cycles section, Operands operands, const ChipConfig& chip,
                                       double clock_mhz) {
  const double end_s = static_cast<double>(section.value) / (clock_mhz * 1e6);
  const double width_s = static_cast<double>(width.value) * 1e-12;
  std::vector<double> energy;
  energy.reserve(bins.size());
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const ActivityBin& bin = bins[i];
    Activity activity;
    activity.operands = operands;
    activity.fp16_flops = static_cast<double>(bin.fp16_flops);
    activity.tf32_flops = static_cast<double>(bin.tf32_flops);
    activity.fp8_flops = static_cast<double>(bin.fp8_flops);
    activity.vector_flops = static_cast<double>(bin.vector_flops);
    activity.scratchpad_bytes = static_cast<double>(bin.scratchpad_bytes);
    activity.l2_bytes = static_cast<double>(bin.l2_read + bin.l2_write);
    activity.hbm_bytes = static_cast<double>(bin.hbm_read + bin.hbm_write);
    activity.add_exchange(static_cast<double>(bin.link_bytes),
                          static_cast<double>(bin.exchange_bytes));
    const double from_s = std::min(static_cast<double>(i) * width_s, end_s);
    const double to_s = i + 1 == bins.size() ? end_s : std::min(from_s + width_s, end_s);
    energy.push_back(dynamic_energy_j(activity, chip.power, chip.clock, clock_mhz) +
                     chip.power.idle_w * (to_s - from_s));
  }
  return energy;
}

double PowerProfile::seconds_at(double mhz) const {
  const double fixed = std::min(fixed_seconds, seconds);
  return fixed + (seconds - fixed) * clock_mhz / mhz;
}

double power_w(const PowerProfile& profile, const ChipConfig& chip, double clock_mhz) {
  const double seconds = profile.seconds_at(clock_mhz);
  if (!(seconds > 0)) return chip.power.idle_w;
  return chip.power.idle_w +
         dynamic_energy_j(profile.activity, chip.power, chip.clock, clock_mhz) / seconds;
}

PowerProfile estimated_profile(const Trace& trace, const ChipConfig& chip, Operands operands) {
  PowerProfile profile;
  profile.clock_mhz = chip.clock.core_mhz;
  profile.activity.operands = operands;
  for (const Section& section : trace.sections) {
    const auto repeat = static_cast<double>(section.repeat);
    for (const OpRecord& op : section.ops) {
      Activity activity;
      const auto flops = static_cast<double>(op.tensor_flops.value);
      const double width = bits(op.format) / 16.0;
      activity.add_tensor_flops(op.format, flops);
      // Work of the vector unit alone waits for memory most of its time and never reaches the cap.
      activity.vector_flops = flops > 0 ? static_cast<double>(op.vector_flops.value) : 0;
      const auto compulsory = static_cast<double>((op.compulsory_read + op.compulsory_write).value);
      activity.l2_bytes = std::max(flops * width / flops_per_l2_byte, compulsory);
      activity.hbm_bytes =
          std::max(op.kind == "attention" ? 0 : gemm_miss_share * activity.l2_bytes, compulsory);
      activity.scratchpad_bytes = flops * width / flops_per_scratchpad_byte;
      profile.activity.add(activity, repeat);
      profile.seconds += repeat * about_us(op, chip) * 1e-6;
      const RooflinePoint point = roofline(op, chip, chip.clock.core_mhz);
      if (point.memory_bound()) profile.fixed_seconds += repeat * point.memory_us * 1e-6;
    }
    profile.seconds += repeat * static_cast<double>(section.kernels.size()) *
                       (chip.launch.gap_us + begin_and_end_us) * 1e-6;
  }
  return profile;
}

double governed_clock_mhz(const PowerProfile& profile, const ChipConfig& chip,
                          const RunLength& length) {
  const double sustained = highest_clock_mhz(profile, chip, chip.power.cap_w);
  if (sustained >= chip.clock.core_mhz) return chip.clock.core_mhz;
  double clock = sustained;
  if (!length.is_sustained()) {
    const double peak_w = std::max(chip.power.peak_w, chip.power.cap_w);
    const double burst = highest_clock_mhz(profile, chip, peak_w);
    const double seconds = mean_seconds(profile, chip, length, burst, sustained);
    const double fixed = std::min(profile.fixed_seconds, profile.seconds);
    if (seconds > fixed) clock = profile.clock_mhz * (profile.seconds - fixed) / (seconds - fixed);
    clock = std::clamp(clock, sustained, burst);
  }
  return std::floor(clock);
}

}  // namespace tessera
