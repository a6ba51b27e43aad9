#include "sim/datapath/error.h"

#include <algorithm>
#include <cmath>

namespace tessera {

template <class Real>
void ErrorSums::add_values(const Real* computed, const double* reference, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    const double r = reference[i];
    if (!std::isfinite(r)) continue;
    ++outputs_;
    const auto x = static_cast<double>(computed[i]);
    if (!std::isfinite(x)) {
      ++non_finite_;
      continue;
    }
    const double e = x - r;
    error2_ += e * e;
    reference2_ += r * r;
    cross_ += e * r;
    max_error_ = std::max(max_error_, std::abs(e));
    max_reference_ = std::max(max_reference_, std::abs(r));
  }
}

void ErrorSums::add(const float* computed, const double* reference, std::int64_t n) {
  add_values(computed, reference, n);
}

void ErrorSums::add(const double* computed, const double* reference, std::int64_t n) {
  add_values(computed, reference, n);
}

void ErrorSums::merge(const ErrorSums& other) {
  outputs_ += other.outputs_;
  non_finite_ += other.non_finite_;
  error2_ += other.error2_;
  reference2_ += other.reference2_;
  cross_ += other.cross_;
  max_error_ = std::max(max_error_, other.max_error_);
  max_reference_ = std::max(max_reference_, other.max_reference_);
}

double ErrorSums::rel_rmse() const { return error2_ == 0 ? 0 : std::sqrt(error2_ / reference2_); }

ErrorFigures ErrorSums::figures() const {
  ErrorFigures f;
  f.outputs = outputs_;
  f.non_finite = non_finite_;
  f.rel_rmse = rel_rmse();
  f.sqnr_db = -20 * std::log10(f.rel_rmse);
  const std::int64_t counted = outputs_ - non_finite_;
  if (counted == 0) return f;
  f.rms = std::sqrt(reference2_ / static_cast<double>(counted));
  f.rmse = std::sqrt(error2_ / static_cast<double>(counted));
  if (max_error_ > 0) {
    f.max_over_rms = max_error_ / f.rms;
    f.max_over_max = max_error_ / max_reference_;
  }
  if (reference2_ > 0) f.bias = cross_ / reference2_;
  // With x = r + e: sum x r = R + C and sum x^2 = R + 2 C + E, so the distance is
  // E / (2 R + 2 C + E), without cancellation.
  if (error2_ > 0) f.cosine_distance = error2_ / (2 * reference2_ + 2 * cross_ + error2_);
  return f;
}

ErrorFigures error_figures(const float* computed, const double* reference, std::int64_t n) {
  ErrorSums sums;
  sums.add(computed, reference, n);
  return sums.figures();
}

ErrorFigures error_figures(const double* computed, const double* reference, std::int64_t n) {
  ErrorSums sums;
  sums.add(computed, reference, n);
  return sums.figures();
}

}  // namespace tessera
