#include "sim/report/json.h"

#include <cmath>
#include <utility>

#include "sim/report/figures.h"
#include "sim/report/policy_report.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

double finite(double value) { return std::isfinite(value) ? value : 0; }

Json stalls_json(const Stalls& stalls) {
  Json json = Json::object();
  for (std::size_t i = 0; i < cause_count; ++i)
    json[std::string(name(static_cast<Cause>(i)))] = stalls[i];
  return json;
}

Json measure_json(const ErrorMeasure& m) {
  return Json{{"rel_rmse", finite(m.rel_rmse)},
              {"sqnr_db", finite(m.sqnr_db)},
              {"max_over_rms", finite(m.max_over_rms)}};
}

Json operand_json(const OperandStatistics& s) {
  return Json{{"amax", finite(s.amax)},
              {"underflow", finite(s.underflow)},
              {"overflow", finite(s.overflow)},
              {"dynamic_range", finite(s.dynamic_range)},
              {"block_dynamic_range", finite(s.block_dynamic_range)}};
}

Json error_json(const OpError& error) {
  if (!error.studied) return Json::object();
  Json json{{"quantisation", measure_json(error.quantisation)},
            {"accumulation", measure_json(error.accumulation)},
            {"total", measure_json(error.total)},
            {"propagated", measure_json(error.propagated)}};
  json["total"]["interval"] = {finite(error.total_low), finite(error.total_high)};
  json["propagated"]["interval"] = {finite(error.propagated_low), finite(error.propagated_high)};
  json["input"] = operand_json(error.input);
  json["weight"] = operand_json(error.weight);
  json["outputs"] = error.outputs;
  json["sampled"] = error.sampled;
  return json;
}

Json precision_json(const PrecisionResult& precision) {
  if (!precision.studied) return Json::object();
  return Json{{"seed", precision.seed},
              {"tensors", precision.tensors},
              {"recipe", precision.recipe},
              {"exact", precision.exact},
              {"tokens", precision.tokens},
              {"sampled_tokens", precision.sampled_tokens},
              {"layers", precision.layers},
              {"evaluated_layers", precision.evaluated_layers},
              {"layer_output_error", finite(precision.layer_output)},
              {"layer_output_interval",
               {finite(precision.layer_output_low), finite(precision.layer_output_high)}},
              {"output_error", finite(precision.output)},
              {"notes", precision.notes}};
}

Json layer_json(const OpResult& op, const Figures& f) {
  return Json{{"name", op.name},
              {"op", op.kind},
              {"precision", op.precision},
              {"repeat", op.repeat},
              {"cycles", f.cycles},
              {"time_us", f.time_us},
              {"time_fraction", f.time_share},
              {"flops", f.flops},
              {"tflops", f.tflops},
              {"hbm_bytes", f.hbm_bytes()},
              {"hbm_read_bytes", f.hbm_read},
              {"hbm_write_bytes", f.hbm_write},
              {"hbm_gbps", f.hbm_gbps},
              {"l2_hit_rate", f.l2_hit_rate},
              {"bound", name(f.bound)},
              {"roofline_us", f.roofline_us},
              {"roofline_fraction", f.roofline_fraction},
              {"energy_j", f.energy_j},
              {"power_w", f.power_w},
              {"stalls", stalls_json(f.stalls)},
              {"error", error_json(op.error)}};
}

Json activity_json(const SectionActivity& section, double clock_mhz) {
  const auto us = [&](Cycles cycles) {
    return clock_mhz > 0 ? static_cast<double>(cycles.value) / clock_mhz : 0;
  };
  Json json{{"section", section.name},
            {"repeat", section.repeat},
            {"cycles", section.cycles.value},
            {"time_us", us(section.cycles)},
            {"kernels", Json::array()},
            {"bin_us", static_cast<double>(section.bin_width.value) / 1e6}};
  for (const KernelSpan& kernel : section.kernels) {
    json["kernels"].push_back(Json{{"name", kernel.name},
                                   {"layer", kernel.op},
                                   {"start_us", us(kernel.start)},
                                   {"time_us", us(kernel.end - kernel.start)}});
  }
  const std::pair<const char*, std::int64_t ActivityBin::*> counts[] = {
      {"hbm_read_bytes", &ActivityBin::hbm_read},
      {"hbm_write_bytes", &ActivityBin::hbm_write},
      {"l2_read_bytes", &ActivityBin::l2_read},
      {"l2_hit_bytes", &ActivityBin::l2_hit},
      {"l2_write_bytes", &ActivityBin::l2_write}};
  for (const auto& [key, count] : counts) {
    Json& values = json[key] = Json::array();
    for (const ActivityBin& bin : section.bins) values.push_back(bin.*count);
  }
  Json& flops = json["tensor_flops"] = Json::array();
  for (const ActivityBin& bin : section.bins) flops.push_back(bin.tensor_flops());
  Json& energy = json["energy_j"] = Json::array();
  for (const double joules : section.energy_j) energy.push_back(finite(joules));
  return json;
}

}  // namespace

Json to_json(const RunResult& run, SimulatorPart simulator) {
  const Figures f = figures(run);
  Json json{{"schema", run_schema},
            {"tool_version", run.tool_version},
            {"chip", run.chip},
            {"workload", run.workload},
            {"digest", run.digest},
            {"cycles", f.cycles},
            {"time_us", f.time_us},
            {"clock_mhz", finite(run.clock_mhz)},
            {"flops", f.flops},
            {"tflops", f.tflops},
            {"peak_tflops", peak_tflops(run)},
            {"bound", name(f.bound)},
            {"tensor_core_utilization", f.tensor_core_utilization},
            {"hbm_read_bytes", f.hbm_read},
            {"hbm_write_bytes", f.hbm_write},
            {"hbm_gbps", f.hbm_gbps},
            {"hbm_peak_gbps", finite(run.hbm_peak_gbps)},
            {"hbm_utilization", f.hbm_utilization},
            {"l2_hit_rate", f.l2_hit_rate},
            {"power_w", finite(run.power_w)},
            {"power_cap_w", finite(run.power_cap_w)},
            {"energy_j", f.energy_j},
            {"roofline_us", f.roofline_us},
            {"roofline_fraction", f.roofline_fraction},
            {"cores", run.cores},
            {"simulated_sections", run.simulated_sections},
            {"reused_sections", run.reused_sections},
            {"notes", run.notes},
            {"stalls", stalls_json(f.stalls)},
            {"layers", Json::array()},
            {"precision", precision_json(run.precision)}};
  if (run.policy.decided) json["precision"]["policy"] = policy_json(run.policy);
  const std::vector<Figures> ops = op_figures(run);
  for (std::size_t i = 0; i < ops.size(); ++i)
    json["layers"].push_back(layer_json(run.ops[i], ops[i]));
  json["activity"] = Json::array();
  for (const SectionActivity& section : run.activity)
    json["activity"].push_back(activity_json(section, run.clock_mhz));
  if (simulator == SimulatorPart::include) {
    const RunResult::Simulator& s = run.simulator;
    const double rate = s.wall_s > 0 ? static_cast<double>(s.simulated_cycles) / s.wall_s : 0;
    json["simulator"] = Json{{"wall_s", finite(s.wall_s)},
                             {"events", s.events},
                             {"cycles_per_s", finite(rate)},
                             {"peak_rss_bytes", s.peak_rss_bytes}};
  }
  return json;
}

}  // namespace tessera
