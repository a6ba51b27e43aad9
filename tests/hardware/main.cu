// Measures the GPU at hand: hardware_collect PLAN FOLDER [SECONDS]. See
// docs/validation/hardware.md.

#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>

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

/// Runs the parts of the program and remembers which failed.
class Parts {
 public:
  /// What `part` throws is noted, and the program goes on with the next. After an error that leaves
  /// CUDA unusable (an illegal address, say) nothing is run any more.
  void run(const std::string& what, const std::function<void()>& part) {
    if (is_lost_) return;
    try {
      part();
    } catch (const std::exception& error) {
      failures_.push_back(what + ": " + error.what());
      std::fprintf(stderr, "failed: %s\n", failures_.back().c_str());
      cudaGetLastError();  // forgets what can be forgotten
      is_lost_ = cudaDeviceSynchronize() != cudaSuccess;
      if (!is_lost_) return;
      failures_.push_back("everything after it: the GPU takes no more work from this process");
      std::fprintf(stderr, "failed: %s\n", failures_.back().c_str());
    }
  }
  bool is_lost() const { return is_lost_; }
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  std::vector<std::string> failures_;
  bool is_lost_ = false;
};

/// Lines of "key: value".
class Conditions {
 public:
  void add(const std::string& key, const std::string& value) {
    std::string line = key + ": " + value;
    std::replace(line.begin(), line.end(), '\n', ' ');
    text_ += line + "\n";
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

Conditions conditions_of(const Device& device, const Nvml& nvml) {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  char date[64] = "";
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now));
  Conditions conditions;
  conditions.add("gpu", device.name);
  conditions.add("date", date);
  conditions.add("driver", nvml.driver() + ", CUDA " + std::to_string(driver));
  conditions.add("runtime", std::to_string(runtime));
  conditions.add("cores", std::to_string(device.cores));
  conditions.add("L2", std::to_string(device.l2_bytes) + " bytes");
  conditions.add("highest core clock", std::to_string(device.clock_khz * 1e-3) + " MHz");
  conditions.add("memory clock", std::to_string(nvml.memory_clock_mhz()) + " MHz");
  conditions.add("power limit", std::to_string(nvml.power_limit_w()) + " W");
  conditions.add("ECC", device.properties.ECCEnabled != 0 ? "on" : "off");
  conditions.add("clocks", "not locked by this program");
  conditions.add("duration", std::to_string(static_cast<int>(row_ms)) + "ms");
  conditions.add("method",
                 "each row back to back for that duration in a CUDA graph of about 5 ms, fixed "
                 "order, median of the last replays (15 at most); weights in turn through copies "
                 "that fill the L2 three times");
  conditions.add("operands", "random, mean 0, standard deviation 1");
  return conditions;
}

int run(const std::string& plan_path, const std::string& folder) {
  std::ifstream plan(plan_path);
  if (!plan) throw std::runtime_error(plan_path + ": cannot be read");
  const std::vector<Operation> operations = read_plan(plan);
  const Device device = this_device();
  const std::string stem = folder + "/" + file_stem(device.name);
  char bus[32] = "";
  HARDWARE_CHECK(cudaDeviceGetPCIBusId(bus, sizeof bus, 0));
  const Nvml nvml(bus);
  Conditions conditions = conditions_of(device, nvml);
  // Now, for a program that dies, and again at the end.
  write(stem + ".conditions.txt", conditions.text());

  // What is short and nowhere else to be had comes first; the plan fills the time that is left.
  Parts parts;
  parts.run("tensor cores", [&] {
    measure_tensor_cores(device, [&](const std::string& name, const std::string& rows) {
      write(stem + "." + name, rows);
    });
  });
  std::vector<Fact> facts;
  const auto measure_facts = [&](const char* what, auto measure) {
    parts.run(what, [&] { measure(device, facts); });
    if (!facts.empty()) write(stem + ".facts.csv", facts_csv(facts));
  };
  measure_facts("launches", measure_launches);
  measure_facts("power", measure_power);
  measure_facts("memory", measure_memory);

  // Kernels alone last: a profiler that has once been attached may slow down what follows.
  GrowingFile choices(stem + ".cublaslt.csv", choice_header);
  const auto measure_plan = [&](Timing timing, const std::string& path) {
    GrowingFile table(path, measured_header());
    for (const Operation& operation : operations) {
      if (parts.is_lost()) break;
      if (time_is_over()) {
        std::fprintf(stderr, "time is over before: %s\n", operation.text().c_str());
        break;
      }
      parts.run(operation.text(), [&] {
        std::vector<Row> rows;
        if (!measure_gemm(operation, device, timing, rows) &&
            !measure_rowwise(operation, timing, rows) && timing == Timing::graph)
          std::fprintf(stderr, "not measured here: %s\n", operation.text().c_str());
        for (const Row& row : rows) {
          table.add(measured_line(row, device.name));
          if (timing == Timing::graph && !row.choice.empty()) choices.add(row.choice);
        }
      });
    }
    parts.run(path, [&] { table.finish(); });
    return table.lines();
  };
  const std::size_t rows = measure_plan(Timing::graph, stem + ".csv");
  parts.run("cuBLASLt's choices", [&] { choices.finish(); });
  std::size_t kernel_rows = 0;
  parts.run("kernels alone", [&] {
    if (!has_cupti()) return;
    check_profiler();
    kernel_rows = measure_plan(Timing::kernels, stem + ".kernel.csv");
  });
  conditions.add("temperature at the end", std::to_string(nvml.temperature_c()) + " C");
  conditions.add("plan", std::filesystem::path(plan_path).filename().string() + ", of " +
                             std::to_string(operations.size()) + " operations " +
                             std::to_string(rows) + " measured in a graph, " +
                             std::to_string(kernel_rows) + " by their kernels alone" +
                             (has_cupti() ? "" : " (built without CUPTI)"));
  for (const std::string& failure : parts.failures()) conditions.add("failed", failure);
  write(stem + ".conditions.txt", conditions.text());
  std::printf("%s: %zu rows, %zu of kernels alone, %zu facts in %.0f s\n", stem.c_str(), rows,
              kernel_rows, facts.size(), seconds_gone());
  return parts.failures().empty() ? 0 : 1;
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
