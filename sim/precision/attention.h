#pragma once

#include <string>

#include "sim/frontend/layer_graph.h"
#include "sim/precision/arithmetic.h"
#include "sim/precision/sampled_tensor.h"

namespace tessera {

/// What one sampled attention reads.
struct AttentionInput {
  /// Either Q, K and V of the sampled tokens side by side (a fused QKV result), or Q alone; then K
  /// and V are synthetic under `name`.
  const SampledTensor* x = nullptr;
  bool fused = true;
  std::string name;
};

struct AttentionSampling {
  std::int64_t heads = 2;  ///< query heads to compute, or all
  bool exact = false;      ///< every head, and every sequence with its own keys and values
  std::uint64_t seed = 1;
  std::uint64_t stream = 0;
};

struct AttentionResult {
  SampledTensor out;  ///< [rows][heads * head_dim], not yet rounded
  OpError error;
};

/// softmax(Q K^T / sqrt(head_dim)) V of sampled rows and heads over all keys.
///
/// The datapath: both products on the tensor core, scores and exponentials in FP32 relative to the
/// row's largest score, probabilities rounded to the operands' format (FP8: times 256 first), their
/// sum in FP32 before that rounding, as fused kernels do. The rescaling of a kernel that meets a
/// larger score later, exact but for 2^-24, is left out.
///
/// Keys and values of tokens that were not computed (other tokens, the past) are those of a random
/// computed token that is not the first of a sequence, each element with a random sign: magnitudes
/// and errors stay, directions are independent. Rows beyond what the context length affords and
/// heads that were not computed likewise take computed ones with random signs.
AttentionResult attend(const Op& op, const AttentionInput& input, const OpArithmetic& arithmetic,
                       Format output, const AttentionSampling& sampling);

}  // namespace tessera
