// Speed of the datapath on one core: conversions and emulated GEMMs, beside what other emulators
// publish. Rates are the best of several repeats, because other programs only ever slow one down.

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "sim/base/random.h"
#include "sim/datapath/cast.h"
#include "sim/datapath/gemm.h"

using namespace tessera;

namespace {

/// Best processor seconds of one call of `work`: time spent waiting for a core does not count.
double seconds(const std::function<void()>& work) {
  double best = 1e30;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const std::clock_t begin = std::clock();
    work();
    best = std::min(best, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  }
  return best;
}

/// Roughly normal values: the sum of four uniform ones, scaled to unit variance.
std::vector<float> normal_values(std::int64_t n, std::uint64_t seed) {
  const Random random(seed);
  std::vector<float> values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i) {
    double sum = 0;
    for (const std::uint32_t bits : random.block(i)) sum += bits * 0x1p-32 - 0.5;
    values[i] = static_cast<float>(sum * 1.7320508);
  }
  return values;
}

void bench_casts() {
  constexpr std::int64_t n = 1 << 22;
  const std::vector<float> values = normal_values(n, 1);
  std::vector<std::uint8_t> codes(values.size());
  std::vector<std::uint16_t> half_codes(values.size());
  fmt::print("FP32 to a narrower format, nearest even, saturating (G elements/s)\n");
  for (const Format format :
       {Format::e4m3, Format::e5m2, Format::e2m1, Format::fp16, Format::bf16}) {
    fmt::print("  {:<6}", name(format));
    for (const Isa isa : supported_isas()) {
      const double s = seconds([&] {
        if (bits(format) == 16) {
          encode(format, Overflow::saturate, values.data(), half_codes.data(), n, isa);
        } else {
          encode(format, Overflow::saturate, values.data(), codes.data(), n, isa);
        }
      });
      fmt::print("  {} {:6.2f}", name(isa), n / s * 1e-9);
    }
    fmt::print("\n");
  }
  fmt::print(
      "  peers: CPFloat 0.51 (E4M3, measured on the reference machine), ml_dtypes 1.3 "
      "(E5M2, published)\n\n");
}

void bench_gemm(const std::string& unit_name, Accumulator accumulator, int promote_every,
                std::int64_t m, std::int64_t n, std::int64_t k) {
  const Unit& unit = find_unit(unit_name);
  std::vector<float> a = normal_values(m * k, 2), b = normal_values(k * n, 3);
  for (std::vector<float>* values : {&a, &b})
    round_to(unit.input, Overflow::saturate, values->data(), values->data(),
             static_cast<std::int64_t>(values->size()));
  std::vector<float> d(static_cast<std::size_t>(m * n));
  Gemm g;
  g.m = m;
  g.n = n;
  g.k = k;
  g.a = a.data();
  g.b = b.data();
  g.d = d.data();
  g.accumulator = accumulator;
  g.promote_every = promote_every;
  fmt::print("  {:<10} {} {:<8} {:>4}x{:>4}x{:>4}", unit_name,
             accumulator == Accumulator::fp16 ? "f16" : "f32",
             promote_every > 0 ? fmt::format("promote{}", promote_every) : "fast", m, n, k);
  for (const Isa isa : supported_isas()) {
    if (isa == Isa::portable) g.m = std::min<std::int64_t>(m, 16);  // enough at its speed
    const double s = seconds([&] { gemm(unit, g, isa); });
    fmt::print("  {} {:6.2f}", name(isa),
               static_cast<double>(g.m) * static_cast<double>(n * k) / s * 1e-9);
    g.m = m;
  }
  fmt::print("  ({})\n", gemm_method(unit, accumulator));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "gemv") {
    bench_gemm("h100.e4m3", Accumulator::fp32, 0, 16, 512, 4096);
    return 0;
  }
  bench_casts();
  fmt::print("Emulated GEMMs (G products/s)\n");
  bench_gemm("h100.e4m3", Accumulator::fp32, 0, 512, 512, 4096);
  bench_gemm("h100.e4m3", Accumulator::fp32, 128, 512, 512, 4096);
  bench_gemm("h100.e5m2", Accumulator::fp32, 0, 512, 512, 2048);
  bench_gemm("h100.e4m3", Accumulator::fp16, 0, 512, 512, 2048);
  bench_gemm("ada.e4m3", Accumulator::fp32, 0, 512, 512, 2048);
  bench_gemm("h100.fp16", Accumulator::fp32, 0, 512, 512, 2048);
  bench_gemm("h100.fp16", Accumulator::fp16, 0, 512, 512, 2048);
  bench_gemm("h100.bf16", Accumulator::fp32, 0, 512, 512, 2048);
  bench_gemm("b200.e4m3", Accumulator::fp32, 0, 512, 512, 2048);
  bench_gemm("a100.fp16", Accumulator::fp32, 0, 512, 512, 2048);
  bench_gemm("v100.fp16", Accumulator::fp32, 0, 512, 512, 2048);
  bench_gemm("h100.e4m3", Accumulator::fp32, 0, 16, 512, 4096);
  fmt::print(
      "  peers: MMA-Sim scalar Python, estimated at 1e-5 to 1e-4; a C emulator of the A100's "
      "BF16, \"about 500x slower than GPU\"\n");
}
