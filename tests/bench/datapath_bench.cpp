// Speed of the datapath on one core: conversions and emulated GEMMs, beside what was published of
// other emulators, measured with them on the reference machine, or estimated. Rates are the best of
// several repeats, because other programs only ever slow one down.

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

/// A row with the rate of `work` on each instruction set, in G elements/s.
void print_rates(const std::string& what, std::int64_t n, const std::function<void(Isa)>& work) {
  fmt::print("  {:<28}", what);
  for (const Isa isa : supported_isas())
    fmt::print("  {} {:6.2f}", name(isa),
               static_cast<double>(n) / seconds([&] { work(isa); }) * 1e-9);
  fmt::print("\n");
}

void bench_casts() {
  constexpr std::int64_t n = 1 << 22;
  constexpr Overflow saturate = Overflow::saturate;
  const std::vector<float> values = normal_values(n, 1);
  std::vector<float> decoded(values.size());
  std::vector<std::uint8_t> codes(values.size());
  std::vector<std::uint16_t> half_codes(values.size());
  fmt::print("Conversions of 4 Mi elements, saturating (G elements/s)\n");
  for (const Format format :
       {Format::e4m3, Format::e5m2, Format::e2m1, Format::fp16, Format::bf16}) {
    const bool half = bits(format) == 16;
    print_rates(fmt::format("fp32 to {}", name(format)), n, [&](Isa isa) {
      if (half) {
        encode(format, saturate, values.data(), half_codes.data(), n, isa);
      } else {
        encode(format, saturate, values.data(), codes.data(), n, isa);
      }
    });
    print_rates(fmt::format("{} to fp32", name(format)), n, [&](Isa isa) {
      if (half) {
        decode(format, half_codes.data(), decoded.data(), n, isa);
      } else {
        decode(format, codes.data(), decoded.data(), n, isa);
      }
    });
    print_rates(fmt::format("fp32 rounded to {}", name(format)), n, [&](Isa isa) {
      round_to(format, saturate, values.data(), decoded.data(), n, isa);
    });
  }
  print_rates("fp32 to e4m3, toward zero", n, [&](Isa isa) {
    encode(Format::e4m3, Rounding::toward_zero, saturate, values.data(), codes.data(), n, isa);
  });
  print_rates("fp32 to e4m3, up", n, [&](Isa isa) {
    encode(Format::e4m3, Rounding::up, saturate, values.data(), codes.data(), n, isa);
  });
  print_rates("fp32 to e4m3, stochastic", n, [&](Isa isa) {
    encode_stochastic(Format::e4m3, saturate, Random(1), 0, values.data(), codes.data(), n, isa);
  });
  fmt::print(
      "  peers, one core:\n"
      "    CPFloat    fp32 rounded to e4m3               0.509  (measured on the reference "
      "machine)\n"
      "    CPFloat    the same, stochastic               0.157  (measured on the reference "
      "machine)\n"
      "    ml_dtypes  fp32 to e5m2                       1.3    (published: gfloat's notebook, "
      "0.77 ns an element)\n\n");
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
  fmt::print("  {:<10} {} {:<10} {:>4}x{:>4}x{:>4}", unit_name,
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
      "  peers:\n"
      "    MMA-Sim, scalar Python, one instruction at a time  0.00001 to 0.0001  (estimated from "
      "its "
      "source)\n"
      "    bit-exact emulator of the A100's BF16 in C/OpenMP  \"about 500x slower than GPU\"  "
      "(published)\n");
}
