#include "sim/datapath/elementary.h"

#include <cmath>
#include <limits>

namespace tessera {
namespace {

// ln 2 in two parts, the first with 32 zeros at the end: multiples of up to 2^11 are exact.
constexpr double ln2_high = 0x1.62e42feep-1;
constexpr double ln2_low = 0x1.a39ef35793c76p-33;

}  // namespace

double log_of(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // [0.5, 1)
  if (m < 0.70710678118654752) {
    m *= 2;
    --exponent;
  }
  // log m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.1716: the series to s^21.
  const double s = (m - 1) / (m + 1);
  const double s2 = s * s;
  double sum = 0;
  for (int i = 21; i >= 3; i -= 2) sum = (sum + 1.0 / i) * s2;
  return exponent * ln2_high + (exponent * ln2_low + 2 * s * sum + 2 * s);
}

double exp_of(double x) {
  if (x < -745.2) return 0;
  if (x > 709.79) return std::numeric_limits<double>::infinity();
  const double n = std::nearbyint(x * 1.4426950408889634);
  const double r = (x - n * ln2_high) - n * ln2_low;  // |r| < 0.347
  // The series to r^17.
  double sum = 1;
  for (int i = 17; i >= 1; --i) sum = 1 + sum * r / i;
  return std::ldexp(sum, static_cast<int>(n));
}

}  // namespace tessera
