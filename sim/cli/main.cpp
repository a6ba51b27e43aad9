#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "sim/base/error.h"
#include "sim/cli/output_file.h"
#include "sim/cli/verb.h"
#include "sim/cli/version.h"

namespace tessera::cli {
namespace {

/// A mistyped verb (or sub-verb) gets the nearest one; CLI11 would only say that it is unexpected.
void refuse_unknown_verb(const std::string& word, const CLI::App& parent) {
  std::vector<std::string> verbs;
  for (const CLI::App* app : parent.get_subcommands({})) verbs.push_back(app->get_name());
  if (std::find(verbs.begin(), verbs.end(), word) != verbs.end()) return;
  const std::string close = nearest(word, verbs);
  throw InputError(parent.get_name(), fmt::format("there is no verb '{}'", word),
                   close.empty() ? fmt::format("give one of {}", fmt::join(verbs, ", "))
                                 : fmt::format("did you mean '{}'?", close));
}

int run_program(int argc, char** argv) {
  CLI::App program(
      "Cycle-approximate simulator of Transformer accelerators: how long the layers of a model "
      "take "
      "on a chip, and why",
      "tessera");
  program.set_version_flag("--version", fmt::format("tessera {}", version));
  program.require_subcommand(1);
  const std::vector<Verb> verbs = {
      add_run(program),     add_lower(program),  add_replay(program),   add_trace(program),
      add_sweep(program),   add_report(program), add_validate(program), add_calibrate(program),
      add_regress(program), add_mma(program),    add_vectors(program),  add_precision(program),
      add_list(program)};

  // Set now, as verbs take over what their parent has when they are added.
  program.footer(R"(Example:
  tessera run --chip h100-sxm --model gpt3-175b --phase prefill --batch 1 --seq 2048 --layers 1

Exit status: 0 done, 1 a check failed, 2 the input is wrong, 3 the simulation failed, 130 interrupted.
Each verb has its own --help.)");

  // `VERB` or `trace SUBVERB`, found before CLI11 looks at the flags.
  const CLI::App* parent = &program;
  for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
    refuse_unknown_verb(argv[i], *parent);
    parent = parent->get_subcommand(argv[i]);
    if (parent->get_subcommands({}).empty()) break;
  }

  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return program.exit(help);
  } catch (const CLI::ParseError& error) {
    std::string app_name = "tessera";
    for (const CLI::App* app = &program; !app->get_subcommands().empty();) {
      app = app->get_subcommands().front();
      app_name += " " + app->get_name();
    }
    throw InputError("", error.what(), fmt::format("see `{} --help`", app_name));
  }
  for (const Verb& verb : verbs) {
    if (!verb.app->parsed()) continue;
    refuse_unknown_arguments(*verb.app);
    return verb.run();
  }
  return exit_input_wrong;  // unreachable: a verb is required
}

}  // namespace
}  // namespace tessera::cli

int main(int argc, char** argv) {
  namespace cli = tessera::cli;
  // Buffers that come and go stay with the process: in virtual machines a page anew is expensive.
  mallopt(M_MMAP_THRESHOLD, 64 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  // The SystemC library prints a banner on start otherwise.
  setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 1);
  cli::remove_unfinished_outputs_on_signals();
  try {
    return cli::run_program(argc, argv);
  } catch (const tessera::InputError& error) {
    fmt::print(stderr, "{}\n", error.what());
    return cli::exit_input_wrong;
  } catch (const tessera::SimulationError& error) {
    fmt::print(stderr, "simulation failed: {}\n", error.what());
    return cli::exit_simulation_failed;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "out of memory; take a smaller workload\n");
    return cli::exit_simulation_failed;
  } catch (const std::exception& error) {
    fmt::print(stderr, "internal error: {}\n", error.what());
    return cli::exit_simulation_failed;
  }
}

// The SystemC library's own main wants this symbol; the engine elaborates in processes of its own.
extern "C" int sc_main(int, char**) { return 0; }
