#include "sim/datapath/vectors.h"

#include <fmt/format.h>

#include <limits>
#include <memory>
#include <sstream>
#include <string>

#include "sim/base/error.h"
#include "sim/cli/flag_value.h"
#include "sim/cli/output_file.h"
#include "sim/cli/unit_flags.h"
#include "sim/cli/verb.h"

namespace tessera::cli {

namespace {

constexpr const char* example = R"(Examples:
  tessera vectors --unit h100.e4m3 --count 10000 --seed 7 -o e4m3.rows
  tessera vectors --unit h100.fp16 --out f16 --steps 4 | tessera mma --unit h100.fp16 --out f16 --check
  tessera vectors --unit e4m3 --chip mine.yaml --format memh -o rows.memh    for $readmemh

Each row holds the operands a and b, the accumulator c and the result d that the unit gives. Rows aim
in turn at special values (Inf, NaN, Inf x 0, overflow), zeros, cancellation, subnormals, alignment (terms
across the last bit kept), carries, random bit patterns and normally distributed values. The same unit,
seed and steps give the same rows; a longer file begins with the shorter one.

Formats:
  rows   FP32 patterns: K words of a per step, K of b, c, d; what `tessera mma --check` reads
  hex    one row a line like rows, each number as the code of its own format (e4m3: 2 digits)
  memh   one word a row, for Verilog's $readmemh: d, c, b and a, a[0] in the lowest bits; the comment
         at the beginning has the declaration and the bit of every field
)";

struct Vectors {
  UnitFlags unit;
  std::string count = "1000", seed = "1", steps = "1", format = "rows", output = "-";
};

VectorFormat parse_vector_format(const std::string& text) {
  if (text == "rows") return VectorFormat::rows;
  if (text == "hex") return VectorFormat::hex;
  if (text == "memh") return VectorFormat::memh;
  throw InputError("--format", fmt::format("'{}' is no format of vectors", text),
                   "give rows, hex or memh");
}

int run_vectors(const Vectors& vectors) {
  VectorOptions options;
  options.unit = vectors.unit.unit();
  options.accumulator = vectors.unit.accumulator();
  options.count = parse_count("--count", vectors.count, 1, max_vector_count);
  options.seed = static_cast<std::uint64_t>(
      parse_count("--seed", vectors.seed, 0, std::numeric_limits<std::int64_t>::max()));
  options.steps = static_cast<int>(parse_count("--steps", vectors.steps, 1, max_vector_steps));
  const VectorFormat format = parse_vector_format(vectors.format);
  validate(options);
  // The whole text is held until it is complete.
  const std::int64_t words = options.count * options.steps * 2 * options.unit.products;
  if (words > 100'000'000)
    throw InputError("--count", fmt::format("{} rows have {} operands", options.count, words),
                     "ask for at most 100000000 operands, with other seeds for more");
  OutputFile output("-o", vectors.output);
  refuse_same_target({&output}, vectors.unit.inputs());
  std::ostringstream text;
  write_vectors(text, options, format);
  output.commit(text.str());
  return exit_done;
}

}  // namespace

Verb add_vectors(CLI::App& program) {
  CLI::App* app = add_verb(program, "vectors",
                           "Stimulus and expected results for a test bench of a tensor core",
                           [] { return example; });
  const auto vectors = std::make_shared<Vectors>();
  vectors->unit.add_to(*app);
  add_value(*app, "--count", vectors->count, "N", "Rows (default 1000)");
  add_value(*app, "--seed", vectors->seed, "S", "Seed (default 1)");
  add_value(*app, "--steps", vectors->steps, "N",
            "Steps of K products chained in a row (default 1)");
  add_value(*app, "--format", vectors->format, "rows|hex|memh", "Form of the rows (default rows)");
  add_value(*app, "-o,--output", vectors->output, "FILE",
            "Write to this file (default -: standard output)");
  return {app, [vectors] { return run_vectors(*vectors); }};
}

}  // namespace tessera::cli
