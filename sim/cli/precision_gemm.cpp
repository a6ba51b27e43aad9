#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "sim/base/error.h"
#include "sim/cli/flag_value.h"
#include "sim/cli/output_file.h"
#include "sim/cli/precision.h"
#include "sim/cli/terminal.h"
#include "sim/cli/version.h"
#include "sim/datapath/quantised_gemm.h"
#include "sim/datapath/random_matrix.h"

namespace tessera::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* example = R"(Examples:
  tessera precision gemm --m 1024 --n 1024 --k 4096 --format e4m3 --unit h100 --accumulate fast
  tessera precision gemm --format e4m3 --unit h100 --scaling block --dist outlier
  tessera precision gemm --format e4m3 --chip mine.yaml              the unit of a chip of yours
  tessera precision gemm --chip h100-sxm --set fp8_unit.fraction_bits=17
  tessera precision gemm --m 4096 --n 12288 --k 12288 --sample 8192 --json - | jq .total

A and B are random: A[m][k] is stream 0 and B[n][k] stream 1 of the seed. The result depends on
neither the processor nor --jobs. Without error sqnr_db is null.
)";

struct Flags {
  std::string m = "1024", n = "1024", k = "4096";
  std::string format = "e4m3", accumulate, accumulator = "f32", output = "fp32";
  std::string dist = "normal", dist_b, scaling, seed = "1", sample, json, jobs, isa;
  OperandUnitFlags unit;
};

/// Operands of 2^28 elements are 1 GiB each, and as much again quantised.
constexpr std::int64_t max_elements = std::int64_t{1} << 28;

std::string scaling_of(const Flags& flags, Format format) {
  if (!flags.scaling.empty()) return flags.scaling;
  if (bits(format) > 8) return "none";
  return "tensor";
}

/// What --scaling means for activations A and weights B.
void set_scaling(const std::string& text, GemmArithmetic& how) {
  const std::vector<std::pair<std::string, std::pair<Scaling, Scaling>>> choices = {
      {"none", {Scaling::none, Scaling::none}},
      {"tensor", {Scaling::tensor, Scaling::tensor}},
      {"token", {Scaling::token, Scaling::channel}},
      {"block", {Scaling::block_1x128, Scaling::block_128x128}},
      {"mx", {Scaling::mx, Scaling::mx}},
      {"nvfp4", {Scaling::nvfp4, Scaling::nvfp4_16x16}}};
  std::vector<std::string> names;
  for (const auto& [choice, scalings] : choices) {
    names.push_back(choice);
    if (choice != text) continue;
    how.a_scaling = scalings.first;
    how.b_scaling = scalings.second;
    return;
  }
  throw InputError("--scaling", fmt::format("there is no scaling '{}'", text),
                   fmt::format("give one of {}", fmt::join(names, ", ")));
}

Accumulation accumulation_of(const Flags& flags, const std::string& scaling) {
  if (flags.accumulate.empty())
    return scaling == "block" ? Accumulation::promote128 : Accumulation::fast;
  for (const Accumulation a : {Accumulation::fast, Accumulation::promote128})
    if (flags.accumulate == name(a)) return a;
  throw InputError("--accumulate", fmt::format("there is no accumulation '{}'", flags.accumulate),
                   "give fast or promote128");
}

/// The arithmetic, and the unit that it points to.
GemmArithmetic arithmetic_of(const Flags& flags, std::optional<Unit>& unit) {
  GemmArithmetic how;
  how.a_format = how.b_format = parse_format(flags.format);
  if (!is_float(how.a_format) || how.a_format == Format::e8m0)
    throw InputError("--format", fmt::format("{} is no format of operands", flags.format),
                     "give a format that a tensor core multiplies, or fp32");
  unit = flags.unit.unit(how.a_format);
  how.unit = unit ? &*unit : nullptr;
  const std::string scaling = scaling_of(flags, how.a_format);
  set_scaling(scaling, how);
  how.accumulation = accumulation_of(flags, scaling);
  if (flags.accumulator != "f32" && flags.accumulator != "f16")
    throw InputError("--accumulator", fmt::format("'{}' is no accumulator", flags.accumulator),
                     "give f32 or f16");
  how.accumulator = flags.accumulator == "f16" ? Accumulator::fp16 : Accumulator::fp32;
  how.output = parse_format(flags.output);
  validate(how);
  return how;
}

std::int64_t parse_sample(const std::string& text) {
  return text.empty() ? 0
                      : parse_count("--sample", text, 1, std::numeric_limits<std::int64_t>::max());
}

Isa isa_of(const std::string& text) {
  if (text.empty()) return best_isa();
  std::vector<std::string> names;
  for (const Isa isa : supported_isas()) {
    if (text == name(isa)) return isa;
    names.emplace_back(name(isa));
  }
  throw InputError("--isa", fmt::format("this processor does not run '{}'", text),
                   fmt::format("give {}", fmt::join(names, "|")));
}

Json with_interval(const ErrorFigures& figures, const Interval& interval) {
  Json json = to_json(figures);
  json["rel_rmse_interval"] = {interval.low, interval.high};
  return json;
}

std::string figures_line(const char* what, const ErrorFigures& f, const Interval& interval,
                         bool sampled) {
  const std::string range =
      sampled ? fmt::format("  {:.3e} to {:.3e}", interval.low, interval.high) : "";
  return fmt::format("  {:<13} {:>9.3e} {:>8.2f} {:>12.3e} {:>12.3e} {:>11.2e}{}\n", what,
                     f.rel_rmse, f.sqnr_db, f.max_over_rms, f.max_over_max, f.bias, range);
}

std::string operand_line(const char* what, const QuantisationStatistics& s) {
  return fmt::format("  {:<13} {:>9.3e} {:>8.2f} {:>10.3g} {:>9.4f} {:>9.4f} {:>8.1f} {:>8.1f}\n",
                     what, s.rel_rmse, s.sqnr_db, s.amax, 100 * s.underflow_share,
                     100 * s.overflow_share, s.dynamic_range, s.max_block_dynamic_range);
}

int run_gemm(const Flags& flags) {
  constexpr std::int64_t max_size = std::int64_t{1} << 24;
  const std::int64_t m = parse_count("--m", flags.m, 1, max_size);
  const std::int64_t n = parse_count("--n", flags.n, 1, max_size);
  const std::int64_t k = parse_count("--k", flags.k, 1, max_size);
  for (const auto& [flag, rows] : {std::pair{"--m", m}, std::pair{"--n", n}})
    if (rows * k > max_elements)
      throw InputError(flag, fmt::format("an operand of {} x {} is too large", rows, k),
                       fmt::format("give at most {} elements; rows of A and columns of B are "
                                   "independent, so fewer of them show the same error",
                                   max_elements));
  std::optional<Unit> own_unit;
  const GemmArithmetic how = arithmetic_of(flags, own_unit);
  StudyOptions options;
  options.sample = parse_sample(flags.sample);
  options.seed = parse_seed(flags.seed);
  options.jobs = parse_jobs(flags.jobs);
  options.isa = isa_of(flags.isa);
  const Distribution dist_a = parse_distribution(flags.dist);
  const Distribution dist_b = flags.dist_b.empty() ? dist_a : parse_distribution(flags.dist_b);
  std::optional<OutputFile> json_file;
  if (!flags.json.empty())
    refuse_same_target({&json_file.emplace("--json", flags.json)}, flags.unit.inputs());

  std::optional<GemmStudy> study;
  {
    const Progress progress("multiplying");
    const std::vector<float> a = random_matrix(m, k, dist_a, options.seed, 0);
    const std::vector<float> b = random_matrix(n, k, dist_b, options.seed, 1);
    study = study_gemm(a.data(), b.data(), m, n, k, how, options);
  }
  const GemmStudy& s = *study;
  const std::string unit = how.unit == nullptr ? "fp32 lanes" : how.unit->name;
  if (json_file) {
    const Json json = {{"schema", "tessera-precision-gemm/1"},
                       {"tool_version", version},
                       {"m", m},
                       {"n", n},
                       {"k", k},
                       {"format", flags.format},
                       {"unit", unit},
                       {"accumulate", name(how.accumulation)},
                       {"accumulator", flags.accumulator},
                       {"a_scaling", name(how.a_scaling)},
                       {"b_scaling", name(how.b_scaling)},
                       {"output", flags.output},
                       {"a_dist", name(dist_a)},
                       {"b_dist", name(dist_b)},
                       {"seed", options.seed},
                       {"quantisation", with_interval(s.quantisation, s.quantisation_interval)},
                       {"accumulation", with_interval(s.accumulation, s.accumulation_interval)},
                       {"total", with_interval(s.total, s.total_interval)},
                       {"a", to_json(s.a)},
                       {"b", to_json(s.b)},
                       {"outputs", s.outputs},
                       {"sampled", s.sampled},
                       {"sampled_blocks", s.blocks}};
    json_file->commit(json.dump(2) + "\n");
    if (json_file->is_stdout()) return exit_done;
  }
  std::string text = fmt::format(
      "{} x {} x {} of {} in {}, {} accumulation, scales {} and {}, {}{} data, seed {}\n", m, n, k,
      flags.format, unit, name(how.accumulation), name(how.a_scaling), name(how.b_scaling),
      name(dist_a), dist_a == dist_b ? std::string() : fmt::format(" and {}", name(dist_b)),
      options.seed);
  text += s.sampled
              ? fmt::format("{} of {} outputs, in {} random blocks\n\n", s.outputs, m * n, s.blocks)
              : fmt::format("all {} outputs\n\n", s.outputs);
  text +=
      fmt::format("  {:<13} {:>9} {:>8} {:>12} {:>12} {:>11}{}\n", "error", "rel RMSE", "SQNR dB",
                  "max / RMS", "max / max", "bias", s.sampled ? "  95 % interval of rel RMSE" : "");
  text += figures_line("quantisation", s.quantisation, s.quantisation_interval, s.sampled);
  text += figures_line("accumulation", s.accumulation, s.accumulation_interval, s.sampled);
  text += figures_line("total", s.total, s.total_interval, s.sampled);
  text += fmt::format("\n  {:<13} {:>9} {:>8} {:>10} {:>9} {:>9} {:>8} {:>8}\n", "operand",
                      "rel RMSE", "SQNR dB", "amax", "under %", "over %", "range", "in block");
  text += operand_line("A", s.a);
  text += operand_line("B", s.b);
  if (s.total.non_finite > 0)
    text += fmt::format("\n  {} outputs are Inf or NaN and left out\n", s.total.non_finite);
  print(text);
  return exit_done;
}

}  // namespace

Verb add_precision_gemm(CLI::App& precision) {
  CLI::App* app =
      add_verb(precision, "gemm", "The error of one GEMM: quantisation, accumulation and total",
               [] { return example; });
  const auto flags = std::make_shared<Flags>();
  Flags& f = *flags;
  add_value(*app, "--m", f.m, "M", "Rows of A and of the result")->capture_default_str();
  add_value(*app, "--n", f.n, "N", "Columns of the result")->capture_default_str();
  add_value(*app, "--k", f.k, "K", "Length of the sums")->capture_default_str();
  add_value(*app, "--format", f.format, "FORMAT",
            "Of the operands, as e4m3, e5m2, fp16, bf16, tf32, e2m1; fp32: FP32 multiply-adds")
      ->capture_default_str();
  f.unit.add_to(*app);
  add_value(*app, "--accumulate", f.accumulate, "HOW",
            "fast (one chain over k) or promote128 (default with block scaling)");
  add_value(*app, "--accumulator", f.accumulator, "FORMAT", "f32 or f16")->capture_default_str();
  add_value(*app, "--output", f.output, "FORMAT", "fp32, bf16 or fp16")->capture_default_str();
  add_value(*app, "--dist", f.dist, "DIST",
            "normal, uniform, uniform01, halfnormal or outlier (of A and B)")
      ->capture_default_str();
  add_value(*app, "--dist-b", f.dist_b, "DIST", "Of B, if it is another");
  add_value(*app, "--scaling", f.scaling, "SCALING",
            "tensor, token (B: channel), block (1x128 and 128x128), mx, nvfp4 or none; default "
            "tensor, for formats of 16 bits and more none");
  add_value(*app, "--seed", f.seed, "N", "Of the operands and the sample")->capture_default_str();
  add_value(*app, "--sample", f.sample, "N",
            "Compute about N outputs, in random blocks, instead of all");
  add_value(*app, "--jobs", f.jobs, "N", "Threads; default one per processor");
  add_value(*app, "--isa", f.isa, "ISA", "portable, avx2 or avx512; default the fastest");
  add_value(*app, "--json", f.json, "FILE", "Write the report as JSON; - is standard output");
  return {app, [flags] { return run_gemm(*flags); }};
}

}  // namespace tessera::cli
