#include "sim/trace/trace.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "sim/base/error.h"
#include "sim/cli/output_file.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"
#include "sim/cli/workload_flags.h"
#include "sim/config/loader.h"
#include "sim/trace/binary.h"
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
  if (!arguments.json.empty()) output.emplace("--json", arguments.json);
  return output;
}

VerifyLimits limits_of(const ChipConfig& chip) {
  VerifyLimits limits;
  limits.scratchpad_bytes = std::int64_t{chip.scratchpad.size_kib} * 1024;
  limits.scratchpad_reserved_bytes = chip.scratchpad.reserved_per_block_bytes;
  limits.registers = chip.core.registers;
  limits.warps = chip.core.max_warps;
  limits.blocks = chip.core.max_blocks;
  limits.cores = chip.core.count;
  limits.max_cluster = chip.core.max_cluster;
  limits.max_box_rows = chip.dma.max_box_rows;
  limits.multicast = chip.dma.multicast != 0;
  for (const Format format : all_formats())
    if (chip.tensor_core.flops_per_cycle(format) > 0) limits.tensor_core_formats.push_back(format);
  return limits;
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

int run_dump(const TraceArguments& arguments) {
  OutputFile output("OUT", arguments.second.empty() ? "-" : arguments.second);
  output.commit(to_text(read_file(arguments.file)));
  return exit_done;
}

int run_pack(const TraceArguments& arguments) {
  given("FILE", arguments.file, "give a trace that `tessera lower` wrote");
  OutputFile output("OUT", given("OUT", arguments.second, "say where the packed trace goes"));
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

  CLI::App* check = add("check",
                        "Prove that a trace is sound: barriers balance, blocks fit, every "
                        "address is inside its tensor, every output is written once",
                        check_example, run_check);
  arguments->chip.add_to(*check);
  add_value(*check, "--json", arguments->json, "FILE",
            "Write the findings as JSON (-: standard output)");
  add_file(*check, "FILE", arguments->file, "The trace, as text or packed");

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
