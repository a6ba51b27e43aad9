#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "sim/frontend/lowering.h"
#include "sim/frontend/op_text.h"
#include "sim/frontend/workload.h"
#include "sim/report/figures.h"
#include "tests/support/machine.h"

using namespace tessera;
using namespace tessera::test;

namespace {

const std::string cycles_file = std::string(TESSERA_SOURCE_DIR) + "/tests/golden/cycles.txt";

/// What the file says above its lines.
constexpr const char* header = R"(# Exact cycles of small workloads: CYCLES CHIP WORKLOAD.
# To write this file anew: test_golden "[update]", or
#   cmake --build build/tests --target test_golden && build/tests/tests/test_golden "[update]"
# A change here is a change of every user's results: say why in CHANGELOG.md, "Timing changes".
)";

struct ModelRequest {
  const char* model;
  Phase phase;
  std::int64_t batch, seq, past;
  Precision precision;
};

struct Workload {
  const char* chip;
  const char* op;      ///< or
  ModelRequest model;  ///< one layer of it
};

const Workload workloads[] = {
    {"toy", "gemm m=256 n=192 k=320 dtype=bf16", {}},
    {"toy", "gemm m=100 n=70 k=50 dtype=fp8", {}},
    {"toy", "attention batch=1 q_len=130 kv_len=200 heads=4 kv_heads=2 head_dim=64 causal=1", {}},
    {"toy", "softmax rows=300 cols=500 dtype=bf16", {}},
    {"h100-sxm", "gemm m=1024 n=2048 k=1024 dtype=bf16", {}},
    {"h100-sxm", "gemm m=16 n=4096 k=4096 dtype=fp8", {}},
    {"h100-sxm", "linear m=512 n=1024 k=2048 dtype=fp8-block", {}},
    {"h100-sxm",
     "attention batch=1 q_len=1024 kv_len=1024 heads=16 kv_heads=4 head_dim=128 causal=1",
     {}},
    {"h100-sxm",
     "attention batch=4 q_len=1 kv_len=3000 heads=32 kv_heads=8 head_dim=128 causal=1",
     {}},
    {"h100-sxm", "rmsnorm rows=1000 cols=4096 dtype=bf16", {}},
    {"h100-sxm", "moe tokens=64 hidden=1024 inter=704 topk=2 experts=8 dtype=bf16", {}},
    {"h100-sxm", nullptr, {"gpt2-xl", Phase::prefill, 1, 256, 0, Precision::bf16}},
    {"h100-sxm", nullptr, {"llama-3.1-8b", Phase::decode, 4, 1, 1000, Precision::fp8}},
    {"a100-sxm", "gemm m=1000 n=1000 k=1000 dtype=tf32", {}},
};

/// "CHIP WORKLOAD" and the cycles, on one line each of the file.
std::vector<std::pair<std::string, std::int64_t>> measure() {
  std::vector<std::pair<std::string, std::int64_t>> lines;
  for (const Workload& w : workloads) {
    LayerGraph graph;
    if (w.op != nullptr) {
      graph = op_graph(w.op);
    } else {
      WorkloadOptions options;
      options.phase = w.model.phase;
      options.batch = w.model.batch;
      options.seq = w.model.seq;
      options.past = w.model.past;
      options.precision = w.model.precision;
      options.layers = 1;
      graph = build_workload(w.model.model, {std::string(TESSERA_SOURCE_DIR) + "/models"}, options);
    }
    const ChipConfig on = chip(w.chip);
    lines.emplace_back(fmt::format("{} {}", w.chip, graph.workload),
                       figures(simulate(lower(graph, on), on)).cycles);
  }
  return lines;
}

}  // namespace

TEST_CASE("small workloads take exactly the cycles they took before") {
  std::ifstream file(cycles_file);
  REQUIRE(file.good());
  std::vector<std::pair<std::string, std::int64_t>> expected;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    std::istringstream words(line);
    std::int64_t cycles = 0;
    std::string workload;
    words >> cycles >> std::ws;
    std::getline(words, workload);
    expected.emplace_back(workload, cycles);
  }
  const std::vector<std::pair<std::string, std::int64_t>> measured = measure();
  INFO(
      "Meant to change? Run test_golden \"[update]\" and add a line to CHANGELOG.md, \"Timing "
      "changes\".");
  REQUIRE(expected.size() == measured.size());
  for (std::size_t i = 0; i < measured.size(); ++i) {
    const auto& [workload, cycles] = measured[i];
    CHECK(workload == expected[i].first);
    INFO(workload << ": " << expected[i].second << " -> " << cycles << " cycles, "
                  << fmt::format("{:+.2f} %", 100.0 * static_cast<double>(cycles) /
                                                      static_cast<double>(expected[i].second) -
                                                  100.0));
    CHECK(cycles == expected[i].second);
  }
}

TEST_CASE("write tests/golden/cycles.txt", "[.][update]") {
  std::string text = header;
  for (const auto& [workload, cycles] : measure()) {
    text += fmt::format("{:>8} {}\n", cycles, workload);
  }
  std::ofstream file(cycles_file);
  file << text;
  REQUIRE(file.good());
}
