#include "sim/report/glossary.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/report/result.h"

namespace tessera {
namespace {

std::vector<NumberEntry> build() {
  std::vector<NumberEntry> entries = {
      {"schema", "", "name and version of this JSON layout"},
      {"tool_version", "", "version of tessera that made the report"},
      {"chip", "", "name of the simulated chip"},
      {"workload", "", "the workload as it was asked for"},
      {"digest", "", "fingerprint of everything the result depends on: trace, chip and version"},
      {"cycles", "cycles",
       "core-clock cycles from the first kernel's launch to the end of the last one, launch gaps "
       "between kernels included"},
      {"time_us", "us", "cycles / clock_mhz"},
      {"clock_mhz", "MHz", "clock of cores, network and L2 after the power cap was applied"},
      {"flops", "FLOP",
       "operations the workload asks for, two for a multiply-add, without padding: on the tensor "
       "core, or on the vector unit for operations that have none there"},
      {"tflops", "TFLOP/s", "flops / time"},
      {"peak_tflops", "TFLOP/s",
       "what all tensor cores together could do at clock_mhz in the workload's dominant format"},
      {"bound", "", "what most of the time was spent on: compute, hbm, l2, noc, latency or link"},
      {"tensor_core_utilization", "fraction",
       "tensor-core FLOPs / (peak FLOPs per cycle x cycles); the peak is that of the workload's "
       "dominant format"},
      {"hbm_read_bytes", "bytes", "bytes read from DRAM"},
      {"hbm_write_bytes", "bytes", "bytes written to DRAM"},
      {"hbm_gbps", "GB/s", "(bytes read + bytes written) / time, in units of 10^9 bytes"},
      {"hbm_peak_gbps", "GB/s", "data-sheet bandwidth of all DRAM stacks"},
      {"hbm_utilization", "fraction", "hbm_gbps / hbm_peak_gbps"},
      {"l2_hit_rate", "fraction",
       "part of the bytes the cores read through L2 that was there; 0 when nothing was read"},
      {"power_w", "W", "average power over the run"},
      {"power_cap_w", "W", "power that the governor holds over time"},
      {"energy_j", "J", "energy of the run"},
      {"roofline_us", "us",
       "the least time the chip's peaks allow, summed over the operations: for each the larger of "
       "FLOPs / peak rate, compulsory DRAM bytes / peak bandwidth, and bytes to other chips / link "
       "bandwidth"},
      {"roofline_fraction", "fraction", "roofline_us / time_us; 1 is perfect"},
      {"cores", "", "cores of the chip"},
      {"simulated_sections", "", "sections (layers) that were simulated"},
      {"reused_sections", "",
       "sections that took the result of an identical, simulated one; --no-reuse makes it 0"},
      {"notes", "", "what a reader of the result should know"},
      {"stalls", "fraction",
       "where the core-cycles of all cores went: each to exactly one cause; the causes sum to 1"},
  };
  for (std::size_t i = 0; i < cause_count; ++i) {
    const Cause cause = static_cast<Cause>(i);
    entries.push_back(
        {"stalls." + std::string(name(cause)), "fraction", std::string(meaning(cause))});
  }
  std::vector<NumberEntry> rest = {
      {"layers", "", "the operations, in execution order; numbers are those of one execution"},
      {"layers.name", "", "name of the operation in its model, e.g. attention.qkv"},
      {"layers.op", "", "kind of operation, e.g. linear (`tessera list ops`)"},
      {"layers.precision", "", "number format it computes in"},
      {"layers.repeat", "", "times it counts in the run's totals (identical layers)"},
      {"layers.cycles", "cycles", "cycles of one execution, the launch gap before it included"},
      {"layers.time_us", "us", "cycles / clock_mhz"},
      {"layers.time_fraction", "fraction", "part of the run's time, all repeats together"},
      {"layers.flops", "FLOP", "as flops, of this operation"},
      {"layers.tflops", "TFLOP/s", "flops / time"},
      {"layers.hbm_bytes", "bytes", "bytes read from and written to DRAM"},
      {"layers.hbm_read_bytes", "bytes", "bytes read from DRAM"},
      {"layers.hbm_write_bytes", "bytes", "bytes written to DRAM"},
      {"layers.hbm_gbps", "GB/s", "hbm_bytes / time"},
      {"layers.l2_hit_rate", "fraction", "as l2_hit_rate, of this operation"},
      {"layers.bound", "", "what the operation's time was mostly spent on"},
      {"layers.roofline_us", "us", "the least time the chip's peaks allow for it"},
      {"layers.roofline_fraction", "fraction", "roofline_us / time_us; 1 is perfect"},
      {"layers.energy_j", "J", "energy of one execution"},
      {"layers.power_w", "W", "energy_j / time: average power while it runs"},
      {"layers.stalls", "fraction", "as stalls, of this operation"},
      {"layers.error", "",
       "numerical error of the operation, computed through the chip's arithmetic on sampled tokens "
       "and outputs; empty unless it was studied (docs/precision.md)"},
      {"layers.error.quantisation", "",
       "what rounding the operands of its matrix products to their formats does, arithmetic exact"},
      {"layers.error.accumulation", "",
       "what the tensor core's sums lose on those operands, beside exact sums"},
      {"layers.error.total", "",
       "both, and the rounding of the result: its own error, given its input as it is"},
      {"layers.error.propagated", "",
       "error of its result with the error that its input already had, beside exact arithmetic "
       "throughout"},
  };
  for (const char* part : {"quantisation", "accumulation", "total", "propagated"}) {
    const std::string prefix = std::string("layers.error.") + part;
    rest.push_back(
        {prefix + ".rel_rmse", "fraction", "RMS of the error / RMS of the exact values"});
    rest.push_back({prefix + ".sqnr_db", "dB", "-20 log10(rel_rmse); 0 where there is no error"});
    rest.push_back({prefix + ".max_over_rms", "fraction",
                    "largest error among the sampled outputs / RMS of the exact values"});
    if (part == std::string("total") || part == std::string("propagated"))
      rest.push_back({prefix + ".interval", "fraction",
                      "95 % confidence interval of rel_rmse, for the sampling; both ends are the "
                      "value where every output was computed"});
  }
  for (const char* operand : {"input", "weight"}) {
    const std::string prefix = std::string("layers.error.") + operand;
    rest.push_back({prefix, "",
                    operand == std::string("input")
                        ? "rounding the activations (attention: queries) to the operands' format"
                        : "rounding the weights (attention: keys) to the operands' format"});
    rest.push_back({prefix + ".amax", "", "largest magnitude before scaling"});
    rest.push_back({prefix + ".underflow", "fraction", "elements that were not 0 and became 0"});
    rest.push_back({prefix + ".overflow", "fraction", "elements that were clipped"});
    rest.push_back({prefix + ".dynamic_range", "powers of 2",
                    "log2 of the largest over the smallest non-zero magnitude"});
    rest.push_back({prefix + ".block_dynamic_range", "powers of 2",
                    "the largest dynamic range of a stretch of at most 128 elements along k"});
  }
  const std::vector<NumberEntry> last = {
      {"layers.error.outputs", "", "outputs of the operation"},
      {"layers.error.sampled", "", "outputs that were computed"},
      {"activity", "",
       "the sections (layers) over time, in execution order; numbers are those of one execution"},
      {"activity.section", "", "name of the section"},
      {"activity.repeat", "", "times it runs, all alike"},
      {"activity.cycles", "cycles", "cycles of one execution"},
      {"activity.time_us", "us", "cycles / clock_mhz"},
      {"activity.kernels", "",
       "its kernels: name, layer (index in layers), start_us in the section and time_us, launch "
       "gaps left out"},
      {"activity.bin_us", "us",
       "width of a stretch of time; the last one ends with the section. Work counts when it is "
       "booked, or later where that would be beyond a peak"},
      {"activity.hbm_read_bytes", "bytes", "bytes read from DRAM in each stretch"},
      {"activity.hbm_write_bytes", "bytes", "bytes written to DRAM in each stretch"},
      {"activity.l2_read_bytes", "bytes", "bytes the cores read through L2 in each stretch"},
      {"activity.l2_hit_bytes", "bytes", "of them, bytes that were there"},
      {"activity.l2_write_bytes", "bytes", "bytes the cores wrote to L2 in each stretch"},
      {"activity.tensor_flops", "FLOP",
       "operations of all tensor cores in each stretch, padding included"},
      {"activity.energy_j", "J", "energy in each stretch, idle power included"},
      {"precision", "",
       "numerical error of the whole workload; empty unless it was studied (--no-precision leaves "
       "it "
       "out, and a trace has no numbers)"},
      {"precision.seed", "", "seed of the synthetic tensors and of the sampling"},
      {"precision.tensors", "", "synthetic, or the folder the tensors came from"},
      {"precision.recipe", "", "how FP8 operands are scaled; empty where none are FP8"},
      {"precision.exact", "", "whether every output was computed"},
      {"precision.tokens", "", "tokens (rows of the activations)"},
      {"precision.sampled_tokens", "", "tokens that were computed"},
      {"precision.layers", "", "decoder layers of the workload"},
      {"precision.evaluated_layers", "",
       "layers that were computed, one after the other with weights of their own"},
      {"precision.layer_output_error", "fraction",
       "relative error of the residual stream behind the first layer, each token relative to its "
       "own "
       "length"},
      {"precision.layer_output_interval", "fraction",
       "95 % confidence interval of layer_output_error, for the sampling"},
      {"precision.output_error", "fraction",
       "the same behind the last layer, extrapolated where fewer were computed; without layers the "
       "relative RMSE of the last result"},
      {"precision.notes", "", "what a reader of these numbers should know"},
      {"precision.policy", "",
       "how --precision auto chose (only with it); see docs/precision-policy.md"},
      {"precision.policy.wide", "", "the high precision: bf16, or fp16 where the chip has no bf16"},
      {"precision.policy.error_budget", "fraction",
       "relative RMSE that the layers' output may have, root mean square over the layers"},
      {"precision.policy.error", "fraction", "that of the choice, measured as a whole"},
      {"precision.policy.predicted_error", "fraction",
       "that of the choice, from what each operation alone adds"},
      {"precision.policy.wide_error", "fraction", "that of the layers with everything wide"},
      {"precision.policy.clock_mhz", "MHz", "clock at which the policy's cycles were simulated"},
      {"precision.policy.cycles", "cycles",
       "of all layers with the choice: sum of the operations', each simulated among others of its "
       "precision"},
      {"precision.policy.wide_cycles", "cycles", "the same with everything wide"},
      {"precision.policy.fastest_cycles", "cycles", "the same with an unlimited budget"},
      {"precision.policy.least_cycles", "cycles",
       "bound: no choice whose predicted error is within the budget takes fewer"},
      {"precision.policy.evaluations", "", "layers computed to measure errors"},
      {"precision.policy.tightened", "",
       "choices given up because the whole was beyond the budget"},
      {"precision.policy.decisions", "",
       "the operations of each group of layers: precision, reason, and the cycles and added error "
       "of "
       "every alternative"},
      {"precision.policy.curve", "",
       "choices that none beats in time and predicted error: cycles, time_us, error, operations"},
      {"simulator", "", "the simulator itself; the only part that differs between equal runs"},
      {"simulator.wall_s", "s", "wall-clock time of the simulation"},
      {"simulator.events", "", "events the simulation kernel processed"},
      {"simulator.cycles_per_s", "1/s",
       "simulated cycles / wall_s; cycles of reused sections are not counted"},
      {"simulator.peak_rss_bytes", "bytes", "largest resident memory of the simulating process"},
  };
  entries.insert(entries.end(), rest.begin(), rest.end());
  entries.insert(entries.end(), last.begin(), last.end());
  return entries;
}

/// `text` in lines of at most `width` characters, broken at spaces.
std::vector<std::string> wrap(const std::string& text, std::size_t width) {
  std::vector<std::string> lines;
  std::string line;
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t end = std::min(text.find(' ', start), text.size());
    const std::string word = text.substr(start, end - start);
    if (!line.empty() && line.size() + 1 + word.size() > width) {
      lines.push_back(line);
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
    start = end + 1;
  }
  if (!line.empty()) lines.push_back(line);
  return lines;
}

}  // namespace

const std::vector<NumberEntry>& glossary() {
  static const std::vector<NumberEntry> entries = build();
  return entries;
}

std::string glossary_text(int width) {
  std::size_t name_width = 0;
  for (const NumberEntry& entry : glossary()) name_width = std::max(name_width, entry.name.size());
  constexpr std::size_t unit_width = 11;
  const std::size_t indent = 2 + name_width + 2 + unit_width + 2;
  const std::size_t room =
      std::max<std::size_t>(24, static_cast<std::size_t>(std::max(width, 0)) > indent
                                    ? static_cast<std::size_t>(width) - indent
                                    : 0);
  std::string text;
  for (const NumberEntry& entry : glossary()) {
    std::string margin =
        fmt::format("  {:<{}}  {:<{}}  ", entry.name, name_width, entry.unit, unit_width);
    for (const std::string& line : wrap(entry.sentence, room)) {
      text += margin + line + "\n";
      margin.assign(indent, ' ');
    }
  }
  return text;
}

std::string glossary_markdown() {
  std::string text = "| number | unit | meaning |\n|---|---|---|\n";
  for (const NumberEntry& entry : glossary())
    text += fmt::format("| `{}` | {} | {} |\n", entry.name, entry.unit, entry.sentence);
  return text;
}

}  // namespace tessera
