#pragma once

#include <cstdint>
#include <vector>

namespace tessera {

/// Spearman's rho of two equally long lists: Pearson's coefficient of their ranks, equal values
/// sharing the mean of their ranks. 1 if both are constant, 0 if one is.
double spearman(const std::vector<double>& x, const std::vector<double>& y);

/// Kendall's tau-b: (concordant - discordant pairs) / sqrt(pairs untied in x * pairs untied in y).
/// 1 if both are constant, 0 if one is.
double kendall(const std::vector<double>& x, const std::vector<double>& y);

/// Cosines between all vectors [count][width], computed in FP64: [count][count]. The cosine with a
/// vector of zeros is 0.
std::vector<double> cosines(const float* vectors, std::int64_t count, std::int64_t width);

/// Other than `item`, whose similarity to it is largest; of equal ones the first.
std::int64_t nearest_to(const std::vector<double>& similarities, std::int64_t count,
                        std::int64_t item);

/// How the similarities of items moved.
struct RankingChange {
  std::int64_t pairs = 0;
  double spearman = 1;                 ///< of all pairs
  double kendall = 1;                  ///< likewise
  std::int64_t top1_changes = 0;       ///< items whose nearest is another one now
  double largest_change = 0;           ///< of a pair's similarity
  std::int64_t first = 0, second = 1;  ///< that pair
  double mean_change = 0;              ///< mean magnitude
};

/// `before` and `after`: [count][count], symmetric; two items or more.
RankingChange ranking_change(const std::vector<double>& before, const std::vector<double>& after,
                             std::int64_t count);

}  // namespace tessera
