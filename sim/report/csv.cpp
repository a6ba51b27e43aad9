#include "sim/report/csv.h"

#include <fmt/format.h>

#include "sim/report/figures.h"

namespace tessera {
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

std::string to_csv(const RunResult& run) {
  std::string csv =
      "chip,workload,name,op,precision,repeat,cycles,time_us,time_fraction,flops,tflops,"
      "hbm_read_bytes,hbm_write_bytes,hbm_gbps,l2_hit_rate,bound,roofline_us,roofline_fraction,"
      "energy_j,error_quantisation,error_accumulation,error_total,error_propagated,error_sampled";
  for (std::size_t i = 0; i < cause_count; ++i)
    csv += fmt::format(",stall_{}", name(static_cast<Cause>(i)));
  csv += "\n";
  const std::vector<Figures> ops = op_figures(run);
  for (std::size_t row = 0; row < ops.size(); ++row) {
    const OpResult& op = run.ops[row];
    const Figures& f = ops[row];
    csv += fmt::format(
        "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}", csv_field(run.chip),
        csv_field(run.workload), csv_field(op.name), csv_field(op.kind), csv_field(op.precision),
        op.repeat, f.cycles, f.time_us, f.time_share, f.flops, f.tflops, f.hbm_read, f.hbm_write,
        f.hbm_gbps, f.l2_hit_rate, name(f.bound), f.roofline_us, f.roofline_fraction, f.energy_j);
    if (op.error.studied) {
      const OpError& e = op.error;
      csv += fmt::format(",{},{},{},{},{}", e.quantisation.rel_rmse, e.accumulation.rel_rmse,
                         e.total.rel_rmse, e.propagated.rel_rmse, e.sampled);
    } else {
      csv += ",,,,,";
    }
    for (const double fraction : f.stalls) csv += fmt::format(",{}", fraction);
    csv += "\n";
  }
  return csv;
}

}  // namespace tessera
