#include "sim/datapath/random_matrix.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "sim/base/error.h"
#include "sim/datapath/elementary.h"

namespace tessera {
namespace {

template <std::size_t n>
double polynomial(const double (&coefficients)[n], double x) {
  double sum = 0;
  for (std::size_t i = n; i-- > 0;) sum = sum * x + coefficients[i];
  return sum;
}

/// Of one element: words 0 and 1 of its block serve, the others only outliers.
float element(Distribution distribution, const Random& random, std::uint64_t index) {
  switch (distribution) {
    case Distribution::normal:
      return static_cast<float>(normal_quantile(random.bits(index)));
    case Distribution::uniform:
      return static_cast<float>(random.uniform(index) * 2 - 1);
    case Distribution::uniform01:
      // 24 bits, so that rounding to FP32 never gives 1.
      return static_cast<float>(random.bits(index) >> 8) * 0x1p-24F;
    case Distribution::halfnormal:
      return static_cast<float>(std::abs(normal_quantile(random.bits(index))));
    case Distribution::outlier: {
      const Random::Block draw = random.block(index);
      double x = normal_quantile(draw[0]);
      if (draw[1] < 0x1p32 * 0.001) x += 10 * normal_quantile(draw[2]);
      return static_cast<float>(x);
    }
  }
  return 0;
}

}  // namespace

std::string_view name(Distribution distribution) {
  switch (distribution) {
    case Distribution::normal:
      return "normal";
    case Distribution::uniform:
      return "uniform";
    case Distribution::uniform01:
      return "uniform01";
    case Distribution::halfnormal:
      return "halfnormal";
    case Distribution::outlier:
      return "outlier";
  }
  return "";
}

const std::vector<Distribution>& all_distributions() {
  static const std::vector<Distribution> all = {Distribution::normal, Distribution::uniform,
                                                Distribution::uniform01, Distribution::halfnormal,
                                                Distribution::outlier};
  return all;
}

Distribution parse_distribution(std::string_view text) {
  std::vector<std::string> names;
  for (const Distribution d : all_distributions()) {
    if (name(d) == text) return d;
    names.emplace_back(name(d));
  }
  const std::string close = nearest(std::string(text), names);
  throw InputError("distribution", fmt::format("there is no distribution '{}'", text),
                   close.empty() ? fmt::format("give one of {}", fmt::join(names, ", "))
                                 : fmt::format("did you mean '{}'?", close));
}

// Wichura, Algorithm AS 241: The Percentage Points of the Normal Distribution, Applied Statistics
// 37 (1988), PPND16: relative error about 1e-16.
double normal_quantile(std::uint32_t bits) {
  static constexpr double a[] = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                                 1.9715909503065514427e+3, 1.3731693765509461125e+4,
                                 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                 3.3430575583588128105e+4, 2.5090809287301226727e+3};
  static constexpr double b[] = {1.0,
                                 4.2313330701600911252e+1,
                                 6.8718700749205790830e+2,
                                 5.3941960214247511077e+3,
                                 2.1213794301586595867e+4,
                                 3.9307895800092710610e+4,
                                 2.8729085735721942674e+4,
                                 5.2264952788528545610e+3};
  static constexpr double c[] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                 5.76949722146069140550e0,  3.64784832476320460504e0,
                                 1.27045825245236838258e0,  2.41780725177450611770e-1,
                                 2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr double d[] = {1.0,
                                 2.05319162663775882187e0,
                                 1.67638483018380384940e0,
                                 6.89767334985100004550e-1,
                                 1.48103976427480074590e-1,
                                 1.51986665636164571966e-2,
                                 5.47593808499534494600e-4,
                                 1.05075007164441684324e-9};
  static constexpr double e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                 1.78482653991729133580e0,  2.96560571828504891230e-1,
                                 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                 2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr double f[] = {1.0,
                                 5.99832206555887937690e-1,
                                 1.36929880922735805310e-1,
                                 1.48753612908506148525e-2,
                                 7.86869131145613259100e-4,
                                 1.84631831751005468180e-5,
                                 1.42151175831644588870e-7,
                                 2.04426310338993978564e-15};
  const double p = (static_cast<double>(bits) + 0.5) * 0x1p-32;
  const double q = p - 0.5;
  if (std::abs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(a, r) / polynomial(b, r);
  }
  const double r = std::sqrt(-log_of(q < 0 ? p : 1 - p));
  const double x = r <= 5 ? polynomial(c, r - 1.6) / polynomial(d, r - 1.6)
                          : polynomial(e, r - 5) / polynomial(f, r - 5);
  return q < 0 ? -x : x;
}

void fill_random(float* values, std::int64_t first, std::int64_t n, Distribution distribution,
                 const Random& random) {
  for (std::int64_t i = 0; i < n; ++i)
    values[i] = element(distribution, random, static_cast<std::uint64_t>(first + i));
}

std::vector<float> random_matrix(std::int64_t rows, std::int64_t cols, Distribution distribution,
                                 std::uint64_t seed, std::uint64_t stream) {
  std::vector<float> values(static_cast<std::size_t>(rows * cols));
  fill_random(values.data(), 0, rows * cols, distribution, Random(seed, stream));
  return values;
}

}  // namespace tessera
