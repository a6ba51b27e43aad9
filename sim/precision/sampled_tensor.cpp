#include "sim/precision/sampled_tensor.h"

#include <numeric>
#include <utility>

#include "sim/datapath/cast.h"

namespace tessera {

ColumnClusters separate_columns(std::int64_t count) {
  ColumnClusters clusters;
  clusters.size = clusters.count = count;
  clusters.of.resize(static_cast<std::size_t>(count));
  std::iota(clusters.of.begin(), clusters.of.end(), 0);
  return clusters;
}

SampledTensor exact_tensor(const RowSample& rows, std::int64_t cols, std::vector<float> values) {
  SampledTensor x;
  x.cols = cols;
  x.rows = rows;
  x.computed = values;
  x.reference = std::move(values);
  x.clusters = separate_columns(cols);
  return x;
}

void round_computed(SampledTensor& x, Format format) {
  if (format == Format::fp32 || !is_float(format)) return;
  const Overflow overflow = bits(format) <= 8 ? Overflow::saturate : Overflow::to_special;
  round_to(format, overflow, x.computed.data(), x.computed.data(),
           static_cast<std::int64_t>(x.computed.size()));
}

Estimate error_of(const SampledTensor& x) {
  return estimate_error(x.computed.data(), x.reference.data(), x.rows, x.clusters);
}

}  // namespace tessera
