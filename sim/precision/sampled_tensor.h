#pragma once

#include <cstdint>
#include <vector>

#include "sim/datapath/format.h"
#include "sim/precision/sampling.h"

namespace tessera {

/// The sampled rows of an activation tensor, twice: as exact arithmetic gives them and as the
/// modelled datapath does.
struct SampledTensor {
  std::int64_t cols = 0;
  RowSample rows;
  std::vector<float> reference, computed;  ///< [rows][cols]
  ColumnClusters clusters;

  std::int64_t row_count() const { return static_cast<std::int64_t>(rows.rows.size()); }
};

/// Every column a cluster of its own.
ColumnClusters separate_columns(std::int64_t count);

/// Values that both arithmetics start from.
SampledTensor exact_tensor(const RowSample& rows, std::int64_t cols, std::vector<float> values);

/// Rounds what the datapath keeps to the format in which it is stored.
void round_computed(SampledTensor& x, Format format);

/// The error of the tensor as it stands.
Estimate error_of(const SampledTensor& x);

/// How the columns of a product that were not computed take the place of ones that were: column j
/// is computed column source[j], times sign[j].
///
/// With weights whose columns are alike in distribution and symmetric about 0, this is the product
/// itself with other such weights: datapaths round -x to minus what they round x to, so a pair of
/// exact and computed value, negated together, is a pair that the negated weights give.
struct ColumnFill {
  std::vector<int> source;
  std::vector<float> sign;  ///< +1 or -1
};

}  // namespace tessera
