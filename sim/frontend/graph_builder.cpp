#include "sim/frontend/graph_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "sim/base/error.h"

namespace tessera {
namespace {

/// A model as one chip of `tp` holds it, and the step it runs.
struct Step {
  const ModelConfig& model;
  const WorkloadOptions& options;
  std::int64_t tokens = 0, kv_len = 0;
  std::int64_t heads = 0, kv_heads = 0, inter = 0, vocab = 0;
  Format activations = Format::bf16;
  Precision wide = Precision::bf16;  ///< of everything that fp8 leaves alone
};

/// Collects the tensors and operations of one block.
class BlockBuilder {
 public:
  BlockBuilder(std::string name, const Step& step) : step_(step) { block_.name = std::move(name); }

  TensorId tensor(std::string name, Format format, std::int64_t rows, std::int64_t cols,
                  TensorKind kind) {
    checked_product(name, {rows, cols}, max_tensor_elements);
    Tensor tensor;
    tensor.name = std::move(name);
    tensor.format = format;
    tensor.rows = rows;
    tensor.cols = cols;
    tensor.kind = kind;
    block_.tensors.push_back(std::move(tensor));
    return static_cast<TensorId>(block_.tensors.size()) - 1;
  }

  TensorId activation(std::string name, std::int64_t rows, std::int64_t cols) {
    return tensor(std::move(name), step_.activations, rows, cols, TensorKind::activation);
  }

  /// What the previous block has just written.
  TensorId warm_input(std::string name, std::int64_t rows, std::int64_t cols) {
    const TensorId id = activation(std::move(name), rows, cols);
    block_.tensors.back().warm = true;
    return id;
  }

  Op& add(Op op) {
    checked_product(op.name, {2, op.m, op.n, op.k}, max_flops);
    if (op.kind == OpKind::attention) {
      checked_product(op.name, {16, op.batch, op.heads, op.head_dim, op.q_len, op.kv_len},
                      max_flops);
    }
    if (op.kind == OpKind::moe) {
      checked_product(op.name, {6, op.tokens, op.topk, op.hidden, op.inter}, max_flops);
    }
    block_.ops.push_back(std::move(op));
    return block_.ops.back();
  }

  /// y = x W^T: weights of `precision`, a new activation tensor.
  TensorId linear(const std::string& name, TensorId x, std::int64_t n, Precision precision,
                  const Epilogue& epilogue, TensorId residual = -1) {
    const std::int64_t m = rows(x);
    const std::int64_t k = cols(x);
    Op op = named(name, OpKind::linear, precision);
    op.m = m;
    op.n = n;
    op.k = k;
    op.epilogue = epilogue;
    op.epilogue.residual = residual >= 0;
    op.quantise_input = bits(operand_format(precision)) == 8;
    const TensorId weight =
        tensor(name + ".weight", operand_format(precision), n, k, TensorKind::weight);
    op.inputs = {x, weight};
    if (residual >= 0) op.inputs.push_back(residual);
    const TensorId y = activation(name + ".out", m, n);
    op.outputs = {y};
    add(std::move(op));
    return y;
  }

  TensorId norm(const std::string& name, TensorId x) {
    const OpKind kind = step_.model.norm == Norm::layernorm ? OpKind::layernorm : OpKind::rmsnorm;
    return elementwise(name, kind, {x}, cols(x));
  }

  /// y[rows of x, cols] from `inputs`, whose first is x.
  TensorId elementwise(const std::string& name, OpKind kind, std::vector<TensorId> inputs,
                       std::int64_t width) {
    Op op = named(name, kind, step_.wide);
    op.rows = rows(inputs.front());
    op.cols = width;
    const TensorId y = activation(name + ".out", op.rows, width);
    op.inputs = std::move(inputs);
    op.outputs = {y};
    add(std::move(op));
    return y;
  }

  TensorId lookup(const std::string& name, std::int64_t table_rows, std::int64_t width) {
    Op op = named(name, OpKind::embedding, step_.wide);
    op.rows = step_.tokens;
    op.cols = width;
    op.inputs = {tensor(name + ".table", step_.activations, table_rows, width, TensorKind::weight)};
    op.outputs = {activation(name + ".out", step_.tokens, width)};
    const TensorId y = op.outputs.front();
    add(std::move(op));
    return y;
  }

  void collective(const std::string& name, OpKind kind, std::int64_t elements) {
    Op op = named(name, kind, step_.wide);
    op.ranks = step_.options.tp;
    op.bytes = bytes(step_.activations, elements).value;
    add(std::move(op));
  }

  /// The last operation also fills `outputs`.
  void append_to_last(std::initializer_list<TensorId> outputs) {
    block_.ops.back().outputs.insert(block_.ops.back().outputs.end(), outputs);
  }

  /// Biases and norm weights: held and counted, too small to be tensors of their own.
  void vectors(std::int64_t elements) { vectors_ += elements; }

  static Op named(const std::string& name, OpKind kind, Precision precision) {
    Op op;
    op.name = name;
    op.kind = kind;
    op.precision = precision;
    return op;
  }

  std::int64_t rows(TensorId id) const { return block_.tensors[static_cast<std::size_t>(id)].rows; }
  std::int64_t cols(TensorId id) const { return block_.tensors[static_cast<std::size_t>(id)].cols; }
  const Step& step() const { return step_; }
  const GraphBlock& block() const { return block_; }

  /// Bytes of the block's weights on this chip, for one execution.
  Bytes weights() const {
    Bytes total = bytes(step_.activations, vectors_);
    for (const Tensor& tensor : block_.tensors) {
      if (tensor.kind == TensorKind::weight) total += tensor.size();
    }
    for (const Op& op : block_.ops) total += weight_scale_bytes(op);
    return total;
  }

  Bytes kv_cache() const {
    Bytes total;
    for (const Tensor& tensor : block_.tensors) {
      if (tensor.kind == TensorKind::kv_cache) total += tensor.size();
    }
    return total;
  }

  /// Largest set of activations alive at once: from the first operation that touches one (the
  /// start, for an input) to the last.
  Bytes activations() const {
    const std::size_t count = block_.ops.size();
    std::vector<Bytes> alive(count + 1);
    for (std::size_t t = 0; t < block_.tensors.size(); ++t) {
      const Tensor& tensor = block_.tensors[t];
      if (tensor.kind != TensorKind::activation) continue;
      std::size_t first = count, last = 0;
      for (std::size_t i = 0; i < count; ++i) {
        for (const auto* ids : {&block_.ops[i].inputs, &block_.ops[i].outputs}) {
          if (std::find(ids->begin(), ids->end(), static_cast<TensorId>(t)) == ids->end()) continue;
          first = std::min(first, i);
          last = i;
        }
      }
      if (tensor.warm) first = 0;
      for (std::size_t i = first; i < count && i <= last; ++i) alive[i] += tensor.size();
    }
    return *std::max_element(alive.begin(), alive.end());
  }

 private:
  const Step& step_;
  GraphBlock block_;
  std::int64_t vectors_ = 0;
};

std::int64_t norm_elements(const ModelConfig& model) {
  if (!model.norm_affine) return 0;
  return model.norm == Norm::layernorm ? 2 * model.hidden : model.hidden;
}

/// Nothing stands between the last projection and the residual add (a norm, an allreduce), so the
/// projection's epilogue does it.
bool residual_is_fused(const Step& step) {
  return step.options.tp == 1 && step.model.norm_placement != NormPlacement::sandwich;
}

/// What follows a sublayer's last projection `y`, given the residual stream `x`.
TensorId finish_sublayer(BlockBuilder& b, const std::string& prefix, TensorId y, TensorId x) {
  const Step& step = b.step();
  if (step.options.tp > 1) {
    b.collective(prefix + ".allreduce", OpKind::allreduce, step.tokens * step.model.hidden);
  }
  if (step.model.norm_placement == NormPlacement::sandwich) {
    y = b.norm(prefix + ".post_norm", y);
    b.vectors(norm_elements(step.model));
  }
  if (!residual_is_fused(step)) {
    y = b.elementwise(prefix + ".residual", OpKind::add, {y, x}, step.model.hidden);
  }
  if (step.model.norm_placement == NormPlacement::post) {
    y = b.norm(prefix + ".norm", y);
    b.vectors(norm_elements(step.model));
  }
  return y;
}

/// Attention from the normalised input `h`; `x` is the residual stream.
TensorId attention_sublayer(BlockBuilder& b, TensorId h, TensorId x, std::int64_t window) {
  const Step& step = b.step();
  const ModelConfig& model = step.model;
  const WorkloadOptions& options = step.options;
  const std::int64_t q_cols = step.heads * model.head_dim;
  const std::int64_t kv_cols = step.kv_heads * model.head_dim;
  const std::int64_t qkv_cols = q_cols + 2 * kv_cols;

  Epilogue qkv_epilogue;
  qkv_epilogue.bias = model.qkv_bias;
  const TensorId qkv = b.linear("attention.qkv", h, qkv_cols, options.precision, qkv_epilogue);
  if (model.qkv_bias) b.vectors(qkv_cols);

  const TensorKind kv_kind = model.encoder ? TensorKind::activation : TensorKind::kv_cache;
  const std::int64_t kv_rows =
      checked_product("batch * (past + seq)", {options.batch, step.kv_len}, max_tensor_elements);
  const TensorId k_cache = b.tensor(model.encoder ? "attention.k" : "k_cache", step.activations,
                                    kv_rows, kv_cols, kv_kind);
  const TensorId v_cache = b.tensor(model.encoder ? "attention.v" : "v_cache", step.activations,
                                    kv_rows, kv_cols, kv_kind);

  const auto with_heads = [&](Op op) {
    op.batch = options.batch;
    op.q_len = options.seq;
    op.kv_len = step.kv_len;
    op.heads = step.heads;
    op.kv_heads = step.kv_heads;
    op.head_dim = model.head_dim;
    op.kv_format = step.activations;
    return op;
  };

  if (model.qk_norm) {
    Op op = with_heads(BlockBuilder::named("attention.qk_norm", OpKind::rmsnorm, step.wide));
    op.rows = step.tokens;
    op.cols = q_cols + kv_cols;
    op.inputs = {qkv};
    op.outputs = {qkv};
    b.add(std::move(op));
    b.vectors(2 * model.head_dim);
  }
  if (model.positions == Positions::rotary) {
    Op op = with_heads(BlockBuilder::named("attention.rotary", OpKind::rotary, step.wide));
    op.rows = step.tokens;
    op.cols = qkv_cols;
    op.k = model.rotary_dim;
    op.inputs = {qkv};
    op.outputs = {qkv, k_cache, v_cache};
    b.add(std::move(op));
  } else {
    // No rotary operation: the QKV linear itself puts the new keys and values in place.
    b.append_to_last({k_cache, v_cache});
  }

  Op op = with_heads(BlockBuilder::named("attention.core", OpKind::attention, step.wide));
  op.causal = !model.encoder;
  op.window = window;
  op.paged_cache = !model.encoder;
  op.inputs = {qkv, k_cache, v_cache};
  const TensorId out = b.activation("attention.core.out", step.tokens, q_cols);
  op.outputs = {out};
  b.add(std::move(op));

  Epilogue epilogue;
  epilogue.bias = model.output_bias;
  if (model.output_bias) b.vectors(model.hidden);
  const TensorId y = b.linear("attention.output", out, model.hidden, options.precision, epilogue,
                              residual_is_fused(step) ? x : -1);
  return finish_sublayer(b, "attention", y, x);
}

TensorId mlp_sublayer(BlockBuilder& b, TensorId h, TensorId x) {
  const Step& step = b.step();
  const ModelConfig& model = step.model;
  const Precision precision = step.options.precision;
  const TensorId residual = residual_is_fused(step) ? x : -1;

  if (model.experts > 0) {
    Op router = BlockBuilder::named("moe.router", OpKind::moe_router, step.wide);
    router.m = step.tokens;
    router.n = model.experts;
    router.k = model.hidden;
    router.topk = model.topk;
    router.inputs = {h, b.tensor("moe.router.weight", step.activations, model.experts, model.hidden,
                                 TensorKind::weight)};
    router.outputs = {b.activation("moe.router.logits", step.tokens, model.experts)};
    b.add(std::move(router));

    Op op = BlockBuilder::named("moe.experts", OpKind::moe, precision);
    op.tokens = step.tokens;
    op.hidden = model.hidden;
    op.inter = step.inter;
    op.topk = model.topk;
    op.experts = model.experts;
    op.gated = model.gated;
    op.epilogue.residual = residual >= 0;
    op.quantise_input = bits(operand_format(precision)) == 8;
    const Format format = operand_format(precision);
    op.inputs = {
        h,
        b.tensor("moe.up.weight", format, model.experts * (model.gated ? 2 : 1) * step.inter,
                 model.hidden, TensorKind::weight),
        b.tensor("moe.down.weight", format, model.experts * model.hidden, step.inter,
                 TensorKind::weight)};
    if (residual >= 0) op.inputs.push_back(residual);
    const TensorId y = b.activation("moe.experts.out", step.tokens, model.hidden);
    op.outputs = {y};
    b.add(std::move(op));
    return finish_sublayer(b, "moe", y, x);
  }

  TensorId wide;
  Epilogue up;
  up.bias = model.mlp_bias;
  if (model.gated) {
    const TensorId gate_up = b.linear("mlp.gate_up", h, 2 * step.inter, precision, up);
    // GELU-gated MLPs (Gemma) cost what SiLU-gated ones do: one special function, two products.
    wide = b.elementwise("mlp.activation", OpKind::silu_mul, {gate_up}, step.inter);
  } else {
    up.activation = model.activation == MlpActivation::relu ? Activation::relu : Activation::gelu;
    wide = b.linear("mlp.up", h, step.inter, precision, up);
  }
  Epilogue down;
  down.bias = model.mlp_bias;
  if (model.mlp_bias) b.vectors((model.gated ? 2 : 1) * step.inter + model.hidden);
  const TensorId y = b.linear("mlp.down", wide, model.hidden, precision, down, residual);
  return finish_sublayer(b, "mlp", y, x);
}

BlockBuilder layer_block(const Step& step, std::int64_t window, std::string name) {
  BlockBuilder b(std::move(name), step);
  const ModelConfig& model = step.model;
  const bool norm_first = model.norm_placement != NormPlacement::post;
  const auto normalised = [&](const std::string& op, TensorId x) {
    if (!norm_first) return x;
    b.vectors(norm_elements(model));
    return b.norm(op, x);
  };
  const TensorId x = b.warm_input("x", step.tokens, model.hidden);
  const TensorId h = normalised("attention.norm", x);
  if (model.parallel_residual) {
    const TensorId mlp_in = model.shared_norm ? h : normalised("mlp.norm", x);
    const TensorId attended = attention_sublayer(b, h, x, window);
    mlp_sublayer(b, mlp_in, attended);
  } else {
    const TensorId attended = attention_sublayer(b, h, x, window);
    mlp_sublayer(b, normalised("mlp.norm", attended), attended);
  }
  return b;
}

BlockBuilder embedding_block(const Step& step) {
  BlockBuilder b("embedding", step);
  const ModelConfig& model = step.model;
  TensorId x = b.lookup("embedding.tokens", step.vocab, model.embed_dim);
  if (step.options.tp > 1) {
    b.collective("embedding.allreduce", OpKind::allreduce, step.tokens * model.embed_dim);
  }
  if (model.embed_dim != model.hidden) {
    x = b.linear("embedding.project", x, model.hidden, step.wide, {});
  }
  const auto add_lookup = [&](const std::string& table, std::int64_t rows) {
    const TensorId y = b.lookup("embedding." + table, rows, model.hidden);
    x = b.elementwise("embedding.add_" + table, OpKind::add, {x, y}, model.hidden);
  };
  if (model.token_types > 0) add_lookup("token_types", model.token_types);
  if (model.positions == Positions::learned) {
    add_lookup("positions", model.max_positions + model.position_offset);
  }
  if (model.encoder) {
    b.norm("embedding.norm", x);
    b.vectors(norm_elements(model));
  }
  return b;
}

BlockBuilder head_block(const Step& step) {
  BlockBuilder b("head", step);
  const ModelConfig& model = step.model;
  const std::int64_t batch = step.options.batch;
  if (model.encoder) {
    if (!model.pooler) return b;
    Epilogue epilogue;
    epilogue.bias = true;
    // The first token's rows of the last layer's output, just written.
    const TensorId first = b.warm_input("head.first", batch, model.hidden);
    b.linear("head.pooler", first, model.hidden, step.wide, epilogue);
    b.vectors(model.hidden);
    return b;
  }
  TensorId x = b.warm_input("x", step.tokens, model.hidden);
  if (model.final_norm) {
    x = b.norm("head.norm", x);
    b.vectors(norm_elements(model));
  }
  if (step.tokens != batch) x = b.warm_input("head.last", batch, model.hidden);
  if (model.embed_dim != model.hidden) {
    x = b.linear("head.project", x, model.embed_dim, step.wide, {});
  }
  Epilogue epilogue;
  epilogue.bias = model.lm_head_bias;
  if (model.lm_head_bias) b.vectors(step.vocab);
  b.linear("head.lm", x, step.vocab, step.wide, epilogue);
  if (step.options.tp > 1) {
    b.collective("head.allgather", OpKind::allgather, batch * step.vocab * step.options.tp);
  }
  return b;
}

void check_range(const char* option, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return;
  throw InputError(option, fmt::format("{} is out of range", value),
                   fmt::format("give a whole number from {} to {}", low, high));
}

void check_options(const ModelConfig& model, const WorkloadOptions& options) {
  check_range("--batch", options.batch, 1, std::int64_t{1} << 20);
  check_range("--seq", options.seq, 1, std::int64_t{1} << 24);
  check_range("--past", options.past, 0, max_position_count);
  check_range("--layers", options.layers, 0, model.layers);
  check_range("--tp", options.tp, 1, 1024);
  if (options.precision == Precision::tf32) {
    throw InputError("--precision", "tf32 is for operations, not models",
                     "give fp16, bf16, fp8, fp8+promote or fp8-block");
  }
  if (options.phase == Phase::decode && options.seq != 1) {
    throw InputError("--seq", fmt::format("{} new tokens in decode", options.seq),
                     "decode takes 1 token of each sequence; --past counts those before");
  }
  if (model.encoder && options.phase == Phase::decode) {
    throw InputError("--phase", fmt::format("{} is an encoder and does not decode", model.name),
                     "give prefill");
  }
  if (model.encoder && options.past != 0) {
    throw InputError("--past", fmt::format("{} is an encoder without a KV cache", model.name),
                     "leave it out");
  }
  const auto divides = [&](const char* what, std::int64_t value) {
    if (value % options.tp == 0) return;
    throw InputError(
        "--tp",
        fmt::format("{} does not divide the {} {} of {}", options.tp, value, what, model.name),
        "give a divisor");
  };
  divides("attention heads", model.heads);
  divides("MLP columns", model.inter);
  if (model.kv_heads % options.tp != 0 && options.tp % model.kv_heads != 0) {
    throw InputError("--tp",
                     fmt::format("{} neither divides nor is a multiple of the {} KV heads of {}",
                                 options.tp, model.kv_heads, model.name),
                     "give a divisor");
  }
}

std::string workload_line(const ModelConfig& model, const WorkloadOptions& options) {
  std::string line = fmt::format("--model {} --phase {} --batch {} --seq {}", model.name,
                                 name(options.phase), options.batch, options.seq);
  if (options.past > 0) line += fmt::format(" --past {}", options.past);
  if (options.layers > 0) line += fmt::format(" --layers {}", options.layers);
  line += fmt::format(" --precision {}", name(options.precision));
  if (options.tp > 1) line += fmt::format(" --tp {}", options.tp);
  return line;
}

}  // namespace

std::string_view name(Phase phase) { return phase == Phase::prefill ? "prefill" : "decode"; }

Phase parse_phase(std::string_view text) {
  if (text == "prefill") return Phase::prefill;
  if (text == "decode") return Phase::decode;
  const std::string close = nearest(std::string(text), {"prefill", "decode"});
  throw InputError(
      "--phase", fmt::format("unknown phase '{}'", text),
      close.empty() ? "give prefill or decode" : fmt::format("did you mean '{}'?", close));
}

LayerGraph build_graph(const ModelConfig& model, const WorkloadOptions& options) {
  validate(model);
  check_options(model, options);

  Step step{model, options};
  step.tokens = checked_product("batch * seq", {options.batch, options.seq}, max_tensor_elements);
  step.kv_len = options.past + options.seq;
  step.heads = model.heads / options.tp;
  step.kv_heads = std::max<std::int64_t>(1, model.kv_heads / options.tp);
  step.inter = model.inter / options.tp;
  step.vocab = ceil_div(model.vocab, options.tp);
  step.activations = activation_format(options.precision);
  step.wide = options.precision == Precision::fp16 ? Precision::fp16 : Precision::bf16;

  LayerGraph graph;
  graph.workload = workload_line(model, options);
  graph.parameters = parameters(model);
  graph.notes = model.notes;
  if (step.kv_len > model.max_positions) {
    graph.notes.push_back(fmt::format(model.positions == Positions::learned
                                          ? "{} has learned {} positions and cannot really run {}: "
                                            "the times are those of a model "
                                            "with more"
                                          : "{} was made for {} positions, not for {}",
                                      model.name, model.max_positions, step.kv_len));
  }
  const bool whole = options.layers == 0;
  double total_flops = 0;
  const auto append = [&](const BlockBuilder& builder, std::int64_t repeat) {
    if (builder.block().ops.empty()) return;
    graph.blocks.push_back(builder.block());
    graph.blocks.back().repeat = repeat;
    checked_product("weights", {builder.weights().value, repeat}, max_flops);
    checked_product("KV cache", {builder.kv_cache().value, repeat}, max_flops);
    graph.weight_bytes += builder.weights() * repeat;
    graph.kv_cache_bytes += builder.kv_cache() * repeat;
    graph.activation_bytes = std::max(graph.activation_bytes, builder.activations(),
                                      [](Bytes a, Bytes b) { return a < b; });
    for (const Op& op : builder.block().ops) {
      total_flops += static_cast<double>(op.tensor_flops().value) * static_cast<double>(repeat);
    }
  };

  if (whole) append(embedding_block(step), 1);

  // Layers whose window the context does not fill are like those without; equal ones are grouped,
  // in the order of their first.
  std::vector<std::pair<std::int64_t, std::int64_t>> groups;  // window, layers
  for (std::int64_t i = 0; i < (whole ? model.layers : options.layers); ++i) {
    const std::int64_t window = model.window(i) < step.kv_len ? model.window(i) : 0;
    const auto same = std::find_if(groups.begin(), groups.end(),
                                   [&](const auto& group) { return group.first == window; });
    if (same == groups.end()) {
      groups.emplace_back(window, 1);
    } else {
      ++same->second;
    }
  }
  for (const auto& [window, count] : groups) {
    const std::string block =
        groups.size() == 1 ? "layer" : (window > 0 ? "layer.sliding" : "layer.full");
    append(layer_block(step, window, block), count);
  }

  if (whole) {
    append(head_block(step), 1);
    if (!model.encoder && model.tie_word_embeddings) {
      graph.weight_bytes -= bytes(step.activations, step.vocab * model.embed_dim);
    }
  }
  if (total_flops > static_cast<double>(max_flops)) {
    throw InputError("workload", fmt::format("{:.3g} FLOPs are more than 2^62", total_flops),
                     "make batch or sequence smaller");
  }
  return graph;
}

}  // namespace tessera
