#include "sim/precision/evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "sim/base/error.h"
#include "sim/base/random.h"
#include "sim/datapath/cast.h"
#include "sim/precision/attention.h"
#include "sim/precision/elementwise.h"
#include "sim/precision/experts.h"
#include "sim/precision/layer_product.h"
#include "sim/precision/normal.h"
#include "sim/precision/synthetic.h"
#include "sim/precision/weights.h"

namespace tessera {
namespace {

/// Multiply-adds and elements that --exact takes on: some ten minutes and a few GiB.
constexpr double max_exact_products = 1e12;
constexpr double max_exact_elements = 2e8;
/// Experts and other narrow outputs are computed whole up to here.
constexpr std::int64_t max_router_columns = 4096;

bool is_decoder_layer(const GraphBlock& block) { return block.name.rfind("layer", 0) == 0; }

bool is_product(OpKind kind) {
  return kind == OpKind::gemm || kind == OpKind::linear || kind == OpKind::moe_router;
}

/// Which tokens a graph's rows are: sequences of new tokens behind some in the cache.
struct Tokens {
  std::int64_t sequences = 1, length = 1, past = 0;
};

Tokens tokens_of(const LayerGraph& graph) {
  Tokens tokens;
  for (const GraphBlock& block : graph.blocks) {
    for (const Op& op : block.ops) {
      if (op.kind == OpKind::attention)
        return {op.batch, op.q_len, std::max<std::int64_t>(op.kv_len - op.q_len, 0)};
      tokens.length = std::max({tokens.length, op.m, op.rows, op.tokens});
    }
  }
  return tokens;
}

void refuse_unaffordable(const LayerGraph& graph, std::int64_t layers) {
  double products = 0, elements = 0;
  for (const GraphBlock& block : graph.blocks) {
    const auto copies = static_cast<double>(std::min(block.repeat, layers));
    for (const Op& op : block.ops)
      products += copies * static_cast<double>(op.tensor_flops().value) / 2;
    for (const Tensor& tensor : block.tensors) {
      if (tensor.kind == TensorKind::activation)
        elements += static_cast<double>(tensor.rows) * static_cast<double>(tensor.cols);
    }
  }
  if (products > max_exact_products || elements > max_exact_elements)
    throw InputError("--exact",
                     fmt::format("{:.3g} multiply-adds on {:.3g} activations", products, elements),
                     fmt::format("at most {:.0e} and {:.0e}: take fewer tokens or layers, or leave "
                                 "it out",
                                 max_exact_products, max_exact_elements));
}

/// One pass over a graph.
class Walk {
 public:
  Walk(const LayerGraph& graph, const ChipConfig& chip, const EvaluationOptions& options)
      : graph_(graph),
        chip_(chip),
        options_(options),
        tokens_(tokens_of(graph)),
        layer_number_(options.first_layer) {
    const std::int64_t all = tokens_.sequences * tokens_.length;
    rows_ = sample_rows(tokens_.sequences, tokens_.length, options.exact ? all : options.tokens,
                        options.seed);
  }

  Evaluation run() {
    Evaluation evaluation;
    summarise_options(evaluation.summary);
    for (const GraphBlock& block : graph_.blocks) {
      evaluation.errors.emplace_back();
      const bool layer = is_decoder_layer(block);
      const std::int64_t copies =
          layer ? std::min(block.repeat, std::max<std::int64_t>(options_.layers, 1)) : 1;
      for (std::int64_t copy = 0; copy < copies; ++copy) {
        std::vector<OpError> errors = run_block(block, layer ? layer_number_ : copy);
        if (copy == 0) evaluation.errors.back() = std::move(errors);
        if (layer) note_layer(evaluation.summary);
      }
      if (layer) evaluation.summary.layers += block.repeat;
      if (layer) layer_number_ += block.repeat - copies;
    }
    finish(evaluation.summary);
    return evaluation;
  }

 private:
  // --- tensors ----------------------------------------------------------------------------------

  /// The rows of a tensor with other rows than the tokens': all, or some.
  RowSample rows_of(const Tensor& tensor) const {
    if (tensor.rows == rows_.size) return rows_;
    return sample_rows(1, tensor.rows, options_.exact ? tensor.rows : options_.tokens,
                       options_.seed);
  }

  const Tensor& tensor(TensorId id) const { return block_->tensors[static_cast<std::size_t>(id)]; }

  ParameterName parameter(const Op& op, const std::string& graph_name = "") const {
    return {block_name_, copy_, op.name, graph_name, -1};
  }

  /// A tensor that no operation of the block has written: what the block before left, the user's,
  /// or a synthetic one.
  SampledTensor& value(TensorId id) {
    const auto found = values_.find(id);
    if (found != values_.end()) return found->second;
    const Tensor& t = tensor(id);
    return values_[id] = input(t);
  }

  SampledTensor input(const Tensor& t) {
    // The embedding of unknown tokens has none of the outliers that layers build up.
    const bool follows = layer_number_ > 0 || real_embedding_;
    if (t.name == "x" && follows && previous_ && previous_->cols == t.cols) return *previous_;
    if (t.name == "head.last" || t.name == "head.first") {
      const SampledTensor* latest = latest_tensor();
      if (latest != nullptr && latest->cols == t.cols)
        return sequence_ends(*latest, t.name == "head.last");
    }
    const RowSample rows = rows_of(t);
    std::vector<float> values(rows.rows.size() * static_cast<std::size_t>(t.cols));
    if (!read_activation({fmt::format("{}.{}", block_name_, t.name), t.name}, t.rows, t.cols, rows,
                         values)) {
      if (is_decoder_layer(*block_) && t.name == "x") {
        const ResidualStream stream(options_.seed, graph_.parameters, t.cols);
        for (std::size_t i = 0; i < rows.rows.size(); ++i)
          stream.row(rows.rows[i], tokens_.past + rows.rows[i] % tokens_.length,
                     values.data() + i * static_cast<std::size_t>(t.cols));
      } else {
        for (std::size_t i = 0; i < rows.rows.size(); ++i)
          fill_row(t, rows.rows[i], values.data() + i * static_cast<std::size_t>(t.cols));
      }
    }
    // As it is stored; operands of 8 bits are rounded by the study itself.
    const Format stored = bits(t.format) <= 8 ? Format::bf16 : t.format;
    if (stored != Format::fp32 && is_float(stored))
      round_to(stored, Overflow::to_special, values.data(), values.data(),
               static_cast<std::int64_t>(values.size()));
    return exact_tensor(rows, t.cols, std::move(values));
  }

  void fill_row(const Tensor& t, std::int64_t row, float* values) const {
    if (t.name == "Q") {
      synthetic_attention_operand(options_.seed, "op.Q", row * t.cols, t.cols, values);
    } else {
      standard_normals(options_.seed, stream_of(block_name_ + "." + t.name), row * t.cols, t.cols,
                       values);
    }
  }

  /// Rows of the user's activation of one of these names; false if there is none.
  bool read_activation(const std::vector<std::string>& names, std::int64_t all, std::int64_t cols,
                       const RowSample& rows, std::vector<float>& values) {
    if (options_.tensors == nullptr) return false;
    const StoredTensor* found = options_.tensors->find_any(names);
    if (found == nullptr) return false;
    if (found->shape != std::vector<std::int64_t>{all, cols})
      throw InputError({found->file, 0}, found->name, "has shape " + found->shape_text(),
                       fmt::format("expected [{}, {}]", all, cols));
    for (std::size_t i = 0; i < rows.rows.size(); ++i)
      read_elements(*found, rows.rows[i] * cols, cols,
                    values.data() + i * static_cast<std::size_t>(cols));
    ++real_tensors_;
    return true;
  }

  /// The sampled rows that are the last (first) of their sequence.
  SampledTensor sequence_ends(const SampledTensor& x, bool last) const {
    SampledTensor ends;
    ends.cols = x.cols;
    ends.clusters = x.clusters;
    ends.rows.size = tokens_.sequences;
    for (std::size_t i = 0; i < x.rows.rows.size(); ++i) {
      const std::int64_t row = x.rows.rows[i];
      if (row % tokens_.length != (last ? tokens_.length - 1 : 0)) continue;
      ends.rows.rows.push_back(row / tokens_.length);
      const auto begin = static_cast<std::ptrdiff_t>(i) * x.cols;
      ends.reference.insert(ends.reference.end(), x.reference.begin() + begin,
                            x.reference.begin() + begin + x.cols);
      ends.computed.insert(ends.computed.end(), x.computed.begin() + begin,
                           x.computed.begin() + begin + x.cols);
    }
    ends.rows.weights.assign(ends.rows.rows.size(), static_cast<double>(tokens_.sequences) /
                                                        static_cast<double>(ends.rows.rows.size()));
    return ends;
  }

  // --- operations -------------------------------------------------------------------------------

  std::vector<OpError> run_block(const GraphBlock& block, std::int64_t copy) {
    block_ = &block;
    // Layers that differ in their precisions alone are blocks "layer[0]", "layer[1-46]".
    block_name_ = block.name.substr(0, block.name.find('['));
    copy_ = copy;
    values_.clear();
    latest_ = -1;
    std::vector<OpError> errors;
    for (const Op& op : block.ops) {
      OpError error = run_op(op);
      const auto out = op.outputs.empty() ? values_.end() : values_.find(op.outputs.front());
      if (error.studied && out != values_.end()) {
        const Estimate estimate = error_of(out->second);
        error.propagated = estimate.measure;
        error.propagated_low = estimate.low;
        error.propagated_high = estimate.high;
        latest_ = op.outputs.front();
      }
      errors.push_back(error);
    }
    if (latest_ >= 0) previous_ = std::move(values_.at(latest_));
    return errors;
  }

  /// What the operation before wrote; nullptr where there is none.
  const SampledTensor* latest_tensor() const {
    if (latest_ >= 0) return &values_.at(latest_);
    return previous_ ? &*previous_ : nullptr;
  }

  OpError run_op(const Op& op) {
    switch (op.kind) {
      case OpKind::gemm:
      case OpKind::linear:
      case OpKind::moe_router:
        return product(op);
      case OpKind::attention:
        return attention(op);
      case OpKind::moe:
        return experts(op);
      case OpKind::embedding:
        return embedding(op);
      case OpKind::layernorm:
      case OpKind::rmsnorm:
        return norm(op);
      case OpKind::silu_mul:
        return store(op, silu_mul(value(op.inputs.front()), op.cols));
      case OpKind::gelu: {
        SampledTensor y = value(op.inputs.front());
        transform(y, gelu);
        return store(op, std::move(y));
      }
      case OpKind::softmax: {
        SampledTensor y = value(op.inputs.front());
        softmax(y);
        return store(op, std::move(y));
      }
      case OpKind::add: {
        SampledTensor y = value(op.inputs[0]);
        add(y, value(op.inputs[1]));
        return store(op, std::move(y));
      }
      case OpKind::rotary: {
        SampledTensor y = value(op.inputs.front());
        std::vector<std::int64_t> positions;
        for (const std::int64_t row : y.rows.rows)
          positions.push_back(tokens_.past + row % tokens_.length);
        rotate(y, op.heads + op.kv_heads, op.head_dim, op.k, positions);
        return store(op, std::move(y));
      }
      case OpKind::cast:
        return cast(op);
      case OpKind::quantise:
      case OpKind::transpose:
      case OpKind::allreduce:
      case OpKind::allgather:
      case OpKind::reducescatter:
      case OpKind::alltoall:
      case OpKind::p2p:
        break;
    }
    return {};
  }

  /// Keeps an operation's result, rounded as its tensor is stored.
  OpError store(const Op& op, SampledTensor y) {
    const TensorId id = op.outputs.front();
    round_computed(y, tensor(id).format);
    OpError error;
    error.studied = true;
    error.outputs = y.rows.size * y.cols;
    error.sampled = y.row_count() * std::min(y.clusters.count, y.cols);
    values_[id] = std::move(y);
    return error;
  }

  /// The matrix product's input: the user's of this name, with the error that ours has, in
  /// `replaced`.
  const SampledTensor& product_input(const Op& op, std::int64_t rows, SampledTensor& replaced) {
    const SampledTensor& x = value(op.inputs.front());
    if (options_.tensors == nullptr) return x;
    std::vector<float> given(x.reference.size());
    if (!read_activation({fmt::format("{}.{}.{}.input", block_name_, copy_, op.name),
                          fmt::format("{}.{}.input", block_name_, op.name)},
                         rows, x.cols, x.rows, given))
      return x;
    replaced = x;
    for (std::size_t i = 0; i < given.size(); ++i)
      replaced.computed[i] = given[i] + (x.computed[i] - x.reference[i]);
    replaced.reference = given;
    round_computed(replaced, activation_format(op.precision));
    return replaced;
  }

  std::vector<ColumnRange> ranges_of(const Op& op, const Weights& weights) const {
    // Queries, keys and values of real weights differ; synthetic columns are all alike.
    if (weights.synthetic() || op.name != "attention.qkv") return {{0, op.n}};
    for (const Op& other : block_->ops) {
      if (other.kind != OpKind::attention) continue;
      const std::int64_t q = other.heads * other.head_dim, kv = other.kv_heads * other.head_dim;
      if (q + 2 * kv == op.n) return {{0, q}, {q, kv}, {q + kv, kv}};
    }
    return {{0, op.n}};
  }

  std::int64_t head_dim() const {
    for (const Op& op : block_->ops) {
      if (op.kind == OpKind::attention) return op.head_dim;
    }
    return 0;
  }

  ProductSampling sampling_of(const Op& op) const {
    ProductSampling sampling;
    sampling.columns = options_.exact ? max_tensor_elements : options_.columns;
    // Few rows: more columns for the same number of outputs.
    if (rows_.rows.size() < 8) sampling.columns *= 2;
    if (op.kind == OpKind::moe_router && op.n <= max_router_columns) sampling.columns = op.n;
    sampling.seed = options_.seed;
    sampling.stream = stream_of(parameter(op).text());
    return sampling;
  }

  OpError product(const Op& op) {
    SampledTensor replaced;
    const SampledTensor& x = product_input(op, op.m, replaced);
    const std::string& weight_name = tensor(op.inputs[1]).name;
    const Weights weights = Weights::find(options_.tensors, options_.seed,
                                          parameter(op, weight_name), op.n, op.k, head_dim());
    count(weights);
    const OpArithmetic arithmetic = arithmetic_of(op.precision, options_.recipe, chip_);
    const std::vector<ColumnRange> ranges = ranges_of(op, weights);
    const ProductSampling sampling = sampling_of(op);
    const LayerProduct product = multiply(x, weights, arithmetic, ranges, sampling);
    const TensorId out = op.outputs.front();
    OpError error = product_error(product, x.rows, op.n, tensor(out).format);

    SampledTensor y = filled(product, x.rows, op.n, fill_columns(product, op.n, ranges, sampling));
    std::optional<std::vector<float>> bias;
    if (op.epilogue.bias) bias = find_vector(options_.tensors, parameter(op), "bias", op.n);
    if (bias) add_to_rows(y, *bias);
    if (op.epilogue.activation == Activation::relu) {
      transform(y, [](double v) { return std::max(v, 0.0); });
    } else if (op.epilogue.activation == Activation::gelu) {
      transform(y, gelu);
    }
    if (op.epilogue.residual) add(y, value(op.inputs.back()));
    round_computed(y, tensor(out).format);
    values_[out] = std::move(y);
    return error;
  }

  static void add_to_rows(SampledTensor& y, const std::vector<float>& bias) {
    for (std::size_t i = 0; i < y.reference.size(); ++i) {
      const float b = bias[i % bias.size()];
      y.reference[i] += b;
      y.computed[i] += b;
    }
  }

  OpError attention(const Op& op) {
    const SampledTensor& x = value(op.inputs.front());
    AttentionInput input;
    input.x = &x;
    input.fused =
        x.cols == (op.heads + 2 * op.kv_heads) * op.head_dim && op.inputs[0] != op.inputs[1];
    input.name = block_name_;
    AttentionSampling sampling;
    sampling.exact = options_.exact;
    sampling.seed = options_.seed;
    sampling.stream = stream_of(parameter(op).text());
    const TensorId out = op.outputs.front();
    AttentionResult result = attend(op, input, arithmetic_of(op.precision, std::nullopt, chip_),
                                    tensor(out).format, sampling);
    store(op, std::move(result.out));
    return result.error;
  }

  OpError experts(const Op& op) {
    SampledTensor replaced;
    const SampledTensor& x = product_input(op, op.tokens, replaced);
    ExpertsInput input;
    input.x = &x;
    for (const Op& other : block_->ops) {
      if (other.kind == OpKind::moe_router) input.logits = &value(other.outputs.front());
    }
    input.block = block_name_;
    input.copy = copy_;
    input.source = options_.tensors;
    const TensorId out = op.outputs.front();
    ExpertsResult result =
        mix_experts(op, input, arithmetic_of(op.precision, options_.recipe, chip_),
                    tensor(out).format, sampling_of(op));
    real_tensors_ += result.stored_weights;
    synthetic_weights_ += result.synthetic_weights;
    if (op.epilogue.residual) add(result.out, value(op.inputs.back()));
    store(op, std::move(result.out));
    return result.error;
  }

  OpError embedding(const Op& op) {
    const Tensor& table = tensor(op.inputs.front());
    const Weights weights = Weights::find(options_.tensors, options_.seed,
                                          parameter(op, table.name), table.rows, table.cols, 0);
    count(weights);
    if (!weights.synthetic() && op.name == "embedding.tokens") real_embedding_ = true;
    const Random ids(options_.seed, stream_of("token ids"));
    std::vector<float> values(rows_.rows.size() * static_cast<std::size_t>(op.cols));
    for (std::size_t i = 0; i < rows_.rows.size(); ++i) {
      const std::int64_t row = rows_.rows[i];
      std::int64_t id = tokens_.past + row % tokens_.length;  // of a position
      if (op.name == "embedding.tokens")
        id = static_cast<std::int64_t>(ids.uniform(static_cast<std::uint64_t>(row)) *
                                       static_cast<double>(table.rows));
      if (op.name == "embedding.token_types") id = 0;
      float* to = values.data() + i * static_cast<std::size_t>(op.cols);
      weights.read({std::min(id, table.rows - 1)}, 0, op.cols, to);
      if (weights.synthetic())  // of variance 1
        for (std::int64_t j = 0; j < op.cols; ++j)
          to[j] *= static_cast<float>(std::sqrt(static_cast<double>(op.cols)));
    }
    return store(op, exact_tensor(rows_, op.cols, std::move(values)));
  }

  OpError norm(const Op& op) {
    SampledTensor y = value(op.inputs.front());
    const std::int64_t width = op.head_dim > 0 ? op.head_dim : op.cols;
    const auto gain = find_vector(options_.tensors, parameter(op), "weight", width);
    const auto bias = op.kind == OpKind::layernorm
                          ? find_vector(options_.tensors, parameter(op), "bias", width)
                          : std::nullopt;
    normalise(y, op.cols, width, op.kind == OpKind::layernorm, gain ? &*gain : nullptr,
              bias ? &*bias : nullptr);
    return store(op, std::move(y));
  }

  OpError cast(const Op& op) {
    SampledTensor y = value(op.inputs.front());
    const Format format = tensor(op.outputs.front()).format;
    if (bits(format) > 8) return store(op, std::move(y));
    const QuantisedMatrix q =
        quantise(y.computed.data(), y.row_count(), y.cols, format, Scaling::tensor);
    const std::vector<double> wide = q.dequantised();
    for (std::size_t i = 0; i < wide.size(); ++i) y.computed[i] = static_cast<float>(wide[i]);
    OpError error;
    error.studied = true;
    error.outputs = y.rows.size * y.cols;
    error.sampled = y.row_count() * y.cols;
    const Estimate estimate = error_of(y);
    error.quantisation = error.total = estimate.measure;
    error.total_low = estimate.low;
    error.total_high = estimate.high;
    values_[op.outputs.front()] = std::move(y);
    return error;
  }

  // --- the whole --------------------------------------------------------------------------------

  void count(const Weights& weights) {
    ++(weights.synthetic() ? synthetic_weights_ : real_tensors_);
  }

  void summarise_options(PrecisionResult& summary) const {
    summary.studied = true;
    summary.seed = options_.seed;
    summary.exact = options_.exact;
    summary.tokens = rows_.size;
    summary.sampled_tokens = static_cast<std::int64_t>(rows_.rows.size());
    std::set<std::string> recipes;
    bool narrow = false;
    for (const GraphBlock& block : graph_.blocks) {
      for (const Op& op : block.ops) {
        const bool product = is_product(op.kind) || op.kind == OpKind::moe;
        const std::optional<Recipe> own = product ? recipe_of(op.precision) : std::nullopt;
        narrow = narrow || own.has_value();
        if (own) recipes.emplace(name(options_.recipe.value_or(*own)));
      }
    }
    if (options_.recipe && !narrow)
      throw InputError("--recipe", "no operation computes in FP8", "add --precision fp8");
    summary.recipe = fmt::format("{}", fmt::join(recipes, ", "));
  }

  /// After a decoder layer.
  void note_layer(PrecisionResult& summary) {
    ++layer_number_;
    ++summary.evaluated_layers;
    if (!previous_) return;
    const Estimate estimate =
        estimate_row_error(previous_->computed.data(), previous_->reference.data(), previous_->rows,
                           previous_->clusters);
    layer_errors_.push_back(estimate.measure.rel_rmse);
    if (layer_errors_.size() > 1) return;
    summary.layer_output = estimate.measure.rel_rmse;
    summary.layer_output_low = estimate.low;
    summary.layer_output_high = estimate.high;
  }

  void finish(PrecisionResult& summary) const {
    summary.tensors = options_.tensors == nullptr ? "synthetic" : options_.tensors->folder();
    if (!layer_errors_.empty()) {
      // Independent errors add in square: so many more layers like the last one computed.
      const double last = layer_errors_.back();
      const double before = layer_errors_.size() > 1 ? layer_errors_[layer_errors_.size() - 2] : 0;
      const auto more = static_cast<double>(summary.layers - summary.evaluated_layers);
      summary.output = std::sqrt(last * last + more * std::max(0.0, last * last - before * before));
      if (more > 0)
        summary.notes.push_back(
            fmt::format("the error behind the last of {} layers is extrapolated from {} computed",
                        summary.layers, summary.evaluated_layers));
    } else if (previous_) {
      summary.output = error_of(*previous_).measure.rel_rmse;
    }
    if (options_.tensors == nullptr) return;
    if (real_tensors_ == 0) {
      std::vector<std::string> names = options_.tensors->names();
      if (names.size() > 3) names.resize(3);
      throw InputError({options_.tensors->folder(), 0}, "",
                       fmt::format("no tensor of the workload is in it (it has {}, ...)",
                                   fmt::join(names, ", ")),
                       "names are BLOCK.OPERATION.weight or those of a Hugging Face checkpoint; "
                       "docs/precision.md lists them");
    }
    if (synthetic_weights_ > 0)
      summary.notes.push_back(fmt::format("{} of {} weight matrices are synthetic: not in {}",
                                          synthetic_weights_, synthetic_weights_ + real_tensors_,
                                          options_.tensors->folder()));
  }

  const LayerGraph& graph_;
  const ChipConfig& chip_;
  const EvaluationOptions& options_;
  Tokens tokens_;
  RowSample rows_;

  const GraphBlock* block_ = nullptr;
  std::string block_name_;
  std::int64_t copy_ = 0;
  std::int64_t layer_number_;  ///< of the layer that is computed, or that comes next
  std::map<TensorId, SampledTensor> values_;
  std::optional<SampledTensor> previous_;  ///< what the block before left
  TensorId latest_ = -1;                   ///< what the last operation wrote; -1 = nothing yet
  bool real_embedding_ = false;
  std::int64_t real_tensors_ = 0, synthetic_weights_ = 0;
  std::vector<double> layer_errors_;
};

}  // namespace

Evaluation evaluate(const LayerGraph& graph, const ChipConfig& chip,
                    const EvaluationOptions& options) {
  if (options.exact) refuse_unaffordable(graph, options.layers);
  return Walk(graph, chip, options).run();
}

void attach(const LayerGraph& graph, const Evaluation& evaluation, RunResult& run) {
  std::map<std::string, const OpError*> errors;
  for (std::size_t b = 0; b < graph.blocks.size(); ++b) {
    for (std::size_t i = 0; i < graph.blocks[b].ops.size(); ++i)
      errors[graph.blocks[b].name + "." + graph.blocks[b].ops[i].name] = &evaluation.errors[b][i];
  }
  for (OpResult& op : run.ops) {
    std::string key = op.name;
    const std::size_t open = key.find('[');
    const std::size_t close = key.find(']');
    if (open != std::string::npos && close != std::string::npos && open < close)
      key.erase(open, close - open + 1);
    const auto found = errors.find(key);
    if (found != errors.end()) op.error = *found->second;
  }
  run.precision = evaluation.summary;
}

}  // namespace tessera
