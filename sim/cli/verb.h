#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

namespace tessera::cli {

/// Exit statuses of every verb.
constexpr int exit_done = 0;
constexpr int exit_check_failed = 1;       ///< the check that was asked for found something
constexpr int exit_input_wrong = 2;        ///< InputError, or a wrong command line
constexpr int exit_simulation_failed = 3;  ///< SimulationError
constexpr int exit_interrupted = 130;      ///< a signal asked to stop, and it did so in order

/// A verb and what it does once its flags are parsed. `run` returns the exit status; it throws
/// InputError and SimulationError.
struct Verb {
  CLI::App* app = nullptr;
  std::function<int()> run;
};

Verb add_list(CLI::App& program);
Verb add_run(CLI::App& program);
Verb add_lower(CLI::App& program);
Verb add_replay(CLI::App& program);
Verb add_trace(CLI::App& program);
Verb add_mma(CLI::App& program);
Verb add_validate(CLI::App& program);
Verb add_calibrate(CLI::App& program);
Verb add_regress(CLI::App& program);
Verb add_precision(CLI::App& program);
Verb add_vectors(CLI::App& program);
Verb add_sweep(CLI::App& program);
Verb add_report(CLI::App& program);

/// A verb (or a verb of a verb) with its help; `footer` holds an example.
CLI::App* add_verb(CLI::App& parent, const std::string& name, const std::string& description,
                   std::function<std::string()> footer);

/// Throws InputError if the command line holds a flag or an argument that `app`, or the verb of it
/// that was called, does not know; with the nearest flag that it does know.
void refuse_unknown_arguments(const CLI::App& app);

/// A flag with one value; `value` stands for it in the help.
CLI::Option* add_value(CLI::App& app, const std::string& flag, std::string& text,
                       const std::string& value, const std::string& description);

/// A flag that may stand several times, with one value each.
CLI::Option* add_repeatable(CLI::App& app, const std::string& flag,
                            std::vector<std::string>& values, const std::string& value,
                            const std::string& description);

}  // namespace tessera::cli
