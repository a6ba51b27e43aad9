#include <algorithm>
#include <memory>

#include "sim/cli/precision_flags.h"
#include "sim/cli/simulation_flags.h"
#include "sim/cli/verb.h"
#include "sim/cli/workload_flags.h"

namespace tessera::cli {
namespace {

constexpr const char* example = R"(Examples:
  tessera run --chip h100-sxm --op "gemm m=8192 n=8192 k=8192 dtype=bf16"
  tessera run --chip h100-sxm --model gpt3-175b --phase prefill --batch 1 --seq 2048 --layers 1
  tessera run --chip h200-sxm --model path/to/config.json --phase decode --batch 8 --past 4096 \
      --set hbm.bandwidth_gbps=4000 --json - --csv layers.csv
  tessera run --chip h100-sxm --model llama-3.1-8b --phase prefill --seq 1024 --layers 1 \
      --precision fp8 --recipe token --tensors path/to/checkpoint --seed 7
)";

struct Run {
  ChipFlags chip;
  WorkloadFlags workload;
  PrecisionFlags precision;
  SimulationFlags simulation;
};

}  // namespace

Verb add_run(CLI::App& program) {
  CLI::App* app = add_verb(program, "run", "Simulate a workload on a chip and report",
                           [] { return std::string(example) + "\n" + numbers_footer(); });
  const auto run = std::make_shared<Run>();
  run->chip.add_to(*app);
  run->workload.add_to(*app);
  run->precision.add_to(*app);
  run->simulation.add_to(*app);
  return {app, [run] {
            run->simulation.open();
            const ChipConfig chip = run->chip.load();
            const LayerGraph graph = run->workload.build();
            std::vector<std::string> notes = graph.notes;
            notes.push_back(run->workload.memory_note(graph, chip));
            const Trace trace = lower_for(graph, chip);
            const auto evaluation = run->precision.evaluate(graph, chip, notes.emplace_back());
            notes.erase(std::remove(notes.begin(), notes.end(), ""), notes.end());
            run->simulation.simulate_and_report(trace, chip, notes, [&](RunResult& result) {
              if (evaluation) attach(graph, *evaluation, result);
            });
            return exit_done;
          }};
}

}  // namespace tessera::cli
