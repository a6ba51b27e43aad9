#pragma once

#include <cstdint>
#include <vector>

#include "sim/precision/arithmetic.h"
#include "sim/precision/sampled_tensor.h"
#include "sim/precision/weights.h"

namespace tessera {

/// Parts of a product's columns that are alike: queries, keys and values.
struct ColumnRange {
  std::int64_t first = 0, size = 0;
};

struct ProductSampling {
  std::int64_t columns = 64;  ///< to compute, about; weights.rows() or more: all
  std::uint64_t seed = 1;
  std::uint64_t stream = 0;
};

/// x W^T on some of its columns.
struct LayerProduct {
  std::vector<std::int64_t> columns;  ///< computed, ascending
  std::vector<double> reference;      ///< [rows][columns]: exact, of the exact input
  std::vector<float> computed;        ///< the tensor core's FP32 results, of the computed input
  std::vector<double> own;            ///< exact, of the computed input
  std::vector<double> quantised;      ///< exact, of the quantised operands
  QuantisationStatistics input, weight;
};

/// Columns are drawn from equal parts of each range; where weights share scales across columns
/// (128 x 128, 16 x 16), they come from whole blocks of such columns.
LayerProduct multiply(const SampledTensor& x, const Weights& weights,
                      const OpArithmetic& arithmetic, const std::vector<ColumnRange>& ranges,
                      const ProductSampling& sampling);

/// The product's own error (OpError's first three parts, the total's interval, operand statistics
/// and counts). `output` is what its result is rounded to.
OpError product_error(const LayerProduct& product, const RowSample& rows, std::int64_t columns,
                      Format output);

/// Where the columns of a product of `columns` columns that were not computed come from: a random
/// computed one of the same range, or any where the range has none.
ColumnFill fill_columns(const LayerProduct& product, std::int64_t columns,
                        const std::vector<ColumnRange>& ranges, const ProductSampling& sampling);

/// The product on all columns.
SampledTensor filled(const LayerProduct& product, const RowSample& rows, std::int64_t columns,
                     const ColumnFill& fill);

}  // namespace tessera
