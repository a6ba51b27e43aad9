#include "sim/trace/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "sim/base/error.h"
#include "sim/cli/output_file.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"
#include "sim/cli/workload_flags.h"
#include "sim/config/loader.h"
#include "sim/frontend/verify_limits.h"
#include "sim/trace/binary.h"
#include "sim/trace/diff.h"
#include "sim/trace/names.h"
#include "sim/trace/statistics.h"
#include "sim/trace/text.h"
#include "sim/trace/trace_file.h"
#include "sim/trace/verify.h"

namespace tessera::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* check_example = R"(Examples:
  tessera trace check gemm.trace
  tessera trace check --chip h100-sxm gemm.trace     also: does it fit that chip?

Exit status: 0 the trace is sound, 1 it is not, 2 it cannot be read.
)";
constexpr const char* stat_example = R"(Examples:
  tessera trace stat gemm.trace
  tessera trace stat gemm.trace --json - | jq '.kernels[].executed'
)";
constexpr const char* diff_example = R"(Example:
  tessera trace diff before.trace after.trace

Exit status: 0 the traces say the same, 1 they differ, 2 one cannot be read.
)";
constexpr const char* pack_example = R"(Example:
  tessera trace pack gemm.trace gemm.ttb
)";
constexpr const char* dump_example = R"(Examples:
  tessera trace dump gemm.ttb | less
  tessera trace dump gemm.ttb gemm.trace
)";

/// What the verbs of `trace` take; each uses its part.
struct TraceArguments {
  std::string file, second, json;
  ChipFlags chip;
};

void add_file(CLI::App& app, const std::string& name, std::string& file,
              const std::string& description) {
  app.add_option(name, file, description)->type_name("");
}

/// Writes `json` where --json says, and `text` unless standard output is taken.
void write_result(std::optional<OutputFile>& output, const Json& json, const std::string& text) {
  if (output) output->commit(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  if (!output || !output->is_stdout()) print(text);
}

std::optional<OutputFile> open_json(const TraceArguments& arguments) {
  std::optional<OutputFile> output;
  if (arguments.json.empty()) return output;
  std::vector<InputFile> inputs = arguments.chip.inputs();
  inputs.push_back({"FILE", arguments.file});
  inputs.push_back({"OTHER", arguments.second});
  refuse_same_target({&output.emplace("--json", arguments.json)}, inputs);
  return output;
}

/// Throws InputError for a missing argument.
const std::string& given(const std::string& name, const std::string& value,
                         const std::string& advice) {
  if (value.empty()) throw InputError(name, "missing", advice);
  return value;
}

Trace read_file(const std::string& path) {
  return read_trace(given("FILE", path, "give a trace that `tessera lower` wrote"));
}

int run_check(const TraceArguments& arguments) {
  std::optional<OutputFile> output = open_json(arguments);
  VerifyLimits limits;
  if (arguments.chip.is_given()) limits = limits_of(arguments.chip.load());
  const Trace trace = read_file(arguments.file);
  std::vector<Finding> findings;
  {
    const Progress progress("checking " + arguments.file);
    findings = verify(trace, limits);
  }
  Json json{{"schema", "tessera-trace-check/1"},
            {"file", arguments.file},
            {"sound", !has_errors(findings)},
            {"findings", Json::array()}};
  std::string text;
  std::size_t errors = 0;
  for (const Finding& finding : findings) {
    const bool is_error = finding.severity == Severity::error;
    errors += is_error ? 1 : 0;
    text += to_text(finding) + "\n";
    json["findings"].push_back(Json{{"rule", name(finding.rule)},
                                    {"severity", is_error ? "error" : "warning"},
                                    {"section", finding.section},
                                    {"kernel", finding.kernel},
                                    {"role", finding.role},
                                    {"instruction", finding.instruction},
                                    {"what", finding.what},
                                    {"details", finding.details},
                                    {"occurrences", finding.occurrences}});
  }
  text += errors == 0
              ? fmt::format("{}: sound", arguments.file)
              : fmt::format("{}: {} error{}", arguments.file, errors, errors == 1 ? "" : "s");
  const std::size_t warnings = findings.size() - errors;
  if (warnings > 0) text += fmt::format(", {} warning{}", warnings, warnings == 1 ? "" : "s");
  write_result(output, json, text + "\n");
  return errors == 0 ? exit_done : exit_check_failed;
}

std::string bytes_text(std::int64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (bytes < 100'000) return fmt::format("{} B", bytes);
  if (value < 1e8) return fmt::format("{:.1f} MB", value * 1e-6);
  return fmt::format("{:.1f} GB", value * 1e-9);
}

Json kernel_json(const KernelStatistics& kernel) {
  Json executed = Json::object();
  for (std::size_t i = 0; i < kernel.executed.size(); ++i)
    if (kernel.executed[i] > 0) executed[std::string(instruction_keyword(i))] = kernel.executed[i];
  Json json{{"section", kernel.section},
            {"kernel", kernel.kernel},
            {"op", kernel.op},
            {"repeat", kernel.repeat},
            {"blocks", kernel.blocks},
            {"cluster", kernel.cluster},
            {"scratchpad_bytes", kernel.scratchpad_bytes},
            {"registers", kernel.registers},
            {"warps", kernel.warps},
            {"lines", kernel.lines},
            {"steps", kernel.steps},
            {"executed", executed},
            {"load_bytes", kernel.load_bytes},
            {"landed_bytes", kernel.landed_bytes},
            {"store_bytes", kernel.store_bytes},
            {"mma_flops", kernel.mma_flops},
            {"vector_elements", kernel.vector_elements},
            {"complete", kernel.complete}};
  if (!kernel.complete) json["note"] = kernel.note;
  return json;
}

int run_stat(const TraceArguments& arguments) {
  std::optional<OutputFile> output = open_json(arguments);
  const Trace trace = read_file(arguments.file);
  std::vector<KernelStatistics> kernels;
  {
    const Progress progress("counting " + arguments.file);
    kernels = statistics(trace);
  }
  Json json{{"schema", "tessera-trace-stat/1"},
            {"file", arguments.file},
            {"chip", trace.chip},
            {"workload", trace.workload},
            {"sections", trace.sections.size()},
            {"kernels", Json::array()}};
  std::string text =
      fmt::format("{}: {} for {}, {} section{}, {} kernel{}\n", arguments.file, trace.workload,
                  trace.chip, trace.sections.size(), trace.sections.size() == 1 ? "" : "s",
                  kernels.size(), kernels.size() == 1 ? "" : "s");
  std::size_t name_width = 6;
  for (const KernelStatistics& kernel : kernels)
    name_width = std::max(name_width, kernel.section.size() + 1 + kernel.kernel.size());
  text +=
      fmt::format("  {:<{}}  {:>6}  {:>6}  {:>5}  {:>12}  {:>9}  {:>9}  {:>9}\n", "kernel",
                  name_width, "times", "blocks", "lines", "executed", "loads", "stores", "GFLOP");
  for (const KernelStatistics& kernel : kernels) {
    json["kernels"].push_back(kernel_json(kernel));
    text +=
        fmt::format("  {:<{}}  {:>6}  {:>6}  {:>5}  {:>12}  {:>9}  {:>9}  {:>9.3f}\n",
                    kernel.section + "/" + kernel.kernel, name_width, kernel.repeat, kernel.blocks,
                    kernel.lines, kernel.steps, bytes_text(kernel.load_bytes),
                    bytes_text(kernel.store_bytes), static_cast<double>(kernel.mma_flops) * 1e-9);
    if (!kernel.complete) text += "    not counted to its end: " + kernel.note + "\n";
  }
  write_result(output, json, text);
  return exit_done;
}

int run_diff(const TraceArguments& arguments) {
  std::optional<OutputFile> output = open_json(arguments);
  const Trace before = read_file(arguments.file);
  const Trace after =
      read_trace(given("OTHER", arguments.second, "give the trace to compare with"));
  const std::vector<Difference> differences = diff(before, after);
  Json json{{"schema", "tessera-trace-diff/1"},
            {"before", arguments.file},
            {"after", arguments.second},
            {"same", differences.empty()},
            {"differences", Json::array()}};
  std::string text;
  for (const Difference& difference : differences) {
    json["differences"].push_back(Json{{"place", difference.place}, {"what", difference.what}});
    text += to_text(difference) + "\n";
  }
  if (differences.empty()) text = "the traces say the same\n";
  write_result(output, json, text);
  return differences.empty() ? exit_done : exit_check_failed;
}

int run_dump(const TraceArguments& arguments) {
  OutputFile output("OUT", arguments.second.empty() ? "-" : arguments.second);
  refuse_same_target({&output}, {{"FILE", arguments.file}});
  output.commit(to_text(read_file(arguments.file)));
  return exit_done;
}

int run_pack(const TraceArguments& arguments) {
  given("FILE", arguments.file, "give a trace that `tessera lower` wrote");
  OutputFile output("OUT", given("OUT", arguments.second, "say where the packed trace goes"));
  refuse_same_target({&output}, {{"FILE", arguments.file}});
  output.commit(to_binary(read_file(arguments.file)));
  return exit_done;
}

}  // namespace

Verb add_trace(CLI::App& program) {
  CLI::App* app = add_verb(program, "trace", "Check, count, print, pack and compare traces", [] {
    return "Example:\n  tessera trace check gemm.trace\n\nEach has its own --help.";
  });
  app->require_subcommand(1);
  const auto arguments = std::make_shared<TraceArguments>();
  std::vector<Verb> verbs;
  const auto add = [&](const char* name, const char* description, const char* example,
                       int (*run)(const TraceArguments&)) {
    CLI::App* verb = add_verb(*app, name, description, [example] { return example; });
    verbs.push_back({verb, [arguments, run] { return run(*arguments); }});
    return verb;
  };

  const auto add_json = [&](CLI::App& verb) {
    add_value(verb, "--json", arguments->json, "FILE",
              "Write the result as JSON (-: standard output)");
  };

  CLI::App* check = add("check",
                        "Prove that a trace is sound: barriers balance, blocks fit, every "
                        "address is inside its tensor, every output is written once",
                        check_example, run_check);
  arguments->chip.add_to(*check);
  add_json(*check);
  add_file(*check, "FILE", arguments->file, "The trace, as text or packed");

  CLI::App* stat = add("stat", "Count what the kernels of a trace do", stat_example, run_stat);
  add_json(*stat);
  add_file(*stat, "FILE", arguments->file, "The trace, as text or packed");

  CLI::App* differ =
      add("diff", "Say what changed from one trace to another, in instructions rather than lines",
          diff_example, run_diff);
  add_json(*differ);
  add_file(*differ, "FILE", arguments->file, "The trace, as text or packed");
  add_file(*differ, "OTHER", arguments->second, "The trace to compare it with");

  CLI::App* dump = add("dump", "Print a trace as text", dump_example, run_dump);
  add_file(*dump, "FILE", arguments->file, "The trace, as text or packed");
  add_file(*dump, "OUT", arguments->second, "Where to (standard output by default)");

  CLI::App* pack = add("pack", "Write a trace in its compact binary form", pack_example, run_pack);
  add_file(*pack, "FILE", arguments->file, "The trace, as text or packed");
  add_file(*pack, "OUT", arguments->second, "Where to (-: standard output)");

  return {app, [verbs] {
            for (const Verb& verb : verbs)
              if (verb.app->parsed()) return verb.run();
            return exit_input_wrong;  // unreachable: one of them is required
          }};
}

}  // namespace tessera::cli
