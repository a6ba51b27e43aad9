#include <algorithm>
#include <chrono>
#include <thread>

#include "tests/hardware/device.cuh"
#include "tests/hardware/nvml.h"

namespace hardware {
namespace {

using Time = std::chrono::steady_clock;

double seconds_since(Time::time_point then) {
  return std::chrono::duration<double>(Time::now() - then).count();
}

void idle(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

constexpr unsigned most_cores = 1024;

__global__ void tick_kernel(Tick* ticks) {
  unsigned core = 0;
  Tick now;
  asm volatile("mov.u32 %0, %%smid;" : "=r"(core));
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now.ns));
  asm volatile("mov.u64 %0, %%clock64;" : "=l"(now.cycles));
  if (core < most_cores) ticks[core] = now;
}

/// The cores' cycle counters at a point of the default stream, read by the cores themselves. The
/// timer beside them steps at least once a microsecond.
class CoreTicks {
 public:
  explicit CoreTicks(int cores) : cores_(cores), ticks_(most_cores * sizeof(Tick)) {
    HARDWARE_CHECK(cudaMemset(ticks_.get(), 0, ticks_.bytes()));
  }
  void record() {
    tick_kernel<<<static_cast<unsigned>(cores_), 1>>>(ticks_.as<Tick>());
    HARDWARE_CHECK(cudaGetLastError());
  }
  std::vector<Tick> read() const {
    std::vector<Tick> ticks(most_cores);
    HARDWARE_CHECK(cudaMemcpy(ticks.data(), ticks_.get(), ticks_.bytes(), cudaMemcpyDeviceToHost));
    return ticks;
  }

 private:
  int cores_ = 0;
  Buffer ticks_;
};

/// A GEMM in the default stream, and what became of the chip meanwhile.
class Load {
 public:
  Load(const Device& device, const Nvml& nvml, Content content, std::vector<Fact>& facts)
      : device_(device),
        nvml_(nvml),
        what_("8192-cubed bf16 GEMM, " +
              std::string(content == Content::zeros ? "zeros" : "random data")),
        facts_(facts),
        gemm_(large_gemm(content, buffers_)) {
    CoreTicks(device.cores).record();  // loads the kernel
    enqueue(3);
    HARDWARE_CHECK(cudaDeviceSynchronize());
  }

  /// `repetitions` from an idle chip. Sensors are read while they run; that of power, which
  /// averages over tens of milliseconds, only counts where they last longer than 100 ms.
  void burst(int repetitions) {
    const std::string conditions = what_ + ", " + std::to_string(repetitions) + " from idle";
    CoreTicks first(device_.cores), last(device_.cores);
    Event begin, end;
    HARDWARE_CHECK(cudaDeviceSynchronize());
    idle(0.5);
    first.record();
    begin.record(nullptr);
    enqueue(repetitions);
    end.record(nullptr);
    last.record();
    double watts = -1;
    while (!end.is_over()) {
      watts = std::max(watts, nvml_.power_w());
      idle(0.002);
    }
    HARDWARE_CHECK(cudaDeviceSynchronize());
    const double us = end.us_since(begin);
    add("burst rate", conditions, flops * repetitions / us * 1e-6, "TFLOP/s");
    add("burst core clock", conditions, mean_clock_mhz(first.read(), last.read()), "MHz");
    if (us > 1e5) add("burst power", conditions + ", highest of the sensor", watts, "W");
  }

  /// Five seconds without a pause, of which the last three count: a batch is queued behind the one
  /// that runs before anything is read or waited for.
  void sustained() {
    constexpr int batch = 20;
    CoreTicks first(device_.cores), last(device_.cores);
    Event begin, end, batches[2];
    std::vector<double> watts, core, memory;
    EnergySteps energy;
    const Time::time_point began = Time::now();
    int counted = 0;  // GEMMs behind `begin`
    bool is_settled = false;
    enqueue(batch);
    batches[0].record(nullptr);
    for (int i = 1; seconds_since(began) < 5; ++i) {
      if (!is_settled && seconds_since(began) > 2) {
        is_settled = true;
        first.record();
        begin.record(nullptr);
      }
      enqueue(batch);
      if (is_settled) counted += batch;
      batches[i % 2].record(nullptr);
      batches[(i + 1) % 2].wait();  // the batch before
      if (!is_settled) continue;
      watts.push_back(nvml_.power_w());
      core.push_back(nvml_.core_clock_mhz());
      memory.push_back(nvml_.memory_clock_mhz());
      const double joules = nvml_.energy_j();
      energy.add(joules, seconds_since(began));
    }
    end.record(nullptr);
    last.record();
    HARDWARE_CHECK(cudaDeviceSynchronize());
    add("sustained rate", what_, flops * counted / end.us_since(begin) * 1e-6, "TFLOP/s");
    add("sustained core clock", what_ + ", cycle counters",
        mean_clock_mhz(first.read(), last.read()), "MHz");
    add("sustained core clock", what_ + ", sensor", summary(core).median, "MHz");
    add("sustained memory clock", what_ + ", sensor", summary(memory).median, "MHz");
    add("sustained power", what_ + ", sensor", summary(watts).median, "W");
    add("sustained power", what_ + ", energy counter", energy.watts(), "W");
  }

 private:
  static constexpr double flops = 2.0 * 8192 * 8192 * 8192;

  /// The driver's energy counter moves in steps of up to 100 ms: power is taken from one step to
  /// another.
  class EnergySteps {
   public:
    void add(double joules, double seconds) {
      if (joules < 0 || joules == joules_) return;
      if (joules_ >= 0 && from_j_ < 0) {
        from_j_ = joules;
        from_s_ = seconds;
      }
      joules_ = joules;
      seconds_ = seconds;
    }
    double watts() const {
      return from_j_ < 0 || seconds_ <= from_s_ ? -1 : (joules_ - from_j_) / (seconds_ - from_s_);
    }

   private:
    double joules_ = -1, seconds_ = 0, from_j_ = -1, from_s_ = 0;
  };

  void enqueue(int repetitions) {
    for (int i = 0; i < repetitions; ++i) gemm_(0, nullptr);
  }
  /// Readings that are not there are not above 0.
  void add(const char* quantity, const std::string& conditions, double value, const char* unit) {
    if (value > 0) facts_.push_back({quantity, conditions, value, unit});
  }

  const Device& device_;
  const Nvml& nvml_;
  std::string what_;
  std::vector<Fact>& facts_;
  std::vector<Buffer> buffers_;
  Launch gemm_;
};

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
  for (const Content content : {Content::random, Content::zeros}) {
    Load load(device, nvml, content, facts);
    for (const int repetitions : {1, 3, 6, 12, 25, 50, 100, 200, 400}) load.burst(repetitions);
    load.sustained();
  }
}

}  // namespace hardware
