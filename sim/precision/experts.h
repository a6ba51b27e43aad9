#pragma once

#include <string>

#include "sim/frontend/layer_graph.h"
#include "sim/precision/layer_product.h"
#include "sim/precision/sampled_tensor.h"

namespace tessera {

struct ExpertsInput {
  const SampledTensor* x = nullptr;
  /// The router's logits [rows][experts]; nullptr: every token goes to random experts, equally.
  const SampledTensor* logits = nullptr;
  std::string block;  ///< of the parameters, as ParameterName
  std::int64_t copy = 0;
  const TensorSource* source = nullptr;
};

struct ExpertsResult {
  SampledTensor out;  ///< [rows][hidden], not yet rounded
  OpError error;
  std::int64_t stored_weights = 0, synthetic_weights = 0;
};

/// A mixture of experts on sampled tokens: each goes to the experts of its topk largest logits,
/// whose results are weighed by the softmax of these logits. The computed logits route the computed
/// values, so a token may take another expert than it exactly would: an error that no rounding of
/// numbers shows. The operation's own error is that of its matrix products, each relative to its
/// own RMS.
ExpertsResult mix_experts(const Op& op, const ExpertsInput& input, const OpArithmetic& arithmetic,
                          Format output, const ProductSampling& sampling);

}  // namespace tessera
