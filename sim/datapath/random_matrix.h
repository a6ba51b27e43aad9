#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "sim/base/random.h"

namespace tessera {

/// What the elements of a random matrix are drawn from.
enum class Distribution : std::uint8_t {
  normal,      ///< N(0, 1)
  uniform,     ///< U(-1, 1)
  uniform01,   ///< U[0, 1)
  halfnormal,  ///< |N(0, 1)|: same-sign data, as after ReLU or softmax
  /// N(0, 1) + N(0, 100) * Bernoulli(0.001): the outliers of FlashAttention-3 (arXiv 2407.08608,
  /// section 4.3).
  outlier,
};

/// "normal", "uniform", "uniform01", "halfnormal", "outlier".
std::string_view name(Distribution distribution);
const std::vector<Distribution>& all_distributions();
/// Inverse of name(); throws InputError with the nearest valid name.
Distribution parse_distribution(std::string_view text);

/// The standard normal quantile of (bits + 1/2) / 2^32; |result| < 6.4. Exact rational arithmetic
/// apart from rounding: the same bits on every processor.
double normal_quantile(std::uint32_t bits);

/// values[i] = element first + i of the stream, for i < n: a pure function of the stream and the
/// element's number.
void fill_random(float* values, std::int64_t first, std::int64_t n, Distribution distribution,
                 const Random& random);

/// [rows][cols] of `seed`'s stream number `stream`.
std::vector<float> random_matrix(std::int64_t rows, std::int64_t cols, Distribution distribution,
                                 std::uint64_t seed, std::uint64_t stream = 0);

}  // namespace tessera
