#pragma once

#include <cstdint>

namespace tessera {

/// How far computed values are from a reference. Values that are not finite where the reference is
/// count in non_finite and nowhere else.
struct ErrorFigures {
  std::int64_t outputs = 0;     ///< compared, non_finite included
  std::int64_t non_finite = 0;  ///< Inf or NaN where the reference is finite
  double rel_rmse = 0;          ///< sqrt(sum e^2 / sum r^2); 0 if both sums are 0
  double sqnr_db = 0;           ///< -20 log10(rel_rmse); +Inf without error
  double max_over_rms = 0;      ///< max |e| / sqrt(mean r^2)
  double max_over_max = 0;      ///< max |e| / max |r|
  double bias = 0;              ///< sum e r / sum r^2: negative where magnitudes come out too small
  double cosine_distance = 0;   ///< 1 - 2 sum x r / sum (x^2 + r^2), DeepGEMM's measure
  double rmse = 0;              ///< sqrt(mean e^2)
  double rms = 0;               ///< sqrt(mean r^2)
};

/// Sums from which ErrorFigures follow. Adding in one order gives one result to the bit; so does
/// merging parts in one order.
class ErrorSums {
 public:
  /// n computed values beside their references. Inf and NaN references are left out.
  void add(const float* computed, const double* reference, std::int64_t n);
  void add(const double* computed, const double* reference, std::int64_t n);
  void merge(const ErrorSums& other);
  ErrorFigures figures() const;
  /// figures().rel_rmse alone.
  double rel_rmse() const;

 private:
  template <class Real>
  void add_values(const Real* computed, const double* reference, std::int64_t n);

  std::int64_t outputs_ = 0, non_finite_ = 0;
  double error2_ = 0, reference2_ = 0, cross_ = 0;  ///< sums of e^2, r^2, e r
  double max_error_ = 0, max_reference_ = 0;
};

/// The figures of one array.
ErrorFigures error_figures(const float* computed, const double* reference, std::int64_t n);
ErrorFigures error_figures(const double* computed, const double* reference, std::int64_t n);

/// What quantising a tensor did to it, in the words of Transformer Engine's debug statistics
/// (LogTensorStats, LogFp8TensorStats). Shares are of all elements, ranges in powers of two.
struct QuantisationStatistics {
  std::int64_t elements = 0;
  std::int64_t non_finite = 0;  ///< Inf and NaN in the tensor; left out of all that follows
  double amax = 0;              ///< largest magnitude
  double underflow_share = 0;   ///< elements that were not zero and became zero
  double overflow_share = 0;    ///< elements beyond the format's range after scaling: clipped
  double dynamic_range = 0;     ///< log2(amax) - log2(smallest non-zero magnitude)
  /// The largest dynamic_range of a stretch of `dynamic_range_block` elements along k.
  double max_block_dynamic_range = 0;
  int dynamic_range_block = 0;
  double mse = 0;       ///< mean of (dequantised - x)^2
  double rel_rmse = 0;  ///< sqrt(mse / mean x^2)
  double sqnr_db = 0;   ///< -20 log10(rel_rmse)
  double scale_min = 0, scale_max = 0;
};

}  // namespace tessera
