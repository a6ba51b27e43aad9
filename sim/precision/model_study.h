#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/datapath/quantised_gemm.h"
#include "sim/precision/ranking.h"
#include "sim/precision/sentence_encoder.h"

namespace tessera {

/// How every matrix product of a model is computed. Products of two activations (attention) take
/// the scaling of activations for both, or stay in BF16.
struct ModelRecipe {
  std::string name;
  std::string unit;  ///< the tensor core; "" = FP32 operands, sums in FP64
  Format format = Format::fp32;
  Scaling activations = Scaling::none, weights = Scaling::none;
  /// Scales from the amaxes of earlier batches, after one run of the first batch for calibration.
  bool delayed = false;
  Accumulation accumulation = Accumulation::fast;
  std::string summary;
  std::string attention_unit =
      "";  ///< a bf16 unit for products of two activations; "" = as the others
};

/// fp32, tf32, bf16, fp16, fp8-tensor, fp8-tensor+promote, fp8-delayed, fp8-token,
/// fp8-token+promote, fp8-block, mxfp8 and nvfp4 on the units of a GPU generation ("h100"); mxfp8
/// and nvfp4 on b200 where the generation has no block scales. Recipes whose format it lacks are
/// left out. Throws InputError if there is no such generation.
std::vector<ModelRecipe> model_recipes(const std::string& gpu);
/// Those called `names`, in that order; "all" is all of them. `bf16_attention`: products of two
/// activations are computed in BF16 by those of narrower formats, as Transformer Engine's recipes
/// do unless told otherwise. Throws InputError with the nearest name.
std::vector<ModelRecipe> model_recipes(const std::string& gpu,
                                       const std::vector<std::string>& names,
                                       bool bf16_attention = false);

/// The errors of one matrix product of a graph, over all batches.
struct ProductErrors {
  std::string node;
  bool weights = false;
  std::int64_t rows = 0;  ///< of A, over all batches
  std::int64_t n = 0, k = 0;
  std::int64_t macs = 0;
  /// Against the exact product of this run's own operands; see GemmStudy.
  ErrorFigures quantisation, accumulation, total;
  ErrorFigures propagated;     ///< against the same product of the FP32 run
  double underflow_share = 0;  ///< elements of both operands that became zero
  double overflow_share = 0;   ///< elements of both operands that were clipped
};

/// A model under one recipe, against its FP32 run.
struct RecipeResult {
  ModelRecipe recipe;
  double rel_rmse = 0;                     ///< of all elements of all embeddings
  double cosine_mean = 1, cosine_min = 1;  ///< of a sentence's embedding with that of FP32
  std::int64_t worst_sentence = 0;         ///< whose cosine is cosine_min
  RankingChange ranking;
  std::vector<ProductErrors> products;  ///< in order of execution
  Embeddings embeddings;
};

struct ModelStudyOptions {
  std::int64_t batch = 8;  ///< sentences that run together
  int jobs = 1;            ///< threads; the result does not depend on it
};

struct ModelStudy {
  std::int64_t parameters = 0, sentences = 0, tokens = 0, macs = 0;
  std::int64_t batch = 0;
  Embeddings reference;               ///< of FP32
  std::vector<double> similarities;   ///< its cosines [sentences][sentences]
  std::vector<RecipeResult> results;  ///< in the order of the recipes
};

/// Embeds the sentences in batches, in FP32 and by each recipe, and compares. Throws InputError as
/// embed() does.
ModelStudy study_model(const SentenceEncoder& encoder, const TokenIds& ids,
                       const std::vector<ModelRecipe>& recipes,
                       const ModelStudyOptions& options = ModelStudyOptions());

}  // namespace tessera
