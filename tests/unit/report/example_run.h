#pragma once

#include "sim/report/result.h"

namespace tessera::test {

inline std::int64_t& cycles_of(OpResult& op, Cause cause) {
  return op.core_cycles[static_cast<std::size_t>(cause)];
}

/// Two operations on a chip of 2 cores at 1000 MHz (1 cycle = 1 ns), 100 FLOP a cycle, 10 GB/s.
/// gemm: 1000 cycles, once. norm: 500 cycles, counted 3 times. Together 2500 cycles.
inline RunResult example_run() {
  RunResult run;
  run.tool_version = "0.1.0";
  run.chip = "toy";
  run.workload = "a gemm and three norms";
  run.digest = "0123456789abcdef";
  run.clock_mhz = 1000;
  run.cores = 2;
  run.peak_flops_per_cycle = 100;
  run.hbm_peak_gbps = 10;
  run.power_w = 50;
  run.precision.studied = true;
  run.precision.seed = 7;
  run.precision.tensors = "synthetic";
  run.precision.tokens = 2048;
  run.precision.sampled_tokens = 16;
  run.precision.layers = 2;
  run.precision.evaluated_layers = 1;
  run.precision.layer_output = 0.01;
  run.precision.layer_output_low = 0.009;
  run.precision.layer_output_high = 0.011;
  run.precision.output = 0.014;
  run.simulated_sections = 2;
  run.simulator.wall_s = 0.5;
  run.simulator.events = 42;
  run.simulator.simulated_cycles = 1500;
  run.simulator.peak_rss_bytes = 1 << 20;

  OpResult gemm;
  gemm.name = "mlp.up";
  gemm.kind = "linear";
  gemm.precision = "bf16";
  gemm.cycles = Cycles(1000);
  gemm.flops = gemm.tensor_flops = Flops(80000);
  gemm.hbm_read = Bytes(3000);
  gemm.hbm_write = Bytes(1000);
  gemm.l2_read = Bytes(10000);
  gemm.l2_hit = Bytes(7000);
  cycles_of(gemm, Cause::tensor_core) = 1600;
  cycles_of(gemm, Cause::hbm) = 300;
  cycles_of(gemm, Cause::idle) = 100;
  gemm.roofline_us = 0.8;
  gemm.bound = Bound::compute;
  gemm.energy_j = 1;
  gemm.error.studied = true;
  gemm.error.quantisation.rel_rmse = 0.03;
  gemm.error.accumulation.rel_rmse = 0.001;
  gemm.error.total.rel_rmse = 0.04;
  gemm.error.total_low = 0.035;
  gemm.error.total_high = 0.045;
  gemm.error.propagated.rel_rmse = 0.05;
  gemm.error.propagated.sqnr_db = 26;
  gemm.error.input.underflow = 0.25;
  gemm.error.outputs = 4096;
  gemm.error.sampled = 64;
  run.ops.push_back(gemm);

  OpResult norm;
  norm.name = "norm";
  norm.kind = "rmsnorm";
  norm.precision = "bf16";
  norm.repeat = 3;
  norm.cycles = Cycles(500);
  norm.flops = norm.vector_flops = Flops(1000);
  norm.hbm_read = Bytes(2000);
  norm.hbm_write = Bytes(2000);
  norm.l2_read = Bytes(2000);
  cycles_of(norm, Cause::hbm) = 900;
  cycles_of(norm, Cause::launch) = 100;
  norm.roofline_us = 0.4;
  norm.bound = Bound::hbm;
  norm.energy_j = 0.5;
  run.ops.push_back(norm);
  SectionActivity activity;
  activity.name = "layer";
  activity.repeat = 3;
  activity.cycles = Cycles(500);
  activity.kernels.push_back({"norm", 1, Cycles(100), Cycles(500)});
  activity.bin_width = Picoseconds(400'000);
  activity.bins = {{1500, 1000, 1500, 0, 1000, 0}, {500, 1000, 500, 0, 1000, 70}};
  activity.energy_j = {0.375, 0.125};
  run.activity.push_back(activity);
  return run;
}

}  // namespace tessera::test
