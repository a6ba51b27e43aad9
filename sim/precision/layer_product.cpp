#include "sim/precision/layer_product.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/base/random.h"
#include "sim/base/units.h"
#include "sim/datapath/cast.h"
#include "sim/datapath/gemm.h"

namespace tessera {
namespace {

/// Columns of a pass in which all of them are computed.
constexpr std::int64_t pass_columns = 128;
/// Elements of k in a slice, about.
constexpr std::int64_t slice_products = 1024;
/// Products between promotions (Accumulation::promote128).
constexpr std::int64_t promotion = 128;

/// Columns whose weights share scales.
std::int64_t shared_columns(Scaling scaling) {
  if (scaling == Scaling::block_128x128) return 128;
  return scaling == Scaling::nvfp4_16x16 ? 16 : 1;
}

std::vector<std::int64_t> choose_columns(const Weights& weights, std::int64_t shared,
                                         const std::vector<ColumnRange>& ranges,
                                         const ProductSampling& sampling) {
  std::vector<std::int64_t> columns;
  if (sampling.columns >= weights.rows()) {
    columns.resize(static_cast<std::size_t>(weights.rows()));
    std::iota(columns.begin(), columns.end(), 0);
    return columns;
  }
  if (shared > 1) {
    // Some random columns of as few blocks as have them.
    const std::int64_t blocks = ceil_div(weights.rows(), shared);
    const std::int64_t wanted =
        std::min(blocks, ceil_div(sampling.columns, std::min<std::int64_t>(shared, 64)));
    for (const std::int64_t block :
         sample_columns(0, blocks, wanted, sampling.seed, sampling.stream)) {
      const std::int64_t first = block * shared;
      const std::int64_t size = std::min(shared, weights.rows() - first);
      const auto some = sample_columns(first, size, ceil_div(sampling.columns, wanted),
                                       sampling.seed, sampling.stream + 1);
      columns.insert(columns.end(), some.begin(), some.end());
    }
    return columns;
  }
  for (const ColumnRange& range : ranges) {
    const std::int64_t share =
        std::max<std::int64_t>(1, sampling.columns * range.size / weights.rows());
    const auto some =
        sample_columns(range.first, range.size, std::max<std::int64_t>(share, 8), sampling.seed,
                       sampling.stream + static_cast<std::uint64_t>(range.first));
    columns.insert(columns.end(), some.begin(), some.end());
  }
  std::sort(columns.begin(), columns.end());
  return columns;
}

QuantisedMatrix quantise_input(const SampledTensor& x, const OpArithmetic& arithmetic) {
  const GemmArithmetic& how = arithmetic.gemm;
  if (!arithmetic.delayed)
    return quantise(x.computed.data(), x.row_count(), x.cols, how.a_format, how.a_scaling,
                    how.a_rule);
  // Every other token stands for those of earlier steps.
  float amax = 0;
  for (std::int64_t t = 0; t < x.row_count(); t += 2)
    amax = std::max(amax, amax_of(x.computed.data() + t * x.cols, x.cols));
  const float scale = 1.0F / scale_from_amax(amax, max_finite(how.a_format), false);
  return quantise_with(x.computed.data(), x.row_count(), x.cols, how.a_format, how.a_scaling,
                       {scale});
}

void merge(QuantisationStatistics& all, const QuantisationStatistics& part) {
  if (all.elements == 0) {
    all = part;
    return;
  }
  const double a = static_cast<double>(all.elements), b = static_cast<double>(part.elements);
  const auto mean = [&](double x, double y) { return (x * a + y * b) / (a + b); };
  all.underflow_share = mean(all.underflow_share, part.underflow_share);
  all.overflow_share = mean(all.overflow_share, part.overflow_share);
  all.amax = std::max(all.amax, part.amax);
  all.dynamic_range = std::max(all.dynamic_range, part.dynamic_range);
  all.max_block_dynamic_range = std::max(all.max_block_dynamic_range, part.max_block_dynamic_range);
  all.elements += part.elements;
}

/// A matrix [rows][some] put into columns [at, at + some) of [rows][all].
template <class Real>
void place(const std::vector<Real>& part, std::int64_t rows, std::int64_t some, std::int64_t at,
           std::int64_t all, std::vector<Real>& whole) {
  for (std::int64_t t = 0; t < rows; ++t)
    std::copy_n(part.begin() + t * some, some, whole.begin() + t * all + at);
}

/// Columns [begin, begin + count) of a matrix [rows][cols].
template <class Real>
std::vector<Real> slice(const std::vector<Real>& matrix, std::int64_t cols, std::int64_t begin,
                        std::int64_t count) {
  const std::int64_t rows = static_cast<std::int64_t>(matrix.size()) / cols;
  std::vector<Real> part(static_cast<std::size_t>(rows * count));
  for (std::int64_t r = 0; r < rows; ++r)
    std::copy_n(matrix.begin() + r * cols + begin, count, part.begin() + r * count);
  return part;
}

/// The same of a quantised matrix; no block of scales may be cut.
QuantisedMatrix slice(const QuantisedMatrix& q, std::int64_t begin, std::int64_t count) {
  if (count == q.cols) return q;
  QuantisedMatrix part;
  part.format = q.format;
  part.scaling = q.scaling;
  part.rows = q.rows;
  part.cols = count;
  part.block_rows = q.block_rows;
  part.tensor_scale = q.tensor_scale;
  part.values = slice(q.values, q.cols, begin, count);
  if (q.block_cols >= q.cols) {
    part.block_cols = count;
    part.scales = q.scales;
  } else {
    part.block_cols = q.block_cols;
    part.scales =
        slice(q.scales, q.scale_columns(), begin / q.block_cols, ceil_div(count, q.block_cols));
  }
  return part;
}

/// Some columns of a product, in slices of k whose operands stay in the caches. A chain of steps
/// goes on from one slice into the next, so that slicing changes no bit of the datapath's result.
class Pass {
 public:
  Pass(const SampledTensor& x, const QuantisedMatrix& a, const Weights& weights,
       const OpArithmetic& arithmetic)
      : x_(x),
        a_(a),
        weights_(weights),
        how_(arithmetic.on_unit()),
        same_input_(x.reference == x.computed) {
    const Scaling scaling = how_.b_scaling;
    chained_ =
        scaling == Scaling::none || scaling == Scaling::tensor || scaling == Scaling::block_128x128;
    const std::int64_t step = std::lcm(std::int64_t{how_.unit->products}, promotion);
    slice_ = chained_ && step <= slice_products ? slice_products / step * step : x.cols;
    if (scaling == Scaling::tensor)
      weight_scale_ = 1.0F / scale_from_amax(weights.amax(), max_finite(how_.b_format), false);
  }

  /// The rows `picked` among the weights' rows `read`, into columns from `at` on.
  void run(const std::vector<std::int64_t>& read, const std::vector<std::int64_t>& picked,
           std::int64_t at, LayerProduct& product) const {
    const std::int64_t rows = x_.row_count();
    const auto some = static_cast<std::int64_t>(picked.size());
    const auto cells = static_cast<std::size_t>(rows * some);
    std::vector<double> own(cells), reference(cells), quantised(cells), part(2 * cells);
    std::vector<float> computed(cells);
    for (std::int64_t begin = 0; begin < x_.cols; begin += slice_) {
      const std::int64_t count = std::min(slice_, x_.cols - begin);
      std::vector<float> w(read.size() * static_cast<std::size_t>(count));
      weights_.read(read, begin, count, w.data());
      const QuantisedMatrix b = quantise_weights(w, read, picked, count, product.weight);
      for (std::int64_t i = 0; i < some; ++i)
        if (picked[static_cast<std::size_t>(i)] != i)
          std::copy_n(w.begin() + picked[static_cast<std::size_t>(i)] * count, count,
                      w.begin() + i * count);

      std::vector<float> inputs = slice(x_.computed, x_.cols, begin, count);
      if (!same_input_) {
        const std::vector<float> exact = slice(x_.reference, x_.cols, begin, count);
        inputs.insert(inputs.end(), exact.begin(), exact.end());
      }
      exact_product(inputs.data(), w.data(), (same_input_ ? 1 : 2) * rows, some, count,
                    part.data());
      for (std::size_t i = 0; i < cells; ++i) {
        own[i] += part[i];
        reference[i] += part[same_input_ ? i : cells + i];
      }
      const QuantisedMatrix a = slice(a_, begin, count);
      exact_product(a, b, part.data());
      for (std::size_t i = 0; i < cells; ++i) quantised[i] += part[i];
      if (chained_) {
        chain(a, b, computed.data());
      } else {
        emulate(a, b, how_, computed.data());
      }
    }
    if (how_.b_scaling == Scaling::tensor) {
      const float scale = a_.scales.front() * weight_scale_;
      for (float& v : computed) v *= scale;
    }
    const auto all = static_cast<std::int64_t>(product.columns.size());
    place(own, rows, some, at, all, product.own);
    place(reference, rows, some, at, all, product.reference);
    place(quantised, rows, some, at, all, product.quantised);
    place(computed, rows, some, at, all, product.computed);
  }

 private:
  QuantisedMatrix quantise_weights(const std::vector<float>& w,
                                   const std::vector<std::int64_t>& read,
                                   const std::vector<std::int64_t>& picked, std::int64_t count,
                                   QuantisationStatistics& statistics) const {
    const auto rows = static_cast<std::int64_t>(read.size());
    QuantisedMatrix b =
        how_.b_scaling == Scaling::tensor
            ? quantise_with(w.data(), rows, count, how_.b_format, how_.b_scaling, {weight_scale_})
            : quantise(w.data(), rows, count, how_.b_format, how_.b_scaling, how_.b_rule);
    merge(statistics, b.statistics);
    return picked.size() == read.size() ? b : b.rows_of(picked);
  }

  /// sums = the chain that begins with sums.
  void chain(const QuantisedMatrix& a, const QuantisedMatrix& b, float* sums) const {
    Gemm g;
    g.m = a.rows;
    g.n = b.rows;
    g.k = a.cols;
    g.a = a.values.data();
    std::vector<float> columns(b.values.size());
    constexpr std::int64_t tile = 32;
    for (std::int64_t first = 0; first < b.rows; first += tile)
      for (std::int64_t k = 0; k < b.cols; ++k)
        for (std::int64_t j = first; j < std::min(first + tile, b.rows); ++j)
          columns[static_cast<std::size_t>(k * b.rows + j)] =
              b.values[static_cast<std::size_t>(j * b.cols + k)];
    g.b = columns.data();
    g.c = g.d = sums;
    g.accumulator = how_.accumulator;
    std::vector<float> a_scales, b_scales;
    if (how_.accumulation == Accumulation::promote128) g.promote_every = promotion;
    if (how_.b_scaling == Scaling::block_128x128) {
      for (std::int64_t r = 0; r < a.rows; ++r)
        for (std::int64_t k = 0; k < a.cols; k += promotion)
          a_scales.push_back(a.block_scale(r, k));
      for (std::int64_t k = 0; k < a.cols; k += promotion)
        for (std::int64_t r = 0; r < b.rows; ++r) b_scales.push_back(b.block_scale(r, k));
      g.a_scales = a_scales.data();
      g.b_scales = b_scales.data();
    }
    gemm(*how_.unit, g);
  }

  const SampledTensor& x_;
  const QuantisedMatrix& a_;
  const Weights& weights_;
  GemmArithmetic how_;
  bool same_input_, chained_ = false;
  std::int64_t slice_ = 0;
  float weight_scale_ = 1;
};

}  // namespace

LayerProduct multiply(const SampledTensor& x, const Weights& weights,
                      const OpArithmetic& arithmetic, const std::vector<ColumnRange>& ranges,
                      const ProductSampling& sampling) {
  const std::int64_t rows = x.row_count();
  const std::int64_t shared = shared_columns(arithmetic.gemm.b_scaling);
  LayerProduct product;
  product.columns = choose_columns(weights, shared, ranges, sampling);
  const auto all = static_cast<std::int64_t>(product.columns.size());
  const auto cells = static_cast<std::size_t>(rows * all);
  product.reference.resize(cells);
  product.computed.resize(cells);
  product.own.resize(cells);
  product.quantised.resize(cells);
  const QuantisedMatrix a = quantise_input(x, arithmetic);
  product.input = a.statistics;
  const Pass pass(x, a, weights, arithmetic);

  for (std::int64_t begin = 0; begin < all;) {
    // The columns of a pass, and those that must be read with them.
    std::int64_t end = begin;
    std::vector<std::int64_t> read, picked;
    while (end < all && end - begin < pass_columns) {
      const std::int64_t column = product.columns[static_cast<std::size_t>(end)];
      const std::int64_t block = column / shared * shared;
      if (read.empty() || read.back() < block)
        for (std::int64_t r = block; r < std::min(block + shared, weights.rows()); ++r)
          read.push_back(r);
      picked.push_back(std::lower_bound(read.begin(), read.end(), column) - read.begin());
      ++end;
    }
    pass.run(read, picked, begin, product);
    begin = end;
  }
  return product;
}

OpError product_error(const LayerProduct& product, const RowSample& rows, std::int64_t columns,
                      Format output) {
  ColumnClusters clusters = separate_columns(static_cast<std::int64_t>(product.columns.size()));
  clusters.size = columns;
  std::vector<float> rounded = product.computed;
  if (output != Format::fp32)
    round_to(output, Overflow::to_special, rounded.data(), rounded.data(),
             static_cast<std::int64_t>(rounded.size()));
  const std::vector<double> computed(product.computed.begin(), product.computed.end());
  const std::vector<double> stored(rounded.begin(), rounded.end());
  OpError error;
  error.studied = true;
  error.quantisation =
      estimate_error(product.quantised.data(), product.own.data(), rows, clusters).measure;
  error.accumulation =
      estimate_error(computed.data(), product.quantised.data(), rows, clusters).measure;
  const Estimate total = estimate_error(stored.data(), product.own.data(), rows, clusters);
  error.total = total.measure;
  error.total_low = total.low;
  error.total_high = total.high;
  const auto operand = [](const QuantisationStatistics& s) {
    return OperandStatistics{s.amax, s.underflow_share, s.overflow_share, s.dynamic_range,
                             s.max_block_dynamic_range};
  };
  error.input = operand(product.input);
  error.weight = operand(product.weight);
  error.outputs = rows.size * columns;
  error.sampled = static_cast<std::int64_t>(product.computed.size());
  return error;
}

ColumnFill fill_columns(const LayerProduct& product, std::int64_t columns,
                        const std::vector<ColumnRange>& ranges, const ProductSampling& sampling) {
  ColumnFill fill;
  fill.source.resize(static_cast<std::size_t>(columns));
  fill.sign.assign(static_cast<std::size_t>(columns), 1.0F);
  const Random random(sampling.seed, sampling.stream ^ stream_of("fill"));
  for (const ColumnRange& range : ranges) {
    auto low = std::lower_bound(product.columns.begin(), product.columns.end(), range.first);
    auto high = std::lower_bound(low, product.columns.end(), range.first + range.size);
    if (low == high) {
      low = product.columns.begin();
      high = product.columns.end();
    }
    const auto first = static_cast<std::uint64_t>(low - product.columns.begin());
    const auto count = static_cast<std::uint64_t>(high - low);
    Random::Block words{};
    for (std::int64_t j = range.first; j < range.first + range.size; ++j) {
      const auto number = static_cast<std::uint64_t>(j);
      if (number % 4 == 0 || j == range.first) words = random.block(number / 4);
      const std::uint64_t word = words[number % 4];
      fill.source[static_cast<std::size_t>(j)] =
          static_cast<int>(first + ((word >> 1) * count >> 31));
      if ((word & 1) != 0) fill.sign[static_cast<std::size_t>(j)] = -1.0F;
    }
  }
  for (std::size_t i = 0; i < product.columns.size(); ++i) {
    const auto at = static_cast<std::size_t>(product.columns[i]);
    fill.source[at] = static_cast<int>(i);
    fill.sign[at] = 1.0F;
  }
  return fill;
}

SampledTensor filled(const LayerProduct& product, const RowSample& rows, std::int64_t columns,
                     const ColumnFill& fill) {
  SampledTensor y;
  y.cols = columns;
  y.rows = rows;
  y.clusters.size = columns;
  y.clusters.count = static_cast<std::int64_t>(product.columns.size());
  y.clusters.of = fill.source;
  const std::size_t count = product.columns.size(), width = static_cast<std::size_t>(columns);
  y.reference.resize(rows.rows.size() * width);
  y.computed.resize(y.reference.size());
  for (std::size_t t = 0; t < rows.rows.size(); ++t) {
    const double* reference = product.reference.data() + t * count;
    const float* computed = product.computed.data() + t * count;
    for (std::size_t j = 0; j < width; ++j) {
      const auto from = static_cast<std::size_t>(fill.source[j]);
      y.reference[t * width + j] = fill.sign[j] * static_cast<float>(reference[from]);
      y.computed[t * width + j] = fill.sign[j] * computed[from];
    }
  }
  return y;
}

}  // namespace tessera
