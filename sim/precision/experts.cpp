#include "sim/precision/experts.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "sim/base/random.h"
#include "sim/precision/elementwise.h"

namespace tessera {
namespace {

/// Outputs of an expert's products that are computed at least.
constexpr std::int64_t least_columns = 16;

/// What the experts of one token count: expert -> gate.
using Route = std::map<std::int64_t, float>;

Route route_by_logits(const float* logits, std::int64_t experts, std::int64_t topk) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(experts));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int64_t a, std::int64_t b) { return logits[a] > logits[b]; });
  Route route;
  double sum = 0;
  for (std::int64_t i = 0; i < topk; ++i)
    sum += std::exp(double{logits[order[static_cast<std::size_t>(i)]]} - double{logits[order[0]]});
  for (std::int64_t i = 0; i < topk; ++i) {
    const std::int64_t expert = order[static_cast<std::size_t>(i)];
    route[expert] =
        static_cast<float>(std::exp(double{logits[expert]} - double{logits[order[0]]}) / sum);
  }
  return route;
}

Route route_at_random(const Op& op, std::int64_t row, std::uint64_t seed) {
  const Random random(seed, stream_of("routing") ^ static_cast<std::uint64_t>(row));
  Route route;
  for (std::uint64_t i = 0; static_cast<std::int64_t>(route.size()) < op.topk; ++i)
    route[static_cast<std::int64_t>(random.uniform(i) * static_cast<double>(op.experts))] =
        static_cast<float>(1 / static_cast<double>(op.topk));
  return route;
}

/// Products of some of the rows, side by side, each relative to its RMS.
class ProductCollection {
 public:
  explicit ProductCollection(std::int64_t rows) : rows_(rows) {}

  void add(const LayerProduct& product, const std::vector<std::int64_t>& rows) {
    double square = 0;
    for (const double v : product.own) square += v * v;
    if (!(square > 0)) return;
    const double factor = std::sqrt(static_cast<double>(product.own.size()) / square);
    parts_.push_back({product, rows, factor});
    columns_ += static_cast<std::int64_t>(product.columns.size());
    if (whole_.weight.elements == 0) {
      whole_.input = product.input;
      whole_.weight = product.weight;
    }
    computed_ += static_cast<std::int64_t>(product.own.size());
  }

  std::int64_t computed() const { return computed_; }

  LayerProduct collected() {
    const auto cells = static_cast<std::size_t>(rows_ * columns_);
    whole_.columns.resize(static_cast<std::size_t>(columns_));
    std::iota(whole_.columns.begin(), whole_.columns.end(), 0);
    whole_.own.assign(cells, 0);
    whole_.quantised.assign(cells, 0);
    whole_.computed.assign(cells, 0);
    std::int64_t at = 0;
    for (const Part& part : parts_) {
      const auto some = static_cast<std::int64_t>(part.product.columns.size());
      for (std::size_t i = 0; i < part.rows.size(); ++i) {
        for (std::int64_t j = 0; j < some; ++j) {
          const auto from = i * static_cast<std::size_t>(some) + static_cast<std::size_t>(j);
          const auto to = static_cast<std::size_t>(part.rows[i] * columns_ + at + j);
          whole_.own[to] = part.product.own[from] * part.factor;
          whole_.quantised[to] = part.product.quantised[from] * part.factor;
          whole_.computed[to] =
              static_cast<float>(double{part.product.computed[from]} * part.factor);
        }
      }
      at += some;
    }
    return whole_;
  }

 private:
  struct Part {
    LayerProduct product;
    std::vector<std::int64_t> rows;
    double factor;
  };
  std::int64_t rows_, columns_ = 0, computed_ = 0;
  std::vector<Part> parts_;
  LayerProduct whole_;
};

}  // namespace

ExpertsResult mix_experts(const Op& op, const ExpertsInput& input, const OpArithmetic& arithmetic,
                          Format output, const ProductSampling& sampling) {
  const SampledTensor& x = *input.x;
  const std::int64_t rows = x.row_count();
  std::vector<Route> exact(static_cast<std::size_t>(rows)), computed(exact.size());
  std::map<std::int64_t, std::vector<std::int64_t>> rows_of;
  for (std::int64_t t = 0; t < rows; ++t) {
    const auto at = static_cast<std::size_t>(t);
    if (input.logits != nullptr) {
      exact[at] =
          route_by_logits(input.logits->reference.data() + t * op.experts, op.experts, op.topk);
      computed[at] =
          route_by_logits(input.logits->computed.data() + t * op.experts, op.experts, op.topk);
    } else {
      exact[at] = computed[at] = route_at_random(op, x.rows.rows[at], sampling.seed);
    }
    Route both = exact[at];
    both.insert(computed[at].begin(), computed[at].end());
    for (const auto& [expert, gate] : both) rows_of[expert].push_back(t);
  }

  ExpertsResult result;
  result.out.cols = op.hidden;
  result.out.rows = x.rows;
  result.out.reference.assign(static_cast<std::size_t>(rows * op.hidden), 0);
  result.out.computed = result.out.reference;
  ProductSampling share = sampling;
  share.columns =
      std::max(least_columns, 2 * sampling.columns / static_cast<std::int64_t>(rows_of.size()));
  const std::int64_t up_cols = (op.gated ? 2 : 1) * op.inter;
  std::vector<ColumnRange> up_ranges = {{0, op.inter}};
  if (op.gated) up_ranges.push_back({op.inter, op.inter});
  const std::vector<ColumnRange> down_ranges = {{0, op.hidden}};
  ProductCollection products(rows);

  for (const auto& [expert, expert_rows] : rows_of) {
    const auto some = static_cast<std::int64_t>(expert_rows.size());
    SampledTensor part;
    part.cols = x.cols;
    part.rows.size = x.rows.size;
    for (const std::int64_t t : expert_rows) {
      part.rows.rows.push_back(x.rows.rows[static_cast<std::size_t>(t)]);
      part.rows.weights.push_back(x.rows.weights[static_cast<std::size_t>(t)]);
      part.reference.insert(part.reference.end(), x.reference.begin() + t * x.cols,
                            x.reference.begin() + (t + 1) * x.cols);
      part.computed.insert(part.computed.end(), x.computed.begin() + t * x.cols,
                           x.computed.begin() + (t + 1) * x.cols);
    }
    ParameterName name = {input.block, input.copy, "moe.up", "", expert};
    const Weights up = Weights::find(input.source, sampling.seed, name, up_cols, op.hidden, 0);
    const LayerProduct wide = multiply(part, up, arithmetic, up_ranges, share);
    products.add(wide, expert_rows);
    SampledTensor y =
        filled(wide, part.rows, up_cols, fill_columns(wide, up_cols, up_ranges, share));
    round_computed(y, output);
    if (op.gated) {
      y = silu_mul(y, op.inter);
    } else {
      transform(y, gelu);
    }
    round_computed(y, output);

    name.operation = "moe.down";
    ProductSampling down_share = share;
    down_share.stream += 1;
    const Weights down = Weights::find(input.source, sampling.seed, name, op.hidden, op.inter, 0);
    for (const Weights* weights : {&up, &down})
      ++(weights->synthetic() ? result.synthetic_weights : result.stored_weights);
    const LayerProduct narrow = multiply(y, down, arithmetic, down_ranges, down_share);
    products.add(narrow, expert_rows);
    SampledTensor z = filled(narrow, part.rows, op.hidden,
                             fill_columns(narrow, op.hidden, down_ranges, down_share));
    round_computed(z, output);
    result.out.clusters = z.clusters;  // the same columns of every expert
    for (std::int64_t i = 0; i < some; ++i) {
      const std::int64_t t = expert_rows[static_cast<std::size_t>(i)];
      const auto gate = [&, of = expert](const Route& route) {
        const auto found = route.find(of);
        return found == route.end() ? 0.0F : found->second;
      };
      const float exact_gate = gate(exact[static_cast<std::size_t>(t)]);
      const float computed_gate = gate(computed[static_cast<std::size_t>(t)]);
      for (std::int64_t j = 0; j < op.hidden; ++j) {
        const auto from = static_cast<std::size_t>(i * op.hidden + j);
        const auto to = static_cast<std::size_t>(t * op.hidden + j);
        result.out.reference[to] += exact_gate * z.reference[from];
        result.out.computed[to] += computed_gate * z.computed[from];
      }
    }
  }
  result.error =
      product_error(products.collected(), x.rows, op.experts * (up_cols + op.hidden), output);
  result.error.outputs = op.tokens * op.topk * (up_cols + op.hidden);
  result.error.sampled = products.computed();
  return result;
}

}  // namespace tessera
