#include "sim/precision/attention.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/base/random.h"
#include "sim/datapath/cast.h"
#include "sim/precision/layer_product.h"
#include "sim/precision/synthetic.h"

namespace tessera {
namespace {

/// Multiply-adds of Q K^T of one head beyond which fewer rows are computed.
constexpr std::int64_t head_products = std::int64_t{1} << 24;
/// FP8 probabilities are scaled by this, as FlashAttention-3 and 4 do.
constexpr float probability_scale = 256;

/// Exact and computed values of one matrix.
struct Pair {
  std::vector<float> reference, computed;
  void resize(std::int64_t n) {
    reference.resize(static_cast<std::size_t>(n));
    computed.resize(static_cast<std::size_t>(n));
  }
};

/// Signs of `count` elements of a row, from 32 random bits each word.
void copy_with_signs(const float* from, std::int64_t count, const Random& random,
                     std::uint64_t index, float* to) {
  Random::Block words{};
  for (std::int64_t i = 0; i < count; ++i) {
    if (i % 128 == 0) words = random.block(index + static_cast<std::uint64_t>(i) / 128);
    const std::uint32_t bit = words[static_cast<std::size_t>(i / 32 % 4)] >> (i % 32) & 1;
    to[i] = fp32_value(fp32_bits(from[i]) ^ bit << 31);
  }
}

class Attention {
 public:
  Attention(const Op& op, const AttentionInput& input, const OpArithmetic& arithmetic,
            Format output, const AttentionSampling& sampling)
      : op_(op),
        input_(input),
        x_(*input.x),
        how_(arithmetic.on_unit()),
        output_(output),
        sampling_(sampling),
        past_(op.kv_len - op.q_len) {}

  AttentionResult run() {
    const std::int64_t d = op_.head_dim;
    AttentionResult result;
    result.out.cols = op_.heads * d;
    result.out.rows = x_.rows;
    result.out.reference.resize(x_.rows.rows.size() * static_cast<std::size_t>(result.out.cols));
    result.out.computed.resize(result.out.reference.size());

    const std::int64_t head_count =
        sampling_.exact ? op_.heads : std::min(sampling_.heads, op_.heads);
    const std::vector<std::int64_t> heads =
        sample_columns(0, op_.heads, head_count, sampling_.seed, sampling_.stream);
    const std::vector<std::int64_t> computed_rows = affordable_rows();
    const auto row_count = static_cast<std::int64_t>(computed_rows.size());
    const std::int64_t width = head_count * d;
    // [computed row][computed head][dimension]
    Pair out;
    out.resize(row_count * width);
    std::vector<double> own(static_cast<std::size_t>(row_count * width)), quantised(own.size());
    for (const auto& group : groups(computed_rows)) {
      std::int64_t kv_head = -1;
      for (std::int64_t h = 0; h < head_count; ++h) {
        const std::int64_t head = heads[static_cast<std::size_t>(h)];
        if (head / (op_.heads / op_.kv_heads) != kv_head) {
          kv_head = head / (op_.heads / op_.kv_heads);
          read_keys_and_values(group, computed_rows, kv_head);
        }
        compute(group, computed_rows, head, h * d, width, out, own, quantised);
      }
    }
    error(result.error, computed_rows, width, out, own, quantised);
    spread(result.out, computed_rows, heads, out);
    return result;
  }

 private:
  /// Indices (into computed rows) of queries that see the same keys.
  using Group = std::vector<std::size_t>;

  std::int64_t position(std::int64_t row) const { return past_ + row % op_.q_len; }

  /// Indices into the sampled rows.
  std::vector<std::int64_t> affordable_rows() const {
    const std::int64_t all = x_.row_count();
    std::int64_t count = all;
    if (!sampling_.exact)
      count = std::clamp<std::int64_t>(head_products / (op_.kv_len * op_.head_dim), 2, all);
    count = std::min(count, all);
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < count; ++i)
      rows.push_back(count == 1 ? all - 1 : i * (all - 1) / (count - 1));
    return rows;
  }

  std::vector<Group> groups(const std::vector<std::int64_t>& computed_rows) const {
    std::vector<Group> groups;
    std::int64_t sequence = -1;
    for (std::size_t i = 0; i < computed_rows.size(); ++i) {
      const std::int64_t own = row(computed_rows[i]) / op_.q_len;
      if (groups.empty() || (sampling_.exact && own != sequence)) groups.emplace_back();
      groups.back().push_back(i);
      sequence = own;
    }
    return groups;
  }

  std::int64_t row(std::int64_t index) const {
    return x_.rows.rows[static_cast<std::size_t>(index)];
  }

  /// Column of a head's first query, key or value in x.
  std::int64_t query_column(std::int64_t head) const { return head * op_.head_dim; }
  std::int64_t key_column(std::int64_t kv_head) const {
    return (op_.heads + kv_head) * op_.head_dim;
  }
  std::int64_t value_column(std::int64_t kv_head) const {
    return (op_.heads + op_.kv_heads + kv_head) * op_.head_dim;
  }

  void read_keys_and_values(const Group& group, const std::vector<std::int64_t>& computed_rows,
                            std::int64_t kv_head) {
    const std::int64_t d = op_.head_dim, length = op_.kv_len;
    keys_.resize(length * d);
    Pair values;
    values.resize(length * d);
    if (!input_.fused) {
      const std::int64_t first = kv_head * length * d;
      synthetic_attention_operand(sampling_.seed, input_.name + ".K", first, length * d,
                                  keys_.reference.data());
      synthetic_attention_operand(sampling_.seed, input_.name + ".V", first, length * d,
                                  values.reference.data());
      round_to(output_, Overflow::to_special, keys_.reference.data(), keys_.reference.data(),
               length * d);
      round_to(output_, Overflow::to_special, values.reference.data(), values.reference.data(),
               length * d);
      keys_.computed = keys_.reference;
      values.computed = values.reference;
    } else {
      const std::int64_t sequence = row(computed_rows[group.front()]) / op_.q_len;
      // Which sampled row stands at a position, if one does.
      std::vector<std::int64_t> at(static_cast<std::size_t>(length), -1), others;
      for (std::int64_t i = x_.row_count() - 1; i >= 0; --i) {
        if (!sampling_.exact || row(i) / op_.q_len == sequence)
          at[static_cast<std::size_t>(position(row(i)))] = i;
        if (position(row(i)) != 0 || x_.row_count() == 1) others.push_back(i);
      }
      const Random choice(sampling_.seed, sampling_.stream ^ stream_of("keys"));
      const Random signs(sampling_.seed, sampling_.stream ^ stream_of("signs") ^
                                             static_cast<std::uint64_t>(kv_head));
      const auto blocks = static_cast<std::uint64_t>(2 * ((d + 127) / 128));
      for (std::int64_t p = 0; p < length; ++p) {
        const auto number = static_cast<std::uint64_t>(p);
        std::int64_t from = at[static_cast<std::size_t>(p)];
        const bool own = from >= 0;
        if (!own) {
          const double u = choice.uniform(number);
          from = others[static_cast<std::size_t>(u * static_cast<double>(others.size()))];
        }
        const auto copy = [&](std::int64_t column, std::uint64_t block, Pair& to) {
          for (const auto& [source, target] :
               {std::pair{&x_.reference, &to.reference}, std::pair{&x_.computed, &to.computed}}) {
            const float* values_of_row = source->data() + from * x_.cols + column;
            if (own) {
              std::copy_n(values_of_row, d, target->data() + p * d);
            } else {
              copy_with_signs(values_of_row, d, signs, block, target->data() + p * d);
            }
          }
        };
        copy(key_column(kv_head), number * blocks, keys_);
        copy(value_column(kv_head), number * blocks + blocks / 2, values);
      }
    }
    // A cache narrower than the operands: quantised on the way in, widened on the way out.
    if (bits(op_.kv_format) < bits(how_.a_format)) {
      for (Pair* pair : {&keys_, &values}) {
        const QuantisedMatrix q =
            quantise(pair->computed.data(), length, d, op_.kv_format, Scaling::tensor);
        const std::vector<double> wide = q.dequantised();
        for (std::size_t i = 0; i < wide.size(); ++i)
          pair->computed[i] = static_cast<float>(wide[i]);
      }
    }
    // V^T: rows of the second product's B.
    values_.resize(length * d);
    for (std::int64_t p = 0; p < length; ++p) {
      for (std::int64_t i = 0; i < d; ++i) {
        values_.reference[static_cast<std::size_t>(i * length + p)] =
            values.reference[static_cast<std::size_t>(p * d + i)];
        values_.computed[static_cast<std::size_t>(i * length + p)] =
            values.computed[static_cast<std::size_t>(p * d + i)];
      }
    }
  }

  /// First and last + 1 key that a query sees.
  std::pair<std::int64_t, std::int64_t> visible(std::int64_t index) const {
    if (!op_.causal) return {0, op_.kv_len};
    const std::int64_t end = position(row(index)) + 1;
    return {op_.window > 0 ? std::max<std::int64_t>(0, end - op_.window) : 0, end};
  }

  /// Probabilities from scores, not yet divided by their sum, and that sum.
  template <class Score>
  double exponentials(const Score* scores, std::int64_t index, float* probabilities) const {
    const auto [begin, end] = visible(index);
    const double scale = 1 / std::sqrt(static_cast<double>(op_.head_dim));
    std::fill(probabilities, probabilities + op_.kv_len, 0.0F);
    const Score largest = *std::max_element(scores + begin, scores + end);
    double sum = 0;
    for (std::int64_t p = begin; p < end; ++p) {
      const double e =
          std::exp((static_cast<double>(scores[p]) - static_cast<double>(largest)) * scale);
      probabilities[p] = static_cast<float>(e);
      sum += e;
    }
    return sum;
  }

  /// softmax(Q K^T) V exactly; `round` is applied to the probabilities.
  template <class Round>
  void exact_attention(const std::vector<float>& q, const Group& group,
                       const std::vector<std::int64_t>& rows, const std::vector<float>& keys,
                       const std::vector<float>& values, const Round& round, double* out) const {
    const auto n = static_cast<std::int64_t>(group.size());
    const std::int64_t d = op_.head_dim, length = op_.kv_len;
    std::vector<double> scores(static_cast<std::size_t>(n * length));
    exact_product(q.data(), keys.data(), n, length, d, scores.data());
    std::vector<float> probabilities(scores.size());
    std::vector<double> sums;
    for (std::int64_t i = 0; i < n; ++i)
      sums.push_back(exponentials(scores.data() + i * length,
                                  rows[group[static_cast<std::size_t>(i)]],
                                  probabilities.data() + i * length));
    round(probabilities);
    exact_product(probabilities.data(), values.data(), n, d, length, out);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < d; ++j) out[i * d + j] /= sums[static_cast<std::size_t>(i)];
  }

  void compute(const Group& group, const std::vector<std::int64_t>& rows, std::int64_t head,
               std::int64_t at, std::int64_t width, Pair& out, std::vector<double>& own,
               std::vector<double>& quantised) {
    const auto n = static_cast<std::int64_t>(group.size());
    const std::int64_t d = op_.head_dim, length = op_.kv_len;
    std::vector<float> q_reference, q_computed;
    for (const std::size_t i : group) {
      const std::int64_t begin = rows[i] * x_.cols + query_column(head);
      q_reference.insert(q_reference.end(), x_.reference.begin() + begin,
                         x_.reference.begin() + begin + d);
      q_computed.insert(q_computed.end(), x_.computed.begin() + begin,
                        x_.computed.begin() + begin + d);
    }
    const bool narrow = bits(how_.a_format) <= 8;
    const Scaling scaling = narrow ? Scaling::tensor : Scaling::none;
    const auto quantise_operand = [&](const std::vector<float>& values, std::int64_t operand_rows,
                                      std::int64_t cols) {
      return quantise(values.data(), operand_rows, cols, how_.a_format, scaling);
    };
    const auto quantise_probabilities = [&](const std::vector<float>& p) {
      return narrow ? quantise_with(p.data(), n, length, how_.a_format, Scaling::tensor,
                                    {1 / probability_scale})
                    : quantise(p.data(), n, length, how_.a_format, Scaling::none);
    };
    GemmArithmetic product = how_;
    product.a_scaling = product.b_scaling = scaling;
    product.accumulation = Accumulation::fast;

    const QuantisedMatrix q = quantise_operand(q_computed, n, d);
    const QuantisedMatrix k = quantise_operand(keys_.computed, length, d);
    const QuantisedMatrix v = quantise_operand(values_.computed, d, length);
    input_statistics_ = q.statistics;
    key_statistics_ = k.statistics;

    std::vector<double> part(static_cast<std::size_t>(n * d));
    const auto store = [&](auto& whole) {
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < d; ++j)
          whole[group[static_cast<std::size_t>(i)] * static_cast<std::size_t>(width) +
                static_cast<std::size_t>(at + j)] =
              static_cast<typename std::decay_t<decltype(whole)>::value_type>(
                  part[static_cast<std::size_t>(i * d + j)]);
    };
    const auto as_is = [](std::vector<float>&) {};
    exact_attention(q_reference, group, rows, keys_.reference, values_.reference, as_is,
                    part.data());
    store(out.reference);
    exact_attention(q_computed, group, rows, keys_.computed, values_.computed, as_is, part.data());
    store(own);
    const auto floats = [](const QuantisedMatrix& m) {
      if (m.scaling == Scaling::none) return m.values;
      const std::vector<double> wide = m.dequantised();
      return std::vector<float>(wide.begin(), wide.end());
    };
    exact_attention(
        floats(q), group, rows, floats(k), floats(v),
        [&](std::vector<float>& p) { p = floats(quantise_probabilities(p)); }, part.data());
    store(quantised);

    std::vector<float> scores(static_cast<std::size_t>(n * length));
    emulate(q, k, product, scores.data());
    std::vector<float> probabilities(scores.size());
    std::vector<float> sums;
    for (std::int64_t i = 0; i < n; ++i)
      sums.push_back(static_cast<float>(exponentials(scores.data() + i * length,
                                                     rows[group[static_cast<std::size_t>(i)]],
                                                     probabilities.data() + i * length)));
    std::vector<float> result(static_cast<std::size_t>(n * d));
    emulate(quantise_probabilities(probabilities), v, product, result.data());
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < d; ++j)
        part[static_cast<std::size_t>(i * d + j)] =
            double{result[static_cast<std::size_t>(i * d + j)] / sums[static_cast<std::size_t>(i)]};
    store(out.computed);
  }

  void error(OpError& error, const std::vector<std::int64_t>& computed_rows, std::int64_t width,
             const Pair& out, const std::vector<double>& own,
             const std::vector<double>& quantised) const {
    LayerProduct product;
    product.columns.resize(static_cast<std::size_t>(width));
    std::iota(product.columns.begin(), product.columns.end(), 0);
    product.own = own;
    product.quantised = quantised;
    product.computed = out.computed;
    product.input = input_statistics_;
    product.weight = key_statistics_;
    RowSample rows;
    rows.size = x_.rows.size;
    for (const std::int64_t index : computed_rows) {
      rows.rows.push_back(row(index));
      rows.weights.push_back(x_.rows.weights[static_cast<std::size_t>(index)]);
    }
    error = product_error(product, rows, op_.heads * op_.head_dim, output_);
  }

  /// The computed rows and heads in the place of all.
  void spread(SampledTensor& all, const std::vector<std::int64_t>& computed_rows,
              const std::vector<std::int64_t>& heads, const Pair& out) const {
    const std::int64_t d = op_.head_dim, width = static_cast<std::int64_t>(heads.size()) * d;
    const Random signs(sampling_.seed, sampling_.stream ^ stream_of("spread"));
    const auto negated = [&](std::uint64_t number) { return (signs.bits(number) & 1) != 0; };
    all.clusters.size = all.cols;
    all.clusters.count = width;
    std::vector<int> source(static_cast<std::size_t>(all.cols));
    std::vector<bool> negative(source.size());
    for (std::int64_t head = 0; head < op_.heads; ++head) {
      const auto found = std::find(heads.begin(), heads.end(), head);
      const std::int64_t from = found != heads.end()
                                    ? found - heads.begin()
                                    : head % static_cast<std::int64_t>(heads.size());
      for (std::int64_t i = 0; i < d; ++i) {
        source[static_cast<std::size_t>(head * d + i)] = static_cast<int>(from * d + i);
        negative[static_cast<std::size_t>(head * d + i)] =
            found == heads.end() && negated(static_cast<std::uint64_t>(head * d + i));
      }
    }
    all.clusters.of = source;
    for (std::int64_t t = 0; t < all.row_count(); ++t) {
      // The computed row nearest below; the first one for those before it.
      auto above = std::upper_bound(computed_rows.begin(), computed_rows.end(), t);
      if (above != computed_rows.begin()) --above;
      const std::int64_t from = above - computed_rows.begin();
      const bool own_row = *above == t;
      for (std::int64_t j = 0; j < all.cols; ++j) {
        const auto column = static_cast<std::size_t>(j);
        bool flip = negative[column];
        if (!own_row) flip ^= negated((static_cast<std::uint64_t>(t) + 1) << 32 | column);
        const auto to = static_cast<std::size_t>(t * all.cols) + column;
        const auto at = static_cast<std::size_t>(from * width + source[column]);
        all.reference[to] = flip ? -out.reference[at] : out.reference[at];
        all.computed[to] = flip ? -out.computed[at] : out.computed[at];
      }
    }
  }

  const Op& op_;
  const AttentionInput& input_;
  const SampledTensor& x_;
  GemmArithmetic how_;
  Format output_;
  const AttentionSampling& sampling_;
  std::int64_t past_;
  Pair keys_;    ///< [kv_len][head_dim]
  Pair values_;  ///< [head_dim][kv_len]
  QuantisationStatistics input_statistics_, key_statistics_;
};

}  // namespace

AttentionResult attend(const Op& op, const AttentionInput& input, const OpArithmetic& arithmetic,
                       Format output, const AttentionSampling& sampling) {
  return Attention(op, input, arithmetic, output, sampling).run();
}

}  // namespace tessera
