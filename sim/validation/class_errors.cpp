#include "sim/validation/class_errors.h"

#include <algorithm>
#include <cmath>
#include <nlopt.hpp>
#include <utility>

namespace tessera {
namespace {

constexpr std::size_t worst_rows = 10;

struct Sample {
  const Prediction* prediction;
  double measured_us;
};

double mape_of(const FittedRoofline& model, const std::vector<Sample>& samples) {
  double sum = 0;
  for (const Sample& s : samples) sum += std::abs(model.us(*s.prediction) / s.measured_us - 1);
  return sum / static_cast<double>(samples.size());
}

FittedRoofline model_of(const std::vector<double>& x) { return {x[0], x[1], x[2]}; }

/// Subplex (Rowan 1990, NLopt's implementation): the mean absolute error has kinks, so no
/// gradients.
FittedRoofline fit(const std::vector<Sample>& samples) {
  if (samples.empty()) return {};
  nlopt::opt optimiser(nlopt::LN_SBPLX, 3);
  optimiser.set_lower_bounds({0.01, 0.01, 0.0});
  optimiser.set_upper_bounds({1.0, 1.0, 1000.0});
  optimiser.set_min_objective(
      [](const std::vector<double>& x, std::vector<double>&, void* data) {
        return mape_of(model_of(x), *static_cast<const std::vector<Sample>*>(data));
      },
      const_cast<void*>(static_cast<const void*>(&samples)));
  optimiser.set_xtol_rel(1e-5);
  optimiser.set_maxeval(5000);
  std::vector<double> x = {0.7, 0.85, 3.0};
  double least = 0;
  optimiser.optimize(x, least);
  return model_of(x);
}

std::vector<double> errors(const std::vector<Sample>& samples, const FittedRoofline& model) {
  std::vector<double> result;
  for (const Sample& s : samples)
    result.push_back(100 * (model.us(*s.prediction) / s.measured_us - 1));
  return result;
}

}  // namespace

ErrorStatistics error_statistics(const std::vector<double>& errors_percent) {
  ErrorStatistics statistics;
  const std::size_t n = errors_percent.size();
  if (n == 0) return statistics;
  std::vector<double> absolute;
  for (const double error : errors_percent) {
    absolute.push_back(std::abs(error));
    statistics.bias += error;
    statistics.mape += std::abs(error);
  }
  std::sort(absolute.begin(), absolute.end());
  statistics.n = n;
  statistics.bias /= static_cast<double>(n);
  statistics.mape /= static_cast<double>(n);
  statistics.median = (absolute[(n - 1) / 2] + absolute[n / 2]) / 2;
  statistics.p90 = absolute[(9 * n + 9) / 10 - 1];
  statistics.max = absolute.back();
  return statistics;
}

double FittedRoofline::us(const Prediction& row) const {
  return std::max(row.compute_us / efficiency, row.memory_us / bandwidth_share) + overhead_us;
}

std::vector<ClassErrors> class_errors(const MeasuredTable& table,
                                      const std::vector<Prediction>& predictions) {
  std::vector<ClassErrors> classes;
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    const std::string dtype = table.rows[i].field("dtype");
    auto found = std::find_if(classes.begin(), classes.end(), [&](const ClassErrors& c) {
      return c.op == table.rows[i].op && c.dtype == dtype;
    });
    if (found == classes.end()) {
      classes.push_back({});
      found = classes.end() - 1;
      found->op = table.rows[i].op;
      found->dtype = dtype;
    }
    found->rows.push_back(i);
  }
  for (ClassErrors& c : classes) {
    std::vector<Sample> all, fitting, testing;
    std::vector<double> simulated;
    for (std::size_t at = 0; at < c.rows.size(); ++at) {
      const std::size_t i = c.rows[at];
      simulated.push_back(error_percent(predictions[i], table.rows[i]));
      const Sample sample{&predictions[i], table.rows[i].measured_us};
      all.push_back(sample);
      (at % 2 == 0 ? fitting : testing).push_back(sample);
    }
    c.simulator = error_statistics(simulated);
    c.roofline = error_statistics(errors(all, {}));
    c.fitted = fit(fitting);
    c.fitted_roofline = error_statistics(errors(testing, c.fitted));
    c.worst = c.rows;
    std::stable_sort(c.worst.begin(), c.worst.end(), [&](std::size_t a, std::size_t b) {
      return std::abs(error_percent(predictions[a], table.rows[a])) >
             std::abs(error_percent(predictions[b], table.rows[b]));
    });
    c.worst.resize(std::min(c.worst.size(), worst_rows));
  }
  return classes;
}

}  // namespace tessera
