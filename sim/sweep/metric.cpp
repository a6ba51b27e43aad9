#include "sim/sweep/metric.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "sim/report/figures.h"

namespace tessera {
namespace {

using Json = nlohmann::json;

constexpr double none = std::numeric_limits<double>::quiet_NaN();

std::vector<MetricInfo> all_metrics() {
  std::vector<MetricInfo> all = {
      {"time_us", "us", "time of the workload"},
      {"cycles", "cycles", "the same in cycles of the core's clock"},
      {"clock_mhz", "MHz", "clock that the power cap allows"},
      {"flops", "FLOP", "arithmetic of the workload"},
      {"tflops", "TFLOP/s", "arithmetic over time"},
      {"tensor_core_utilization", "", "tensor-core FLOPs over what the peak allows in the time"},
      {"hbm_bytes", "B", "read from and written to DRAM"},
      {"hbm_gbps", "GB/s", "the same over time"},
      {"hbm_utilization", "", "the same over the peak"},
      {"l2_hit_rate", "", "part of the bytes read from L2 that it had"},
      {"power_w", "W", "mean power"},
      {"energy_j", "J", "energy of the workload"},
      {"roofline_us", "us", "least time that the chip's peaks allow"},
      {"roofline_fraction", "", "roofline over time"},
      {error_metric, "relative RMSE",
       "numerical error of the first layer's output, or of the last operation's result"},
  };
  for (std::size_t i = 0; i < cause_count; ++i) {
    const std::string cause(name(static_cast<Cause>(i)));
    all.push_back({"stall_" + cause, "", "part of the core-cycles charged to " + cause});
  }
  return all;
}

double error_of(const RunResult& run) {
  if (!run.precision.studied) return none;
  if (run.precision.layer_output > 0) return run.precision.layer_output;
  for (auto op = run.ops.rbegin(); op != run.ops.rend(); ++op)
    if (op->error.studied) return op->error.propagated.rel_rmse;
  return none;
}

// JSON has no NaN: null.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }
double number(const Json& value) { return value.is_null() ? none : value.get<double>(); }

}  // namespace

const std::vector<MetricInfo>& sweep_metrics() {
  static const std::vector<MetricInfo> all = all_metrics();
  return all;
}

PointFigures point_figures(const RunResult& run, const std::string& trace_digest) {
  const Figures f = figures(run);
  PointFigures point;
  point.bound = name(f.bound);
  point.trace_digest = trace_digest;
  point.metrics = {f.time_us,
                   static_cast<double>(f.cycles),
                   run.clock_mhz,
                   static_cast<double>(f.flops),
                   f.tflops,
                   f.tensor_core_utilization,
                   static_cast<double>(f.hbm_bytes()),
                   f.hbm_gbps,
                   f.hbm_utilization,
                   f.l2_hit_rate,
                   run.power_w,
                   f.energy_j,
                   f.roofline_us,
                   f.roofline_fraction,
                   error_of(run)};
  point.metrics.insert(point.metrics.end(), f.stalls.begin(), f.stalls.end());
  const std::vector<Figures> ops = op_figures(run);
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const OpResult& op = run.ops[i];
    PointOperation operation;
    operation.name = op.name;
    operation.op = op.kind;
    operation.precision = op.precision;
    operation.bound = name(ops[i].bound);
    operation.repeat = op.repeat;
    operation.cycles = ops[i].cycles;
    operation.flops = ops[i].flops;
    operation.hbm_bytes = ops[i].hbm_bytes();
    operation.time_us = ops[i].time_us;
    operation.roofline_us = ops[i].roofline_us;
    operation.energy_j = ops[i].energy_j;
    if (op.error.studied) {
      operation.error_quantisation = op.error.quantisation.rel_rmse;
      operation.error_accumulation = op.error.accumulation.rel_rmse;
      operation.error_total = op.error.total.rel_rmse;
      operation.error_propagated = op.error.propagated.rel_rmse;
    }
    point.operations.push_back(operation);
  }
  return point;
}

std::string to_text(const PointFigures& figures) {
  Json metrics = Json::array();
  for (const double value : figures.metrics) metrics.push_back(number(value));
  Json operations = Json::array();
  for (const PointOperation& op : figures.operations)
    operations.push_back({op.name, op.op, op.precision, op.bound, op.repeat, op.cycles, op.flops,
                          op.hbm_bytes, number(op.time_us), number(op.roofline_us),
                          number(op.energy_j), number(op.error_quantisation),
                          number(op.error_accumulation), number(op.error_total),
                          number(op.error_propagated)});
  const Json all = {figures.bound, figures.trace_digest, metrics, operations};
  return all.dump(-1, ' ', false, Json::error_handler_t::replace);
}

PointFigures point_figures_from(const std::string& text) {
  const Json all = Json::parse(text);
  PointFigures figures;
  figures.bound = all.at(0);
  figures.trace_digest = all.at(1);
  for (const Json& value : all.at(2)) figures.metrics.push_back(number(value));
  for (const Json& row : all.at(3)) {
    PointOperation op;
    op.name = row.at(0);
    op.op = row.at(1);
    op.precision = row.at(2);
    op.bound = row.at(3);
    op.repeat = row.at(4);
    op.cycles = row.at(5);
    op.flops = row.at(6);
    op.hbm_bytes = row.at(7);
    op.time_us = number(row.at(8));
    op.roofline_us = number(row.at(9));
    op.energy_j = number(row.at(10));
    op.error_quantisation = number(row.at(11));
    op.error_accumulation = number(row.at(12));
    op.error_total = number(row.at(13));
    op.error_propagated = number(row.at(14));
    figures.operations.push_back(op);
  }
  return figures;
}

}  // namespace tessera
