#include "sim/precision/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/base/random.h"

namespace tessera {
namespace {

/// Student's t, 97.5 %.
double student_t(std::int64_t degrees) {
  static constexpr double table[] = {12.706, 4.303, 3.182, 2.776, 2.571,
                                     2.447,  2.365, 2.306, 2.262, 2.228};
  if (degrees < 1) return table[0];
  if (degrees <= 10) return table[degrees - 1];
  return 1.95996 + 2.5 / static_cast<double>(degrees);
}

/// Error and reference energies of the cells where rows and column clusters cross.
class Cells {
 public:
  Cells(const RowSample& rows, const ColumnClusters& columns)
      : rows_(rows), columns_(columns), count_(columns.count) {
    const auto cells = rows.rows.size() * static_cast<std::size_t>(count_);
    error_.assign(cells, 0);
    reference_.assign(cells, 0);
  }

  template <class Real>
  void add(const Real* computed, const Real* reference) {
    const std::size_t n = columns_.of.size();
    for (std::size_t t = 0; t < rows_.rows.size(); ++t) {
      double* error = error_.data() + t * static_cast<std::size_t>(count_);
      double* square = reference_.data() + t * static_cast<std::size_t>(count_);
      for (std::size_t j = 0; j < n; ++j) {
        const double r = reference[t * n + j];
        const double e = double{computed[t * n + j]} - r;
        error[columns_.of[j]] += e * e;
        square[columns_.of[j]] += r * r;
        largest_ = std::max(largest_, std::abs(e));
      }
    }
  }

  /// Every row relative to its own length.
  void normalise_rows() {
    for (std::size_t t = 0; t < rows_.rows.size(); ++t) {
      const auto begin = static_cast<std::ptrdiff_t>(t) * count_;
      const double length =
          std::accumulate(reference_.begin() + begin, reference_.begin() + begin + count_, 0.0);
      if (!(length > 0)) continue;
      for (std::ptrdiff_t c = begin; c < begin + count_; ++c) {
        error_[static_cast<std::size_t>(c)] /= length;
        reference_[static_cast<std::size_t>(c)] /= length;
      }
    }
  }

  Estimate estimate() const {
    Estimate estimate;
    double error = 0, reference = 0, mean_square = 0, weight = 0;
    each([&](std::size_t t, std::size_t, double e, double r) {
      error += rows_.weights[t] * e;
      reference += rows_.weights[t] * r;
    });
    for (const double w : rows_.weights) weight += w;
    mean_square =
        reference / (weight * static_cast<double>(std::max<std::size_t>(1, columns_.of.size())));
    if (!(reference > 0)) return estimate;
    const double ratio = error / reference;
    ErrorMeasure& m = estimate.measure;
    m.rel_rmse = std::sqrt(ratio);
    m.sqnr_db = ratio > 0 ? -10 * std::log10(ratio) : 0;
    m.max_over_rms = largest_ / std::sqrt(mean_square);
    const double deviation = std::sqrt(variance(ratio)) / reference;
    const double half = ratio > 0 ? quantile() * deviation / (2 * m.rel_rmse) : 0;
    estimate.low = std::max(0.0, m.rel_rmse - half);
    estimate.high = m.rel_rmse + half;
    return estimate;
  }

 private:
  template <class Each>
  void each(Each visit) const {
    for (std::size_t t = 0; t < rows_.rows.size(); ++t) {
      for (std::size_t c = 0; c < static_cast<std::size_t>(count_); ++c) {
        const std::size_t at = t * static_cast<std::size_t>(count_) + c;
        visit(t, c, error_[at], reference_[at]);
      }
    }
  }

  /// Of sum w (e - ratio r), clusters drawn without replacement.
  double variance(double ratio) const {
    const std::size_t row_count = rows_.rows.size();
    std::vector<double> by_row(row_count), by_column(static_cast<std::size_t>(count_));
    double by_cell = 0;
    each([&](std::size_t t, std::size_t c, double e, double r) {
      const double residual = rows_.weights[t] * (e - ratio * r);
      by_row[t] += residual;
      by_column[c] += residual;
      by_cell += residual * residual;
    });
    const auto squares = [](const std::vector<double>& values) {
      double sum = 0;
      for (const double v : values) sum += v * v;
      const auto n = static_cast<double>(values.size());
      return n > 1 ? sum * n / (n - 1) : 0.0;
    };
    const double rows_left = share_left(row_count, rows_.size);
    const double columns_left = share_left(static_cast<std::size_t>(count_), columns_.size);
    const double rows = squares(by_row) * rows_left;
    const double columns = squares(by_column) * columns_left;
    return std::max({rows, columns, rows + columns - by_cell * rows_left * columns_left});
  }

  static double share_left(std::size_t drawn, std::int64_t all) {
    return 1 - static_cast<double>(drawn) / static_cast<double>(std::max<std::int64_t>(all, 1));
  }

  double quantile() const {
    std::int64_t smallest = std::numeric_limits<std::int64_t>::max();
    if (!rows_.whole()) smallest = static_cast<std::int64_t>(rows_.rows.size());
    if (count_ < columns_.size) smallest = std::min(smallest, count_);
    return student_t(smallest - 1);
  }

  const RowSample& rows_;
  const ColumnClusters& columns_;
  std::int64_t count_;
  std::vector<double> error_, reference_;  ///< [row][cluster]
  double largest_ = 0;
};

}  // namespace

std::uint64_t stream_of(std::string_view name) {
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  return hash;
}

RowSample sample_rows(std::int64_t sequences, std::int64_t length, std::int64_t count,
                      std::uint64_t seed) {
  RowSample sample;
  sample.size = sequences * length;
  count = std::max<std::int64_t>(count, 3);
  if (count >= sample.size) {
    sample.rows.resize(static_cast<std::size_t>(sample.size));
    std::iota(sample.rows.begin(), sample.rows.end(), 0);
    sample.weights.assign(sample.rows.size(), 1);
    return sample;
  }
  const Random random(seed, stream_of("rows"));
  sample.rows = {0};
  // Of a prompt's tokens behind the first; in decode every row is one of many equal ones.
  const double firsts = length > 1 ? static_cast<double>(sequences) : 1;
  sample.weights = {firsts};
  const double rest = (static_cast<double>(sample.size) - firsts) / static_cast<double>(count - 1);
  for (std::int64_t i = 1; i < count; ++i) {
    const auto part = [&](std::int64_t n) { return 1 + (sample.size - 1) * n / (count - 1); };
    const std::int64_t begin = part(i - 1), end = part(i);
    const double u = random.uniform(static_cast<std::uint64_t>(i));
    std::int64_t row = begin + static_cast<std::int64_t>(u * static_cast<double>(end - begin));
    if (begin <= length - 1 && length - 1 < end) row = length - 1;
    sample.rows.push_back(row);
    sample.weights.push_back(rest);
  }
  return sample;
}

std::vector<std::int64_t> sample_columns(std::int64_t first, std::int64_t size, std::int64_t count,
                                         std::uint64_t seed, std::uint64_t stream) {
  count = std::min(count, size);
  const Random random(seed, stream ^ stream_of("columns"));
  std::vector<std::int64_t> columns;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t begin = size * i / count, end = size * (i + 1) / count;
    const double u = random.uniform(static_cast<std::uint64_t>(i));
    columns.push_back(first + begin +
                      static_cast<std::int64_t>(u * static_cast<double>(end - begin)));
  }
  return columns;
}

Estimate estimate_error(const double* computed, const double* reference, const RowSample& rows,
                        const ColumnClusters& columns) {
  Cells cells(rows, columns);
  cells.add(computed, reference);
  return cells.estimate();
}

Estimate estimate_error(const float* computed, const float* reference, const RowSample& rows,
                        const ColumnClusters& columns) {
  Cells cells(rows, columns);
  cells.add(computed, reference);
  return cells.estimate();
}

Estimate estimate_row_error(const float* computed, const float* reference, const RowSample& rows,
                            const ColumnClusters& columns) {
  Cells cells(rows, columns);
  cells.add(computed, reference);
  cells.normalise_rows();
  return cells.estimate();
}

}  // namespace tessera
