#include <memory>

#include "sim/base/error.h"
#include "sim/cli/output_file.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"
#include "sim/cli/workload_flags.h"
#include "sim/trace/text.h"

namespace tessera::cli {
namespace {

constexpr const char* example = R"(Examples:
  tessera lower --chip h100-sxm --op "gemm m=4096 n=4096 k=4096 dtype=bf16" -o gemm.trace
  tessera lower --chip h100-sxm --model llama-3.1-8b --phase decode --past 4096 -o - | less
)";

struct Lower {
  ChipFlags chip;
  WorkloadFlags workload;
  std::string file;
};

}  // namespace

Verb add_lower(CLI::App& program) {
  CLI::App* app =
      add_verb(program, "lower", "Write the instruction trace of a workload, without running it",
               [] { return example; });
  const auto lowering = std::make_shared<Lower>();
  lowering->chip.add_to(*app);
  lowering->workload.add_to(*app);
  add_value(*app, "-o,--output", lowering->file, "FILE",
            "Write the trace as text to this file (-: standard output); `tessera trace pack` makes "
            "it small");
  return {app, [lowering] {
            if (lowering->file.empty())
              throw InputError("-o", "missing", "give a file, or - for standard output");
            OutputFile output("-o", lowering->file);
            refuse_same_target({&output}, lowering->chip.inputs());
            refuse_same_target({&output}, lowering->workload.inputs());
            const ChipConfig chip = lowering->chip.load();
            const LayerGraph graph = lowering->workload.build();
            lowering->workload.memory_note(graph, chip);
            output.commit(to_text(lower_for(graph, chip)));
            return exit_done;
          }};
}

}  // namespace tessera::cli
