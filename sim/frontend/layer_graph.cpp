#include "sim/frontend/layer_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/base/error.h"

namespace tessera {
namespace {

bool contains(const std::vector<TensorId>& ids, TensorId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

const Tensor& tensor_of(const GraphBlock& block, TensorId id) {
  return block.tensors[static_cast<std::size_t>(id)];
}

/// Two FLOPs per FP32 lane operation of `elements` elements.
std::int64_t lane_flops(VectorFunction function, std::int64_t elements) {
  return std::llround(2.0 * vector_cost(function).fma * static_cast<double>(elements));
}

std::int64_t epilogue_flops(const Epilogue& epilogue, std::int64_t elements) {
  std::int64_t flops = lane_flops(VectorFunction::epilogue, elements);
  if (epilogue.bias) flops += lane_flops(VectorFunction::bias, elements);
  if (epilogue.activation == Activation::gelu) flops += lane_flops(VectorFunction::gelu, elements);
  if (epilogue.activation == Activation::relu) flops += lane_flops(VectorFunction::relu, elements);
  if (epilogue.residual) flops += lane_flops(VectorFunction::residual, elements);
  return flops;
}

/// Rows of input `id` that `op` needs: fewer than the tensor's where it only looks rows up or a
/// mask hides them.
std::int64_t needed_rows(const Op& op, TensorId id, const Tensor& tensor) {
  switch (op.kind) {
    case OpKind::embedding:
      return std::min(tensor.rows, op.rows);
    case OpKind::attention:
      if (op.window > 0 && tensor.rows == op.batch * op.kv_len && id != op.inputs.front()) {
        return op.batch * std::min(op.kv_len, op.q_len + op.window - 1);
      }
      return tensor.rows;
    case OpKind::moe:
      // Weights of the experts that get a token, as many as possible: routing is balanced.
      if (tensor.kind == TensorKind::weight && op.experts > 0) {
        const std::int64_t per_expert = tensor.rows / op.experts;
        const std::int64_t used =
            op.tokens >= op.experts ? op.experts : std::min(op.experts, op.tokens * op.topk);
        return per_expert * used;
      }
      return tensor.rows;
    default:
      return tensor.rows;
  }
}

std::int64_t needed_cols(const Op& op, const Tensor& tensor) {
  switch (op.kind) {
    case OpKind::attention: {
      const bool fused_qkv = tensor.cols > op.heads * op.head_dim;
      return fused_qkv ? op.heads * op.head_dim : tensor.cols;
    }
    case OpKind::rmsnorm:
    case OpKind::layernorm:
      return std::min(tensor.cols, op.cols);
    default:
      return tensor.cols;
  }
}

/// New tokens an operation appends to cache `tensor`: the last q_len of each sequence.
std::int64_t appended_rows(const Op& op, const Tensor& tensor) {
  const std::int64_t tokens = op.kind == OpKind::rotary ? op.rows : op.m;
  return std::min(tensor.rows, tokens);
}

bool is_append(const Op& op, TensorId id) {
  const bool appends = op.kind == OpKind::rotary || op.kind == OpKind::linear;
  return appends && op.outputs.size() == 3 && op.outputs.front() != id && contains(op.outputs, id);
}

/// Rows of a cache that earlier operations of the block, or this call itself, have just written.
std::int64_t rows_written_before(const GraphBlock& block, const Op& op, TensorId id) {
  const Tensor& tensor = tensor_of(block, id);
  if (op.library_call && tensor.kind == TensorKind::kv_cache) return op.batch * op.q_len;
  for (const Op& earlier : block.ops) {
    if (&earlier == &op) break;
    if (is_append(earlier, id)) return appended_rows(earlier, tensor);
    if (contains(earlier.outputs, id)) return tensor.rows;
  }
  return 0;
}

}  // namespace

std::string_view name(OpKind kind) {
  switch (kind) {
    case OpKind::embedding:
      return "embedding";
    case OpKind::gemm:
      return "gemm";
    case OpKind::linear:
      return "linear";
    case OpKind::attention:
      return "attention";
    case OpKind::moe_router:
      return "moe_router";
    case OpKind::moe:
      return "moe";
    case OpKind::softmax:
      return "softmax";
    case OpKind::layernorm:
      return "layernorm";
    case OpKind::rmsnorm:
      return "rmsnorm";
    case OpKind::gelu:
      return "gelu";
    case OpKind::silu_mul:
      return "silu_mul";
    case OpKind::add:
      return "add";
    case OpKind::rotary:
      return "rotary";
    case OpKind::cast:
      return "cast";
    case OpKind::quantise:
      return "quantise";
    case OpKind::transpose:
      return "transpose";
    case OpKind::allreduce:
      return "allreduce";
    case OpKind::allgather:
      return "allgather";
    case OpKind::reducescatter:
      return "reducescatter";
    case OpKind::alltoall:
      return "alltoall";
    case OpKind::p2p:
      return "p2p";
  }
  return "";
}

std::string_view name(Precision precision) {
  switch (precision) {
    case Precision::tf32:
      return "tf32";
    case Precision::fp16:
      return "fp16";
    case Precision::bf16:
      return "bf16";
    case Precision::fp8:
      return "fp8";
    case Precision::fp8_promote:
      return "fp8+promote";
    case Precision::fp8_block:
      return "fp8-block";
  }
  return "";
}

Format operand_format(Precision precision) {
  switch (precision) {
    case Precision::tf32:
      return Format::tf32;
    case Precision::fp16:
      return Format::fp16;
    case Precision::bf16:
      return Format::bf16;
    case Precision::fp8:
    case Precision::fp8_promote:
    case Precision::fp8_block:
      return Format::e4m3;
  }
  return Format::bf16;
}

bool promotes(Precision precision) {
  return precision == Precision::fp8_promote || precision == Precision::fp8_block;
}

VectorFunction quantiser(Precision precision) {
  return precision == Precision::fp8_block ? VectorFunction::quantise_groups
                                           : VectorFunction::quantise;
}

Format activation_format(Precision precision) {
  switch (precision) {
    case Precision::tf32:
      return Format::fp32;
    case Precision::fp16:
      return Format::fp16;
    default:
      return Format::bf16;
  }
}

Precision parse_precision(std::string_view text, const std::string& key) {
  static const std::vector<Precision> all = {Precision::tf32,        Precision::fp16,
                                             Precision::bf16,        Precision::fp8,
                                             Precision::fp8_promote, Precision::fp8_block};
  std::vector<std::string> names;
  for (const Precision precision : all) {
    if (name(precision) == text) return precision;
    names.emplace_back(name(precision));
  }
  const std::string close = nearest(std::string(text), names);
  throw InputError(key, fmt::format("unknown precision '{}'", text),
                   close.empty() ? fmt::format("give one of {}", fmt::join(names, ", "))
                                 : fmt::format("did you mean '{}'?", close));
}

std::int64_t attention_pairs(std::int64_t q_len, std::int64_t kv_len, bool causal,
                             std::int64_t window) {
  if (!causal) return q_len * kv_len;
  const std::int64_t past = kv_len - q_len;
  // The first `growing` queries see everything up to themselves, the rest a full window.
  const std::int64_t growing =
      window > 0 ? std::clamp<std::int64_t>(window - past, 0, q_len) : q_len;
  return growing * past + growing * (growing + 1) / 2 + (q_len - growing) * window;
}

std::int64_t checked_product(const std::string& key, std::initializer_list<std::int64_t> factors,
                             std::int64_t limit) {
  std::int64_t product = 1;
  for (const std::int64_t factor : factors) {
    if (factor > 0 && product > limit / factor) {
      throw InputError(key,
                       fmt::format("the product {} exceeds {}", fmt::join(factors, " * "), limit),
                       "make the sizes smaller");
    }
    product *= factor;
  }
  return product;
}

Flops Op::tensor_flops() const {
  switch (kind) {
    case OpKind::gemm:
    case OpKind::linear:
    case OpKind::moe_router:
      return Flops(2 * m * n * k);
    case OpKind::attention:
      // Scores and weighted values: two products of head_dim multiply-adds for each pair.
      return Flops(4 * batch * heads * head_dim * attention_pairs(q_len, kv_len, causal, window));
    case OpKind::moe:
      return Flops((gated ? 6 : 4) * tokens * topk * hidden * inter);
    default:
      return Flops(0);
  }
}

Flops Op::vector_flops() const {
  switch (kind) {
    case OpKind::gemm:
    case OpKind::linear: {
      std::int64_t flops = epilogue_flops(epilogue, m * n);
      if (quantise_input) {
        flops += lane_flops(VectorFunction::amax, m * k) + lane_flops(quantiser(precision), m * k);
      }
      return Flops(flops);
    }
    case OpKind::moe_router:
      return Flops(lane_flops(VectorFunction::epilogue, m * n) +
                   lane_flops(VectorFunction::softmax, m * n));
    case OpKind::moe: {
      const std::int64_t routed = tokens * topk;
      const VectorFunction act = gated ? VectorFunction::silu_mul : VectorFunction::gelu;
      std::int64_t flops = lane_flops(act, routed * inter) +
                           lane_flops(VectorFunction::epilogue, routed * hidden) +
                           lane_flops(VectorFunction::combine, routed * hidden);
      if (epilogue.residual) flops += lane_flops(VectorFunction::residual, tokens * hidden);
      return Flops(flops);
    }
    case OpKind::attention:
      return Flops(lane_flops(VectorFunction::softmax,
                              batch * heads * attention_pairs(q_len, kv_len, causal, window)) +
                   lane_flops(VectorFunction::epilogue, batch * q_len * heads * head_dim));
    case OpKind::softmax:
      return Flops(lane_flops(VectorFunction::softmax, rows * cols));
    case OpKind::layernorm:
    case OpKind::rmsnorm:
      return Flops(lane_flops(VectorFunction::norm_statistics, rows * cols) +
                   lane_flops(VectorFunction::norm_apply, rows * cols));
    case OpKind::gelu:
      return Flops(lane_flops(VectorFunction::gelu, rows * cols));
    case OpKind::silu_mul:
      return Flops(lane_flops(VectorFunction::silu_mul, rows * cols));
    case OpKind::add:
      return Flops(lane_flops(VectorFunction::add, rows * cols));
    case OpKind::rotary:
      return Flops(lane_flops(VectorFunction::rotary, rows * (heads + kv_heads) * k));
    case OpKind::quantise:
      return Flops(lane_flops(VectorFunction::amax, rows * cols) +
                   lane_flops(VectorFunction::quantise, rows * cols));
    default:
      // Copies, conversions and collectives do no arithmetic on the lanes of this chip's cores.
      return Flops(0);
  }
}

Bytes weight_scale_bytes(const Op& op) {
  if (op.precision != Precision::fp8_block) return Bytes(0);
  switch (op.kind) {
    case OpKind::linear:
      return Bytes(4 * ceil_div(op.n, 128) * ceil_div(op.k, 128));
    case OpKind::moe:
      return Bytes(4 * op.experts * (op.gated ? 3 : 2) * ceil_div(op.inter, 128) *
                   ceil_div(op.hidden, 128));
    default:
      return Bytes(0);
  }
}

Bytes compulsory_read(const GraphBlock& block, const Op& op) {
  Bytes total;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const TensorId id = op.inputs[i];
    const bool repeated = std::find(op.inputs.begin(), op.inputs.begin() + static_cast<long>(i),
                                    id) != op.inputs.begin() + static_cast<long>(i);
    if (id < 0 || repeated) continue;
    const Tensor& tensor = tensor_of(block, id);
    if (tensor.warm) continue;
    const std::int64_t rows = needed_rows(op, id, tensor) - rows_written_before(block, op, id);
    if (rows > 0) total += bytes(tensor.format, rows * needed_cols(op, tensor));
  }
  return total;
}

Bytes compulsory_write(const GraphBlock& block, const Op& op) {
  if (op.outputs.empty() || op.outputs.front() < 0) return Bytes(0);
  const Tensor& first = tensor_of(block, op.outputs.front());
  switch (op.kind) {
    case OpKind::rotary:
    case OpKind::rmsnorm:
    case OpKind::layernorm:
      // Possibly in place on part of a wider tensor, possibly spread over the caches.
      return bytes(first.format, op.rows * op.cols);
    case OpKind::gemm:
    case OpKind::linear:
      return bytes(first.format, op.m * op.n);
    default: {
      Bytes total;
      for (const TensorId id : op.outputs) {
        if (id >= 0) total += tensor_of(block, id).size();
      }
      return total;
    }
  }
}

}  // namespace tessera
