#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/error.h"
#include "sim/cli/auto_precision.h"
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
  tessera run --chip h100-sxm --model llama-3.1-8b --phase prefill --seq 2048 \
      --precision auto --error-budget 0.02
  tessera run --chip h100-sxm --op "gemm m=4096 n=4096 k=4096 dtype=bf16" \
      --timeline gemm.json --timeline-cores 0-3
)";

struct Run {
  ChipFlags chip;
  WorkloadFlags workload;
  BudgetFlag budget;
  PrecisionFlags precision;
  SimulationFlags simulation;

  /// The workload, and how its precisions were chosen if that was asked for.
  AutoPrecision build(const ChipConfig& config) const {
    const double error_budget = budget.value(workload.choose_precision());
    if (!workload.choose_precision()) return {workload.build(), {}};
    if (precision.is_off())
      throw InputError("--no-precision", "--precision auto needs the errors", "leave one out");
    std::optional<TensorSource> source;
    const EvaluationOptions evaluation = precision.options(source);
    GraphVariants variants = workload.variants(config);
    if (evaluation.recipe) {
      // The recipe says how operands are scaled, so that precisions which mean another are out.
      const bool blocks = evaluation.recipe == Recipe::block;
      for (const Precision other : {Precision::fp8, Precision::fp8_promote, Precision::fp8_block}) {
        if (blocks != (other == Precision::fp8_block)) variants.erase(other);
      }
    }
    return choose_precision(variants, WorkloadFlags::wide_precision(config), error_budget, config,
                            evaluation, simulation.jobs());
  }
};

}  // namespace

Verb add_run(CLI::App& program) {
  CLI::App* app = add_verb(program, "run", "Simulate a workload on a chip and report",
                           [] { return std::string(example) + "\n" + numbers_footer(); });
  const auto run = std::make_shared<Run>();
  run->chip.add_to(*app);
  run->workload.add_to(*app);
  run->budget.add_to(*app);
  run->precision.add_to(*app);
  run->simulation.add_to(*app);
  return {
      app, [run] {
        std::vector<InputFile> inputs = run->chip.inputs();
        for (const std::vector<InputFile>& more : {run->workload.inputs(), run->precision.inputs()})
          inputs.insert(inputs.end(), more.begin(), more.end());
        run->simulation.open(inputs);
        const ChipConfig chip = run->chip.load();
        const AutoPrecision workload = run->build(chip);
        const LayerGraph& graph = workload.graph;
        std::vector<std::string> notes = graph.notes;
        const std::string memory = run->workload.memory_note(graph, chip);
        if (!memory.empty()) notes.push_back(memory);
        std::optional<Evaluation> evaluation;
        std::string study_note;
        run->simulation.simulate_and_report(
            lower_for(graph, chip), chip, notes,
            [&] { evaluation = run->precision.evaluate(graph, chip, study_note); },
            [&](RunResult& result) {
              if (evaluation) attach(graph, *evaluation, result);
              if (!study_note.empty()) result.notes.push_back(study_note);
              result.policy = workload.policy;
            });
        return exit_done;
      }};
}

}  // namespace tessera::cli
