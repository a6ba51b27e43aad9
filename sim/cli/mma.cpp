#include <fmt/format.h>

#include <iostream>
#include <memory>
#include <sstream>

#include "sim/cli/terminal.h"
#include "sim/cli/unit_flags.h"
#include "sim/cli/verb.h"
#include "sim/datapath/mma_rows.h"

namespace tessera::cli {

namespace {

constexpr const char* example = R"(Examples:
  tessera mma --unit h100.e4m3 --out f32 < rows            one word per row
  tessera mma --unit h100.e4m3 --out f32 --check < rows    rows end with the expected word
  tessera mma --unit e4m3 --chip mine.yaml < rows          with the arithmetic of a chip of yours
  tessera mma --unit e4m3 --chip h100-sxm --set fp8_unit.fraction_bits=12 --check < rows

A row is a line of 8-digit hexadecimal FP32 patterns: K words of a, K of b (or any multiple of K: steps
chained in order), one of c. With --out f16 c and the result are the patterns of FP16 values. Empty
lines and lines that start with # are skipped. `tessera vectors` writes such rows.

Exit status: 0 done, 1 --check found a mismatch, 2 the input is wrong.
)";

struct Mma {
  UnitFlags unit;
  bool check = false;
};

int run_mma_verb(const Mma& mma) {
  MmaOptions options;
  options.unit = mma.unit.unit();
  options.accumulator = mma.unit.accumulator();
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
  CLI::App* app =
      add_verb(program, "mma",
               "A tensor core's dot product of bit patterns from standard input, bit for bit",
               [] { return example; });
  const auto mma = std::make_shared<Mma>();
  mma->unit.add_to(*app);
  app->add_flag("--check", mma->check, "Compare with the expected word at the end of each row");
  return {app, [mma] { return run_mma_verb(*mma); }};
}

}  // namespace tessera::cli
