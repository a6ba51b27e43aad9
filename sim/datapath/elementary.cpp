#include "sim/datapath/elementary.h"

#include <cmath>
#include <cstdint>
#include <cstring>
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
  constexpr double to_integer = 0x1.8p52;  // adding it rounds to a whole number
  const double n = (x * 1.4426950408889634 + to_integer) - to_integer;
  const double r = (x - n * ln2_high) - n * ln2_low;  // |r| < 0.347
  // The series to r^13, from 1 / 13! on.
  static constexpr double coefficients[] = {1.0 / 6227020800,
                                            1.0 / 479001600,
                                            1.0 / 39916800,
                                            1.0 / 3628800,
                                            1.0 / 362880,
                                            1.0 / 40320,
                                            1.0 / 5040,
                                            1.0 / 720,
                                            1.0 / 120,
                                            1.0 / 24,
                                            1.0 / 6,
                                            0.5,
                                            1.0,
                                            1.0};
  double sum = 0;
  for (const double c : coefficients) sum = sum * r + c;
  const int exponent = static_cast<int>(n);
  if (exponent < -1020 || exponent > 1020) return std::ldexp(sum, exponent);
  const std::uint64_t pattern = static_cast<std::uint64_t>(exponent + 1023) << 52;
  double power = 0;
  std::memcpy(&power, &pattern, sizeof power);
  return sum * power;
}

}  // namespace tessera
