#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tessera {

// Tensors whose statistics follow the literature, as pure functions of a seed, a name and an
// element's place. docs/precision.md has the sources.

/// Elements [first, first + count) of weights [n][k]: normal with variance 1 / k, so that a product
/// keeps the variance of its input.
void synthetic_weights(std::uint64_t seed, const std::string& name, std::int64_t k,
                       std::int64_t first, std::int64_t count, float* values);
/// The median of the largest magnitude of n independent standard normals.
double largest_of_normals(double n);

/// Outliers of the residual stream of a model of so many parameters.
struct OutlierStatistics {
  double features = 0;  ///< share of the features that are outliers
  double presence = 0;  ///< share of the tokens in which an outlier feature is large
  double least = 0;     ///< magnitudes, in standard deviations of the other features
  double most = 0;
};
/// LLM.int8() (arXiv 2208.07339): from 6.7 billion parameters on 0.1 % of the features, 6 at least
/// that magnitude and up to 20 times the others, in 75 % of the positions; below, in 25 %.
OutlierStatistics outlier_statistics(std::int64_t parameters);

/// The residual stream between layers, a row at a time. Features are normal with variance 1; some,
/// the same for every token, are outliers with a sign and magnitude of their own; four features of
/// a sequence's first token are massive activations, in the proportion of those of LLaMA2-7B
/// (arXiv 2402.17762: 2622, 1547, 802 and 477 beside a median magnitude of 0.2).
class ResidualStream {
 public:
  ResidualStream(std::uint64_t seed, std::int64_t parameters, std::int64_t features);
  /// `row` names the token, `position` is its place in its sequence.
  void row(std::int64_t row, std::int64_t position, float* values) const;

 private:
  std::uint64_t seed_;
  std::int64_t features_;
  OutlierStatistics outliers_;
  std::vector<std::int64_t> outlier_features_;
  std::vector<float> outlier_values_;
  std::vector<std::int64_t> massive_features_;
};

/// Queries, keys and values of an attention without a model: N(0, 1) + N(0, 100) Bernoulli(0.001),
/// the distribution of FlashAttention-3's Table 3 (arXiv 2407.08608). Elements [first, first + n).
void synthetic_attention_operand(std::uint64_t seed, const std::string& name, std::int64_t first,
                                 std::int64_t count, float* values);

}  // namespace tessera
