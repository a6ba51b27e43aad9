// Speed of the simulator on one core, beside the targets it must keep:
//   bench_simulator [--check] [--json FILE|-] [--runs N]
// Times are medians of several runs. Build with -DTESSERA_BENCH=ON; see docs/benchmarks.md.

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sim/config/loader.h"
#include "sim/engine/simulation.h"
#include "sim/frontend/lowering.h"
#include "sim/frontend/op_text.h"
#include "sim/frontend/workload.h"
#include "sim/report/figures.h"
#include "sim/trace/binary.h"
#include "sim/trace/text.h"
#include "sim/trace/verify.h"

using namespace tessera;

namespace {

const std::string source_dir = TESSERA_SOURCE_DIR;

/// A figure, and what it must not exceed (or fall below); 0: no target.
struct Measurement {
  std::string name, unit;
  double value = 0, target = 0;
  bool at_least = false;
  double processor_s = 0;  ///< processor time of the same work; 0: not a time

  bool met() const { return target == 0 || (at_least ? value >= target : value <= target); }
};

struct Options {
  bool check = false;
  int runs = 5;
  std::string json;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

struct Seconds {
  double wall = 0;
  double processor = 0;  ///< of this process and its children, user and system
};

double processor_seconds() {
  double sum = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    for (const timeval& t : {usage.ru_utime, usage.ru_stime}) {
      sum += static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    }
  }
  return sum;
}

/// Medians of `runs` calls of `work`.
Seconds seconds(int runs, const std::function<void()>& work) {
  std::vector<double> wall, processor;
  for (int i = 0; i < runs; ++i) {
    const auto began = std::chrono::steady_clock::now();
    const double before = processor_seconds();
    work();
    processor.push_back(processor_seconds() - before);
    wall.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  }
  return {median(wall), median(processor)};
}

ChipConfig h100() { return load_chip("h100-sxm", {}, {source_dir + "/configs/chips"}); }

LayerGraph gpt3(Phase phase, std::int64_t layers) {
  WorkloadOptions options;
  options.phase = phase;
  options.seq = phase == Phase::prefill ? 2048 : 1;
  options.past = phase == Phase::prefill ? 0 : 2048;
  options.layers = layers;
  return build_workload("gpt3-175b", {source_dir + "/models"}, options);
}

class Bench {
 public:
  explicit Bench(int runs) : runs_(runs), chip_(h100()) {}

  /// From a graph to its result, as `tessera run` does it: lowered and simulated on one core.
  /// `least_rate`: simulated cycles a second (not the reused ones) at least; 0: not reported.
  void run(const std::string& name, const std::function<LayerGraph()>& graph, double limit_s,
           double least_rate = 0) {
    RunResult result;
    std::vector<double> simulating;
    const Seconds taken = seconds(runs_, [&] {
      result = simulate(lower(graph(), chip_), chip_);
      simulating.push_back(result.simulator.wall_s);
    });
    add({name, "s", taken.wall, limit_s, false, taken.processor});
    const auto cycles = static_cast<double>(result.simulator.simulated_cycles);
    add({name + ": simulated cycles", "M/s", cycles / median(simulating) * 1e-6, least_rate * 1e-6,
         true});
    add({name + ": events", "M/s",
         static_cast<double>(result.simulator.events) / median(simulating) * 1e-6});
  }

  void time(const std::string& name, const std::function<void()>& work, double limit_s = 0) {
    const Seconds taken = seconds(runs_, work);
    add({name, "ms", taken.wall * 1e3, limit_s * 1e3, false, taken.processor});
  }

  void add(Measurement m) { measurements_.push_back(std::move(m)); }

  const ChipConfig& chip() const { return chip_; }
  const std::vector<Measurement>& measurements() const { return measurements_; }

 private:
  int runs_;
  ChipConfig chip_;
  std::vector<Measurement> measurements_;
};

double peak_rss_mb() {
  // Of this process and of the largest of its children, which simulate.
  rusage own{}, children{};
  getrusage(RUSAGE_SELF, &own);
  getrusage(RUSAGE_CHILDREN, &children);
  return static_cast<double>(std::max(own.ru_maxrss, children.ru_maxrss)) * 1024e-6;
}

void measure(Bench& bench) {
  bench.run(
      "gemm 8192-cubed bf16", [] { return op_graph("gemm m=8192 n=8192 k=8192 dtype=bf16"); }, 0.5,
      10e6);
  bench.run(
      "attention 16k tokens, head dim 128, fp16",
      [] {
        return op_graph(
            "attention batch=1 q_len=16384 kv_len=16384 heads=16 kv_heads=16 head_dim=128 "
            "causal=0 dtype=fp16");
      },
      0);
  bench.run(
      "GPT-3 175B, one layer, prefill 2048", [] { return gpt3(Phase::prefill, 1); }, 1.0);
  bench.run(
      "GPT-3 175B, 96 layers, prefill 2048, reused", [] { return gpt3(Phase::prefill, 0); }, 1.5);
  bench.run(
      "GPT-3 175B, one layer, decode at 2048", [] { return gpt3(Phase::decode, 1); }, 0);

  const LayerGraph model = gpt3(Phase::prefill, 0);
  bench.time("load chip", [] { h100(); });
  bench.time("build GPT-3 175B graph", [] { gpt3(Phase::prefill, 0); });
  bench.time("lower GPT-3 175B prefill", [&] { lower(model, bench.chip()); });
  const Trace trace = lower(model, bench.chip());
  bench.time("verify that trace", [&] {
    if (has_errors(verify(trace))) throw std::runtime_error("the trace does not verify");
  });
  const std::string text = to_text(trace), binary = to_binary(trace);
  bench.time("parse the text form", [&] { parse_text(text, "bench"); });
  bench.time("parse the binary form", [&] { parse_binary(binary, "bench"); });
  bench.add({"text form of that trace", "kB", static_cast<double>(text.size()) * 1e-3});
  bench.add({"binary form of that trace", "kB", static_cast<double>(binary.size()) * 1e-3});
  bench.add({"peak memory of all of these", "MB", peak_rss_mb(), 500});
}

nlohmann::ordered_json to_json(const std::vector<Measurement>& measurements, int runs) {
  nlohmann::ordered_json json{{"schema", "tessera-bench/1"},
                              {"runs", runs},
                              {"measurements", nlohmann::ordered_json::array()}};
  for (const Measurement& m : measurements) {
    nlohmann::ordered_json entry{{"name", m.name}, {"unit", m.unit}, {"value", m.value}};
    if (m.processor_s != 0) entry["processor_s"] = m.processor_s;
    if (m.target != 0) {
      entry[m.at_least ? "at_least" : "at_most"] = m.target;
      entry["met"] = m.met();
    }
    json["measurements"].push_back(entry);
  }
  return json;
}

std::string to_text(const std::vector<Measurement>& measurements, int runs) {
  std::string text =
      fmt::format("{:<62} {:>10}       {:>9}  {:>10}\n",
                  fmt::format("median of {} runs, one core", runs), "wall", "processor", "target");
  for (const Measurement& m : measurements) {
    text += fmt::format("{:<62} {:>10.3f} {:<4}", m.name, m.value, m.unit);
    const bool in_ms = m.unit == "ms";
    text += m.processor_s == 0 ? fmt::format("  {:>9}", "")
                               : fmt::format("  {:>9.3f}", m.processor_s * (in_ms ? 1e3 : 1.0));
    if (m.target != 0) {
      text +=
          fmt::format("  {:>10}  {}", fmt::format("{} {:g}", m.at_least ? ">=" : "<=", m.target),
                      m.met() ? "met" : "MISSED");
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  return text;
}

/// False where the arguments are wrong.
bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool more = i + 1 < argc;
    if (argument == "--check") {
      options.check = true;
    } else if (argument == "--json" && more) {
      options.json = argv[++i];
    } else if (argument == "--runs" && more) {
      options.runs = std::atoi(argv[++i]);
      if (options.runs < 1 || options.runs > 1000) return false;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    fmt::print(stderr, "usage: bench_simulator [--check] [--json FILE|-] [--runs N]\n");
    return 2;
  }
  setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
  try {
    Bench bench(options.runs);
    measure(bench);
    const std::vector<Measurement>& all = bench.measurements();
    const std::string json = to_json(all, options.runs).dump(2) + "\n";
    if (options.json == "-") {
      fmt::print("{}", json);
    } else {
      fmt::print("{}", to_text(all, options.runs));
    }
    if (!options.json.empty() && options.json != "-") {
      std::ofstream file(options.json);
      file << json;
      if (!file.good()) throw std::runtime_error("cannot write " + options.json);
    }
    const bool met =
        std::all_of(all.begin(), all.end(), [](const Measurement& m) { return m.met(); });
    return options.check && !met ? 1 : 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_simulator: {}\n", error.what());
    return 2;
  }
}

extern "C" int sc_main(int, char**) { return 0; }
