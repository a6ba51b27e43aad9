#include "sim/precision/layer_product.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/base/random.h"
#include "sim/base/units.h"
#include "sim/datapath/cast.h"

namespace tessera {
namespace {

/// Columns of a pass in which all of them are computed.
constexpr std::int64_t pass_columns = 128;

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
    const std::int64_t wanted = std::min(blocks, ceil_div(sampling.columns, std::min<std::int64_t>(shared, 64)));
    for (const std::int64_t block : sample_columns(0, blocks, wanted, sampling.seed, sampling.stream)) {
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

}  // namespace

LayerProduct multiply(const SampledTensor& x, const Weights& weights, const OpArithmetic& arithmetic,
                      const std::vector<ColumnRange>& ranges, const ProductSampling& sampling) {
  const GemmArithmetic how = arithmetic.on_unit();
  const std::int64_t rows = x.row_count(), k = x.cols;
  const std::int64_t shared = shared_columns(how.b_scaling);
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
  const float weight_amax = how.b_scaling == Scaling::tensor ? weights.amax() : 0;
  const bool same_input = x.reference == x.computed;
  std::vector<float> inputs = x.computed;
  if (!same_input) inputs.insert(inputs.end(), x.reference.begin(), x.reference.end());

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
      const auto at = std::lower_bound(read.begin(), read.end(), column);
      picked.push_back(at - read.begin());
      ++end;
    }
    const std::int64_t some = end - begin;
    std::vector<float> w(read.size() * static_cast<std::size_t>(k));
    weights.read(read, w.data());
    const auto read_rows = static_cast<std::int64_t>(read.size());
    QuantisedMatrix b;
    if (how.b_scaling == Scaling::tensor) {
      const float amax = std::max(weight_amax, amax_of(w.data(), read_rows * k));
      b = quantise_with(w.data(), read_rows, k, how.b_format, how.b_scaling,
                        {1.0F / scale_from_amax(amax, max_finite(how.b_format), false)});
    } else {
      b = quantise(w.data(), read_rows, k, how.b_format, how.b_scaling, how.b_rule);
    }
    merge(product.weight, b.statistics);
    if (read_rows != some) {
      b = b.rows_of(picked);
      for (std::int64_t i = 0; i < some; ++i)
        if (picked[static_cast<std::size_t>(i)] != i)
          std::copy_n(w.begin() + picked[static_cast<std::size_t>(i)] * k, k, w.begin() + i * k);
    }

    std::vector<double> exact(static_cast<std::size_t>((same_input ? 1 : 2) * rows * some));
    exact_product(inputs.data(), w.data(), (same_input ? 1 : 2) * rows, some, k, exact.data());
    std::vector<double> quantised(static_cast<std::size_t>(rows * some));
    exact_product(a, b, quantised.data());
    std::vector<float> computed(static_cast<std::size_t>(rows * some));
    emulate(a, b, how, computed.data());

    place(exact, rows, some, begin, all, product.own);
    if (!same_input) exact.erase(exact.begin(), exact.begin() + rows * some);
    place(exact, rows, some, begin, all, product.reference);
    place(quantised, rows, some, begin, all, product.quantised);
    place(computed, rows, some, begin, all, product.computed);
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
