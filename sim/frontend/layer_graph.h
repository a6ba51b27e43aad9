#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "sim/trace/trace.h"

namespace tessera {

/// Operations of a layer graph. Field meanings per kind stand in Op.
enum class OpKind : std::uint8_t {
  embedding,
  gemm,
  linear,
  attention,
  moe_router,
  moe,
  softmax,
  layernorm,
  rmsnorm,
  gelu,
  silu_mul,
  add,
  rotary,
  cast,
  quantise,
  transpose,
  allreduce,
  allgather,
  reducescatter,
  alltoall,
  p2p,
};
std::string_view name(OpKind kind);

/// How the linear layers of an operation compute. In fp8 the tensor core accumulates all of K (fast
/// accumulation); fp8_promote moves the partial sums of every 128 k to FP32 registers; fp8_block
/// does that too, and has a scale for each of these blocks.
enum class Precision : std::uint8_t { tf32, fp16, bf16, fp8, fp8_promote, fp8_block };
/// "tf32", "fp16", "bf16", "fp8", "fp8+promote", "fp8-block"
std::string_view name(Precision precision);
Format operand_format(Precision precision);  ///< tensor-core operands: e4m3 for every fp8
bool promotes(Precision precision);          ///< partial sums of 128 k go to FP32 registers
/// What quantises activations: with a scale for each row, or each 128 elements of it.
VectorFunction quantiser(Precision precision);
/// What flows between layers: bf16 for fp8, fp32 for tf32.
Format activation_format(Precision precision);
/// Inverse of name(); throws InputError under `key` with the nearest valid name.
Precision parse_precision(std::string_view text, const std::string& key = "precision");

enum class Activation : std::uint8_t { none, relu, gelu };

/// Work done on a GEMM's output tile before it is stored.
struct Epilogue {
  bool bias = false;
  Activation activation = Activation::none;
  bool residual = false;  ///< adds inputs.back(), shape of the output
};

/// Index in LayerGraph block's tensors; -1 = none.
using TensorId = int;

/// One operation. Shapes are per chip (already divided by tensor parallelism). By kind: fields,
/// then inputs -> outputs.
///
/// - gemm, linear: m n k precision epilogue;
///   A[m, k], B[n, k], (residual[m, n]) -> C[m, n]
/// - attention: batch q_len kv_len heads kv_heads head_dim causal window kv_format;
///   Q[batch*q_len, heads*head_dim] (the first columns of a wider tensor where it is a fused QKV
///   result), K and V[batch*kv_len, kv_heads*head_dim], of a library call the new tokens' keys and
///   values[batch*q_len, 2*kv_heads*head_dim] -> O[batch*q_len, heads*head_dim]
/// - moe: tokens hidden inter topk experts gated;
///   x[tokens, hidden], W_up[experts*(gated?2:1)*inter, hidden], W_down[experts*hidden, inter],
///   (residual[tokens, hidden]) -> y[tokens, hidden]
/// - moe_router: m=tokens n=experts k=hidden topk; x[m, k], W[n, k] -> logits[m, n]
/// - embedding: rows=tokens cols=hidden; table -> x[rows, cols]
/// - softmax, layernorm, rmsnorm, gelu, add, cast: rows cols; x, (second operand of add) -> y
/// - silu_mul: rows cols (of the output); x[rows, 2*cols] -> y[rows, cols]
/// - transpose: rows cols (of the input); x[rows, cols] -> y[cols, rows]
/// - rotary: rows=tokens cols=(heads+2*kv_heads)*head_dim, k=rotated dimensions of a head, batch
///   q_len kv_len heads kv_heads head_dim; qkv[rows, cols] -> qkv (Q in place), K and V caches
/// - quantise: rows cols; x -> q (and scales)
/// - collectives: ranks bytes; no tensors
///
/// The keys and values of a decoder's new tokens are appended to the KV cache, tensors of
/// batch*kv_len rows whose last q_len rows of each sequence are the new ones: by the rotary
/// operation, or, where a model has none, by the QKV linear, whose outputs then are {qkv, K, V}
/// (an encoder's too; there K and V are activations). Either way every element of the fused QKV
/// result is written once: rows*cols (m*n) elements, whichever tensor they land in.
/// A norm of each head (qk_norm) is an rmsnorm in place on the first `cols` columns of qkv.
struct Op {
  std::string name;
  OpKind kind = OpKind::gemm;
  Precision precision = Precision::bf16;

  std::int64_t m = 0, n = 0, k = 0;
  Epilogue epilogue;
  /// linear with fp8: the activation arrives in bf16 and is quantised as part of the operation.
  bool quantise_input = false;

  std::int64_t batch = 0, q_len = 0, kv_len = 0, heads = 0, kv_heads = 0, head_dim = 0;
  bool causal = false;
  std::int64_t window = 0;  ///< sliding window in tokens, 0 = none
  Format kv_format = Format::bf16;
  /// attention: K and V are those of a serving library's cache, in pages smaller than a tile.
  bool paged_cache = false;
  /// attention: a serving library's call. It appends the new tokens' keys and values to the cache,
  /// quantises Q if the tensor core multiplies 8 bits, and plans its tiles. In a model the
  /// operations before append, and the layers share one plan.
  bool library_call = false;

  std::int64_t rows = 0, cols = 0;

  std::int64_t tokens = 0, hidden = 0, inter = 0, topk = 0, experts = 0;
  bool gated = true;

  std::int64_t ranks = 1, bytes = 0;

  std::vector<TensorId> inputs;
  std::vector<TensorId> outputs;

  /// Tensor-core FLOPs, 2 per multiply-add, without padding. Causal attention counts only the
  /// pairs the mask keeps; a window likewise.
  Flops tensor_flops() const;
  /// FLOPs on the FP32 lanes (norms, activations, softmax, epilogues): two per lane operation of
  /// vector_functions(); special functions and conversions run beside them and are not counted.
  Flops vector_flops() const;
};

/// A group of operations executed `repeat` times with the same shapes (a decoder layer).
/// tensors[].warm marks what the previous block has just written.
struct GraphBlock {
  std::string name;  ///< "embedding", "layer", "head"
  std::int64_t repeat = 1;
  std::vector<Tensor> tensors;  ///< addresses are assigned by the lowering
  std::vector<Op> ops;          ///< in execution order
};

/// Query-key pairs of one head and one sequence that the mask keeps. Query i stands at position
/// kv_len - q_len + i; causal: it sees the positions up to its own, of which a window > 0 keeps
/// the last `window`. Without causal, all q_len * kv_len.
std::int64_t attention_pairs(std::int64_t q_len, std::int64_t kv_len, bool causal,
                             std::int64_t window);

/// Product of positive factors; throws InputError under `key` when it exceeds `limit`.
std::int64_t checked_product(const std::string& key, std::initializer_list<std::int64_t> factors,
                             std::int64_t limit);
constexpr std::int64_t max_tensor_elements = std::int64_t{1} << 48;
constexpr std::int64_t max_flops = std::int64_t{1} << 62;

/// Bytes of an operation's scales of its weights: one in FP32 for each 128x128 block of fp8-block,
/// none that would count for the others.
Bytes weight_scale_bytes(const Op& op);

/// A workload as operations. weight, KV-cache and activation bytes describe what is simulated: the
/// whole model, or the decoder layers asked for.
struct LayerGraph {
  std::string workload;  ///< one line, as the user asked for it
  std::vector<GraphBlock> blocks;
  std::int64_t parameters = 0;  ///< of the whole model, before tensor parallelism
  Bytes weight_bytes;           ///< resident on this chip
  Bytes kv_cache_bytes;
  Bytes activation_bytes;          ///< largest set alive at once
  std::vector<std::string> notes;  ///< what the reader of a result should know
};

/// Tensors an operation reads from and writes to DRAM at least, given which inputs are warm.
Bytes compulsory_read(const GraphBlock& block, const Op& op);
Bytes compulsory_write(const GraphBlock& block, const Op& op);

}  // namespace tessera
