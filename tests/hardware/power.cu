#include <chrono>
#include <thread>

#include "tests/hardware/device.cuh"
#include "tests/hardware/nvml.h"

namespace hardware {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

void idle(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

/// Mean time of `repetitions` launches from an idle chip, us.
double burst_us(const Launch& launch, int repetitions) {
  Event begin, end;
  HARDWARE_CHECK(cudaDeviceSynchronize());
  idle(0.5);
  begin.record(nullptr);
  for (int i = 0; i < repetitions; ++i) launch(0, nullptr);
  end.record(nullptr);
  end.wait();
  return end.us_since(begin) / repetitions;
}

void measure_content(Content content, const Nvml& nvml, std::vector<Fact>& facts) {
  const std::string data = content == Content::zeros ? "zeros" : "random data";
  const std::string what = "8192-cubed bf16 GEMM, " + data;
  constexpr double flops = 2.0 * 8192 * 8192 * 8192;
  std::vector<Buffer> buffers;
  const Launch gemm = large_gemm(content, buffers);
  burst_us(gemm, 3);
  for (const int repetitions : {1, 3, 6, 12, 25, 50, 100, 200, 400}) {
    facts.push_back({"burst rate", what + ", " + std::to_string(repetitions) + " from idle",
                     flops / burst_us(gemm, repetitions) * 1e-6, "TFLOP/s"});
  }
  // Sustained: four seconds, readings of the last two.
  const auto began = Clock::now();
  std::vector<double> watts, core, memory;
  double energy = 0, energy_from = 0;
  int done = 0;
  Clock::time_point settled{};
  while (seconds_since(began) < 4) {
    for (int i = 0; i < 20; ++i) gemm(0, nullptr);
    HARDWARE_CHECK(cudaDeviceSynchronize());
    if (seconds_since(began) < 2) continue;
    if (done == 0) {
      settled = Clock::now();
      energy = energy_from = nvml.energy_j();
      done = 1;
      continue;
    }
    done += 20;
    watts.push_back(nvml.power_w());
    core.push_back(nvml.core_clock_mhz());
    memory.push_back(nvml.memory_clock_mhz());
  }
  const double seconds = seconds_since(settled);
  energy = nvml.energy_j() - energy_from;
  facts.push_back({"sustained rate", what, flops * (done - 1) / seconds * 1e-12, "TFLOP/s"});
  if (!nvml.is_there() || watts.empty()) return;
  facts.push_back({"sustained power", what + ", sensor", summary(watts).median, "W"});
  if (energy > 0)
    facts.push_back({"sustained power", what + ", energy counter", energy / seconds, "W"});
  facts.push_back({"sustained core clock", what, summary(core).median, "MHz"});
  facts.push_back({"sustained memory clock", what, summary(memory).median, "MHz"});
}

}  // namespace

void measure_power(const Device& device, std::vector<Fact>& facts) {
  char bus[32] = "";
  HARDWARE_CHECK(cudaDeviceGetPCIBusId(bus, sizeof bus, 0));
  const Nvml nvml(bus);
  if (nvml.is_there()) {
    idle(2);
    facts.push_back(
        {"idle power", "a process holds the GPU, 2 s without work", nvml.power_w(), "W"});
  }
  facts.push_back({"highest core clock", "device attribute", device.clock_khz * 1e-3, "MHz"});
  measure_content(Content::random, nvml, facts);
  measure_content(Content::zeros, nvml, facts);
}

}  // namespace hardware
