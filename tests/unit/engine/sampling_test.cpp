#include "sim/engine/sampling.h"

#include <catch2/catch.hpp>
#include <numeric>

namespace tessera {
namespace {

constexpr std::int64_t cores = 4;

std::int64_t& of(KernelRecord& kernel, Cause cause) {
  return kernel.core_cycles[static_cast<std::size_t>(cause)];
}

/// A kernel of `cycles`, of which its four cores wait `hbm` for memory, together, and multiply for
/// the rest.
KernelRecord kernel(std::int64_t start, std::int64_t cycles, std::int64_t hbm) {
  KernelRecord k;
  k.start = Cycles(start);
  k.end = Cycles(start + cycles);
  k.cycles = Cycles(cycles);
  of(k, Cause::hbm) = hbm;
  of(k, Cause::tensor_core) = cores * cycles - hbm;
  k.l2.read_bytes = 10 * cycles;
  k.cores.tensor_flops = 100 * cycles;
  return k;
}

std::int64_t charged(const KernelRecord& k) {
  return std::accumulate(k.core_cycles.begin(), k.core_cycles.end(), std::int64_t{0});
}

TEST_CASE("The whole is the longer run and w/d times what lies between the runs") {
  SampledSection sample;
  sample.times = {2.5, 0};
  const std::vector<KernelRecord> shorter = {kernel(0, 100, 40), kernel(110, 50, 0)};
  const std::vector<KernelRecord> longer = {kernel(0, 140, 60), kernel(150, 52, 0)};
  std::vector<KernelRecord> whole = extrapolated(sample, shorter, longer);
  REQUIRE(whole.size() == 2);
  CHECK(whole[0].cycles.value == 140 + 100);
  CHECK(of(whole[0], Cause::hbm) == 60 + 50);
  CHECK(charged(whole[0]) == cores * 240);
  CHECK(whole[0].l2.read_bytes == 2400);
  CHECK(whole[0].cores.tensor_flops == 24000);
  CHECK(whole[0].end.value == 240);
  // A whole kernel is that of the longer run, as far behind the one before as there.
  CHECK(whole[1].cycles.value == 52);
  CHECK(whole[1].start.value == 250);
  CHECK(whole[1].end.value == 302);
}

TEST_CASE("No count of the whole is below zero, and core-cycles are cycles times cores") {
  SampledSection sample;
  sample.times = {30.3};
  // Waiting becomes less from run to run: extrapolated it would be negative.
  std::vector<KernelRecord> whole =
      extrapolated(sample, {kernel(0, 101, 50)}, {kernel(0, 142, 43)});
  CHECK(of(whole[0], Cause::hbm) == 0);
  CHECK(whole[0].cycles.value == 142 + 1242);
  CHECK(charged(whole[0]) == cores * whole[0].cycles.value);
}

TEST_CASE("At another clock only what waits for memory or links takes other cycles") {
  std::vector<KernelRecord> kernels = {kernel(0, 1000, 800), kernel(1010, 500, 0)};
  of(kernels[0], Cause::link) = 400;
  of(kernels[0], Cause::tensor_core) -= 400;
  kernels = at_other_clock(kernels, 1.1);
  // 1200 of 4000 core-cycles, a tenth more of them on each of four cores.
  CHECK(kernels[0].cycles.value == 1030);
  CHECK(of(kernels[0], Cause::hbm) == 880);
  CHECK(of(kernels[0], Cause::link) == 440);
  CHECK(of(kernels[0], Cause::tensor_core) == 2800);
  CHECK(kernels[0].l2.read_bytes == 10000);
  CHECK(kernels[1].start.value == 1040);
  CHECK(kernels[1].cycles.value == 500);
}

TEST_CASE("A glimpse is taken in proportion to the work, but for what a kernel begins with") {
  ChipConfig chip;
  chip.launch.gap_us = 1;
  chip.clock.core_mhz = 100;
  SampledSection sample;
  sample.glimpse_share = {0.25, 1};
  // 1 us of gap and 2 us of beginning are 300 cycles.
  const std::vector<KernelRecord> whole =
      in_proportion(sample, chip, {kernel(0, 700, 0), kernel(710, 400, 0)});
  CHECK(whole[0].cycles.value == 300 + 1600);
  CHECK(whole[0].cores.tensor_flops == 4 * 70000);
  CHECK(whole[1].cycles.value == 400);
  CHECK(whole[1].start.value == 710 + 1200);
}

}  // namespace
}  // namespace tessera
