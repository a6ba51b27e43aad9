#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "sim/report/result.h"

namespace tessera {

/// A stream of random numbers (sim/base/random.h) for each name: FNV-1a of its bytes.
std::uint64_t stream_of(std::string_view name);

/// Some of `size` rows, ascending, each with the number of rows it stands for.
struct RowSample {
  std::int64_t size = 0;
  std::vector<std::int64_t> rows;
  std::vector<double> weights;

  bool whole() const { return static_cast<std::int64_t>(rows.size()) == size; }
};

/// About `count` of the rows of `sequences` sequences of `length` tokens: the first token of the
/// first sequence, which stands for every sequence's first (massive activations live there), its
/// last, and one at random of each of equal parts of the rest. All rows if count covers them.
RowSample sample_rows(std::int64_t sequences, std::int64_t length, std::int64_t count,
                      std::uint64_t seed);

/// `count` of the columns [first, first + size), one at random of each of equal parts; ascending.
std::vector<std::int64_t> sample_columns(std::int64_t first, std::int64_t size, std::int64_t count,
                                         std::uint64_t seed, std::uint64_t stream);

/// Columns whose values come from one computed column of a matrix product: they say nothing that
/// the column has not said.
struct ColumnClusters {
  std::int64_t size = 0;   ///< columns of the whole tensor
  std::int64_t count = 0;  ///< clusters; = size where every column was computed
  std::vector<int> of;     ///< of each column present
};

/// An error with the 95 % confidence interval of its relative RMSE.
struct Estimate {
  ErrorMeasure measure;
  double low = 0, high = 0;
};

/// Compares computed[rows][columns] with the reference. The relative RMSE weighs rows by what they
/// stand for. Its interval treats rows and column clusters as drawn at random, each with the
/// correction for a finite population: the linearised variance of the ratio sum e^2 / sum r^2 with
/// two-way clusters (Cameron, Gelbach and Miller 2011: by rows plus by columns less by cells), and
/// Student's t with as many degrees of freedom as the smaller number of clusters less one.
Estimate estimate_error(const double* computed, const double* reference, const RowSample& rows,
                        const ColumnClusters& columns);
Estimate estimate_error(const float* computed, const float* reference, const RowSample& rows,
                        const ColumnClusters& columns);
/// The same with every row's error relative to that row's own length: the measure of the residual
/// stream, which the next operation normalises row by row.
Estimate estimate_row_error(const float* computed, const float* reference, const RowSample& rows,
                            const ColumnClusters& columns);

}  // namespace tessera
