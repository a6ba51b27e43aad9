// Measures the GPU at hand: hardware_collect PLAN FOLDER [SECONDS]. See
// docs/validation/hardware.md.

#include <cuda_runtime.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>

#include "tests/hardware/device.cuh"
#include "tests/hardware/nvml.h"

namespace hardware {
namespace {

using Clock = std::chrono::steady_clock;
const Clock::time_point began = Clock::now();
double seconds_given = 480;

double seconds_gone() { return std::chrono::duration<double>(Clock::now() - began).count(); }

/// Under a temporary name first, so that no file is half written.
void write(const std::string& path, const std::string& content) {
  const std::string unfinished = path + ".part";
  std::ofstream file(unfinished, std::ios::binary);
  file << content;
  file.close();
  if (!file || std::rename(unfinished.c_str(), path.c_str()) != 0)
    throw std::runtime_error(path + ": cannot be written");
}

std::string conditions(const Device& device, const std::string& plan, std::size_t measured,
                       std::size_t planned) {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  char bus[32] = "", date[64] = "";
  HARDWARE_CHECK(cudaDeviceGetPCIBusId(bus, sizeof bus, 0));
  const Nvml nvml(bus);
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now));
  std::string text;
  const auto line = [&](const std::string& key, const std::string& value) {
    text += key + ": " + value + "\n";
  };
  line("gpu", device.name);
  line("date", date);
  line("driver", nvml.driver() + ", CUDA " + std::to_string(driver));
  line("runtime", std::to_string(runtime));
  line("cores", std::to_string(device.cores));
  line("L2", std::to_string(device.l2_bytes) + " bytes");
  line("highest core clock", std::to_string(device.clock_khz * 1e-3) + " MHz");
  line("memory clock now", std::to_string(nvml.memory_clock_mhz()) + " MHz");
  line("power limit", std::to_string(nvml.power_limit_w()) + " W");
  line("temperature at the end", std::to_string(nvml.temperature_c()) + " C");
  line("ECC", device.properties.ECCEnabled != 0 ? "on" : "off");
  line("clocks", "not locked by this program; bursts of about 100 ms a row");
  line("plan", plan + ", " + std::to_string(measured) + " of " + std::to_string(planned) +
                   " operations measured");
  line("method",
       "back to back in a CUDA graph of about 5 ms, fixed order, two replays to warm up, median of "
       "the replays; weights in turn through copies that fill the L2 three times");
  line("operands", "random, mean 0, standard deviation 1");
  return text;
}

int run(const std::string& plan_path, const std::string& folder) {
  std::ifstream plan(plan_path);
  if (!plan) throw std::runtime_error(plan_path + ": cannot be read");
  const std::vector<Operation> operations = read_plan(plan);
  const Device device = this_device();
  const std::string stem = folder + "/" + file_stem(device.name);

  // What is short and nowhere else to be had comes first; the plan fills the time that is left.
  std::vector<Fact> facts;
  for (const auto& [name, rows] : tensor_core_rows(device)) write(stem + "." + name, rows);
  measure_launches(device, facts);
  measure_power(device, facts);
  measure_memory(device, facts);
  write(stem + ".facts.csv", facts_csv(facts));

  std::vector<Row> rows;
  for (const Operation& operation : operations) {
    if (time_is_over()) {
      std::fprintf(stderr, "time is over before: %s\n", operation.text().c_str());
      break;
    }
    if (!measure_gemm(operation, device, rows) && !measure_rowwise(operation, device, rows))
      std::fprintf(stderr, "not measured here: %s\n", operation.text().c_str());
  }
  write(stem + ".csv", measured_csv(rows, device.name));
  write(stem + ".conditions.txt", conditions(device, plan_path, rows.size(), operations.size()));
  std::printf("%s.csv: %zu rows, %zu facts in %.0f s\n", stem.c_str(), rows.size(), facts.size(),
              seconds_gone());
  return 0;
}

}  // namespace

bool time_is_over() { return seconds_gone() > seconds_given; }

}  // namespace hardware

int main(int count, char** arguments) {
  if (count < 3 || count > 4) {
    std::fprintf(stderr, "usage: %s PLAN FOLDER [SECONDS]\n", arguments[0]);
    return 2;
  }
  if (count == 4) hardware::seconds_given = std::atof(arguments[3]);
  try {
    return hardware::run(arguments[1], arguments[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "hardware_collect: %s\n", error.what());
    return 1;
  }
}
