#include "sim/precision/ranking.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tessera {

namespace {

/// Ranks from 1; equal values share the mean.
std::vector<double> ranks(const std::vector<double>& x) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return x[i] < x[j]; });
  std::vector<double> result(x.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;
    while (end < order.size() && x[order[end]] == x[order[begin]]) ++end;
    const double rank = 0.5 * (static_cast<double>(begin) + static_cast<double>(end) + 1);
    for (; begin < end; ++begin) result[order[begin]] = rank;
  }
  return result;
}

std::int64_t pairs_of(std::int64_t n) { return n * (n - 1) / 2; }

/// Pairs of equal neighbours in a sorted order.
template <typename Equal>
std::int64_t ties(std::size_t n, Equal equal) {
  std::int64_t pairs = 0;
  for (std::size_t begin = 0, end = 0; begin < n; begin = end) {
    while (end < n && equal(begin, end)) ++end;
    pairs += pairs_of(static_cast<std::int64_t>(end - begin));
  }
  return pairs;
}

/// Sorts y and counts the exchanges of neighbours that it takes.
std::int64_t sort_counting(std::vector<double>& y, std::vector<double>& spare, std::size_t begin,
                           std::size_t end) {
  if (end - begin < 2) return 0;
  const std::size_t middle = begin + (end - begin) / 2;
  std::int64_t exchanges =
      sort_counting(y, spare, begin, middle) + sort_counting(y, spare, middle, end);
  std::size_t left = begin, right = middle;
  for (std::size_t to = begin; to < end; ++to) {
    if (right == end || (left < middle && y[left] <= y[right])) {
      spare[to] = y[left++];
    } else {
      spare[to] = y[right++];
      exchanges += static_cast<std::int64_t>(middle - left);
    }
  }
  std::copy(spare.begin() + static_cast<std::ptrdiff_t>(begin),
            spare.begin() + static_cast<std::ptrdiff_t>(end),
            y.begin() + static_cast<std::ptrdiff_t>(begin));
  return exchanges;
}

}  // namespace

double spearman(const std::vector<double>& x, const std::vector<double>& y) {
  const std::vector<double> a = ranks(x), b = ranks(y);
  const double mean = 0.5 * (static_cast<double>(x.size()) + 1);
  double aa = 0, bb = 0, ab = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    aa += (a[i] - mean) * (a[i] - mean);
    bb += (b[i] - mean) * (b[i] - mean);
    ab += (a[i] - mean) * (b[i] - mean);
  }
  if (aa == 0 || bb == 0) return aa == bb ? 1 : 0;
  return ab / std::sqrt(aa * bb);
}

// Knight's algorithm: in the order of x, discordant pairs are the exchanges that sort y.
double kendall(const std::vector<double>& x, const std::vector<double>& y) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t i, std::size_t j) { return x[i] != x[j] ? x[i] < x[j] : y[i] < y[j]; });
  const std::int64_t tied_x =
      ties(order.size(), [&](std::size_t i, std::size_t j) { return x[order[i]] == x[order[j]]; });
  const std::int64_t tied_both = ties(order.size(), [&](std::size_t i, std::size_t j) {
    return x[order[i]] == x[order[j]] && y[order[i]] == y[order[j]];
  });
  std::vector<double> sorted, spare(x.size());
  for (const std::size_t i : order) sorted.push_back(y[i]);
  const std::int64_t exchanges = sort_counting(sorted, spare, 0, sorted.size());
  const std::int64_t tied_y =
      ties(sorted.size(), [&](std::size_t i, std::size_t j) { return sorted[i] == sorted[j]; });
  const std::int64_t all = pairs_of(static_cast<std::int64_t>(x.size()));
  if (tied_x == all || tied_y == all) return tied_x == tied_y ? 1 : 0;
  const std::int64_t difference = all - tied_x - tied_y + tied_both - 2 * exchanges;
  return static_cast<double>(difference) / std::sqrt(static_cast<double>(all - tied_x)) /
         std::sqrt(static_cast<double>(all - tied_y));
}

std::vector<double> cosines(const float* vectors, std::int64_t count, std::int64_t width) {
  const auto dot = [&](std::int64_t i, std::int64_t j) {
    double sum = 0;
    for (std::int64_t k = 0; k < width; ++k) {
      sum += static_cast<double>(vectors[i * width + k]) * vectors[j * width + k];
    }
    return sum;
  };
  std::vector<double> norms, result;
  for (std::int64_t i = 0; i < count; ++i) norms.push_back(std::sqrt(dot(i, i)));
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t j = 0; j < count; ++j) {
      const double length = norms[static_cast<std::size_t>(i)] * norms[static_cast<std::size_t>(j)];
      result.push_back(length > 0 ? dot(i, j) / length : 0);
    }
  }
  return result;
}

std::int64_t nearest_to(const std::vector<double>& similarities, std::int64_t count,
                        std::int64_t item) {
  std::int64_t best = item == 0 ? 1 : 0;
  for (std::int64_t other = 0; other < count; ++other) {
    if (other != item && similarities[static_cast<std::size_t>(item * count + other)] >
                             similarities[static_cast<std::size_t>(item * count + best)]) {
      best = other;
    }
  }
  return best;
}

RankingChange ranking_change(const std::vector<double>& before, const std::vector<double>& after,
                             std::int64_t count) {
  RankingChange change;
  std::vector<double> x, y;
  for (std::int64_t i = 0; i < count; ++i) {
    if (nearest_to(before, count, i) != nearest_to(after, count, i)) ++change.top1_changes;
    for (std::int64_t j = i + 1; j < count; ++j) {
      x.push_back(before[static_cast<std::size_t>(i * count + j)]);
      y.push_back(after[static_cast<std::size_t>(i * count + j)]);
      const double moved = std::fabs(y.back() - x.back());
      change.mean_change += moved;
      if (moved > change.largest_change) {
        change.largest_change = moved;
        change.first = i;
        change.second = j;
      }
    }
  }
  change.pairs = static_cast<std::int64_t>(x.size());
  change.mean_change /= static_cast<double>(x.size());
  change.spearman = spearman(x, y);
  change.kendall = kendall(x, y);
  return change;
}

}  // namespace tessera
