#include <memory>

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
)";

struct Run {
  ChipFlags chip;
  WorkloadFlags workload;
  SimulationFlags simulation;
};

}  // namespace

Verb add_run(CLI::App& program) {
  CLI::App* app = add_verb(program, "run", "Simulate a workload on a chip and report",
                           [] { return std::string(example) + "\n" + numbers_footer(); });
  const auto run = std::make_shared<Run>();
  run->chip.add_to(*app);
  run->workload.add_to(*app);
  run->simulation.add_to(*app);
  return {app, [run] {
            run->simulation.open();
            const ChipConfig chip = run->chip.load();
            const LayerGraph graph = run->workload.build();
            std::vector<std::string> notes = graph.notes;
            const std::string memory = run->workload.memory_note(graph, chip);
            if (!memory.empty()) notes.push_back(memory);
            run->simulation.simulate_and_report(lower_for(graph, chip), chip, notes);
            return exit_done;
          }};
}

}  // namespace tessera::cli
