#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/cause.h"
#include "sim/base/units.h"
#include "sim/report/policy_result.h"

namespace tessera {

enum class Bound : std::uint8_t { compute, hbm, l2, noc, latency, link };
std::string_view name(Bound bound);

/// How far numbers are from what they should be, over a number of outputs.
struct ErrorMeasure {
  double rel_rmse = 0;      ///< RMS of the error / RMS of the reference
  double sqnr_db = 0;       ///< -20 log10(rel_rmse); 0 where there is no error
  double max_over_rms = 0;  ///< largest error seen / RMS of the reference
};

/// What rounding an operand to its format met.
struct OperandStatistics {
  double amax = 0;                 ///< largest magnitude
  double underflow = 0;            ///< share of the elements that were not 0 and became 0
  double overflow = 0;             ///< share of the elements that were clipped
  double dynamic_range = 0;        ///< log2 of the largest over the smallest non-zero magnitude
  double block_dynamic_range = 0;  ///< the largest such range of a stretch along k
};

/// Numerical error of one operation. The first three are its own, given its input as it is; they
/// are all zero for operations without a matrix product.
struct OpError {
  bool studied = false;
  ErrorMeasure quantisation;  ///< operands rounded to their formats, arithmetic exact
  ErrorMeasure accumulation;  ///< what the tensor core's sums lose on those operands
  ErrorMeasure total;         ///< both, and the rounding of the result
  ErrorMeasure propagated;    ///< of the result, with the error its input already had
  /// 95 % confidence intervals of the relative RMSE, [estimate, estimate] where all was computed.
  double total_low = 0, total_high = 0;
  double propagated_low = 0, propagated_high = 0;
  OperandStatistics input, weight;  ///< of attention: queries, keys
  std::int64_t outputs = 0;         ///< of the operation ...
  std::int64_t sampled = 0;         ///< ... and how many of them were computed
};

/// The numerical study of a run; `studied` is false where there was none.
struct PrecisionResult {
  bool studied = false;
  std::uint64_t seed = 0;
  std::string tensors;  ///< "synthetic", or the folder the tensors came from
  std::string recipe;   ///< how operands are scaled
  bool exact = false;   ///< every output was computed
  std::int64_t sampled_tokens = 0, tokens = 0;
  std::int64_t evaluated_layers = 0, layers = 0;
  /// Error of the residual stream behind the first decoder layer and behind the last one
  /// (extrapolated where fewer were evaluated), each token relative to its own length.
  double layer_output = 0, layer_output_low = 0, layer_output_high = 0;
  double output = 0;
  std::vector<std::string> notes;
};

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
  OpError error;
};

/// What memory, L2, cores and links did in one stretch of time.
struct ActivityBin {
  std::int64_t hbm_read = 0, hbm_write = 0;                    ///< bytes
  std::int64_t l2_read = 0, l2_hit = 0, l2_write = 0;          ///< bytes
  std::int64_t fp16_flops = 0, tf32_flops = 0, fp8_flops = 0;  ///< tensor cores; fp16: and bf16
  std::int64_t vector_flops = 0;
  std::int64_t scratchpad_bytes = 0;  ///< read by the tensor cores
  std::int64_t link_bytes = 0;        ///< sent to other chips
  std::int64_t exchange_bytes = 0;    ///< of the chip's memory, that exchanges read and write

  std::int64_t tensor_flops() const { return fp16_flops + tf32_flops + fp8_flops; }
};

/// When a kernel of a section ran, the launch gap before it left out.
struct KernelSpan {
  std::string name;
  std::int64_t op = 0;  ///< index in RunResult::ops
  Cycles start, end;
};

/// A section over time. One of several executions (`repeat`): all are alike.
struct SectionActivity {
  std::string name;
  std::int64_t repeat = 1;
  Cycles cycles;
  std::vector<KernelSpan> kernels;
  Picoseconds bin_width;  ///< of each bin but the last, which ends with the section
  std::vector<ActivityBin> bins;
  std::vector<double> energy_j;  ///< of each bin, idle power included
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
  double power_w = 0, power_cap_w = 0;
  std::vector<SectionActivity> activity;  ///< in execution order; empty where it was not asked for
  PrecisionResult precision;
  PolicyResult policy;
  std::vector<std::string> notes;  ///< what the reader should know (reuse, oversubscription)
  struct Simulator {
    double wall_s = 0;
    std::int64_t events = 0;
    std::int64_t simulated_cycles = 0;
    std::int64_t peak_rss_bytes = 0;
  } simulator;
};

}  // namespace tessera
