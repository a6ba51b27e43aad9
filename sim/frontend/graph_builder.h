#pragma once

#include <cstdint>

#include "sim/frontend/layer_graph.h"
#include "sim/frontend/model.h"

namespace tessera {

enum class Phase : std::uint8_t { prefill, decode };
std::string_view name(Phase phase);
/// Throws InputError with the nearest valid name.
Phase parse_phase(std::string_view text);

// Sizes beyond these are mistakes; the graph builder checks the products.
constexpr std::int64_t max_batch = 1'000'000;
constexpr std::int64_t max_tp = 1024;

/// How a model is run.
struct WorkloadOptions {
  Phase phase = Phase::prefill;
  std::int64_t batch = 1;
  std::int64_t seq = 1;     ///< new tokens per sequence (1 in decode)
  std::int64_t past = 0;    ///< tokens already in the KV cache
  std::int64_t layers = 0;  ///< simulate only the first N decoder layers, without embedding and
                            ///< head; 0 = the whole model
  Precision precision = Precision::bf16;
  std::int64_t tp = 1;  ///< tensor parallelism: chips that share each layer
};

/// The operations one chip runs for one step of `model`.
///
/// Blocks: "embedding", then "layer" with repeat = layers ("layer.sliding" and "layer.full" where
/// a sliding window shorter than the context sets some apart), then "head".
///
/// - Norms, attention, residuals, embedding, router and LM head stay in the activation format;
///   fp8, fp8+promote and fp8-block apply to the layers' linears and experts, whose bf16 input is
///   quantised as part of the operation.
/// - The residual add is fused in the output and down projections' epilogues, except where
///   something stands between (a norm, or an allreduce): then it is an operation of its own.
/// - The LM head sees only the last token of each sequence, as serving stacks do; the tensor
///   `head.last` is a view of those rows. BERT has a pooler on the first token instead.
/// - tp divides heads, KV heads (at least one on each chip), inter and vocabulary (rounded up);
///   allreduces follow the embedding, output projection and down projection, an allgather the
///   LM head.
/// - Warm: the block's input activation. Cold: weights and what the KV cache held before.
/// More positions than the model has are no error but a note of the graph: the last token of a full
/// context is asked for as `--past` of all positions.
/// Throws InputError naming the option: out of range, or not divisible by tp.
LayerGraph build_graph(const ModelConfig& model, const WorkloadOptions& options);

}  // namespace tessera
