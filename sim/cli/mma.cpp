#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include "sim/base/error.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"
#include "sim/datapath/mma_rows.h"

namespace tessera::cli {

namespace {

constexpr const char* example = R"(
Examples:
  tessera mma --unit h100.e4m3 --out f32 < rows            one word per row
  tessera mma --unit h100.e4m3 --out f32 --check < rows    rows end with the expected word

A row holds 8-digit hexadecimal FP32 patterns: K words of a, K of b (or any multiple of K: steps chained
in order), one of c. Exit status: 0 done, 1 --check found a mismatch, 2 the input is wrong.)";

struct Mma {
  std::string unit, out = "f32";
  bool check = false;
};

Accumulator accumulator_of(const std::string& out) {
  if (out == "f32") return Accumulator::fp32;
  if (out == "f16") return Accumulator::fp16;
  throw InputError("--out", fmt::format("'{}' is no result format", out), "give f32 or f16");
}

int run_mma_verb(const Mma& mma) {
  MmaOptions options;
  options.unit = find_unit(mma.unit);
  options.accumulator = accumulator_of(mma.out);
  options.kind = mma.check ? RowKind::checked : RowKind::plain;
  std::ostringstream out;
  std::ios::sync_with_stdio(false);
  const MmaSummary summary = run_mma(std::cin, out, options);
  for (const MmaMismatch& m : summary.first)
    fmt::print(stderr, "stdin:{}: expected {:08x}, computed {:08x}\n", m.line, m.expected,
               m.computed);
  print(out.str());
  return summary.mismatches == 0 ? exit_done : exit_check_failed;
}

}  // namespace

Verb add_mma(CLI::App& program) {
  CLI::App* app = program.add_subcommand(
      "mma", "A tensor core's dot product of bit patterns from standard input, bit for bit");
  app->footer(example);
  const auto mma = std::make_shared<Mma>();
  app->add_option("--unit", mma->unit, "The tensor core and its input format, as h100.e4m3")
      ->required();
  app->add_option("--out", mma->out, "Accumulator and result: f32 (default) or f16");
  app->add_flag("--check", mma->check, "Compare with the expected word at the end of each row");
  return {app, [mma] { return run_mma_verb(*mma); }};
}

}  // namespace tessera::cli
