#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "sim/datapath/error.h"
#include "sim/datapath/unit.h"

namespace tessera {

/// How one head of attention is computed. docs/datapath.md describes each step.
enum class AttentionRecipe : std::uint8_t {
  fp16_baseline,   ///< FP16 GEMMs; scores and normalised probabilities rounded to FP16 between
  fp16_flash,      ///< FP16 GEMMs; online softmax in FP32 over blocks of keys (FlashAttention)
  fp8_baseline,    ///< E4M3 with a scale per tensor; softmax between in FP16
  fp8_flash,       ///< E4M3 with a scale per tensor, online softmax in FP32
  fp8_block,       ///< the same with a scale per block of 128 rows
  fp8_incoherent,  ///< fp8_flash with Q and K multiplied by a random Hadamard matrix
  fp8_flash3,      ///< fp8_block and fp8_incoherent: FlashAttention-3
};

/// "fp16-baseline", "fp16-flash", "fp8-baseline", "fp8-flash", "fp8-block", "fp8-incoherent",
/// "fp8-flash3".
std::string_view name(AttentionRecipe recipe);
const std::vector<AttentionRecipe>& all_attention_recipes();

/// One head: Q, K and V are [seq][head_dim]; softmax(Q K^T / sqrt(head_dim)) V.
struct AttentionHead {
  std::int64_t seq = 0, head_dim = 0;
  std::vector<float> q, k, v;
};

/// The tensor cores of the GEMMs; nullptr: exact sums, rounded to FP32.
struct AttentionUnits {
  const Unit* fp16 = nullptr;
  const Unit* fp8 = nullptr;
};

/// Attention of the queries `rows`, in FP64 from the operands as they are: [rows][head_dim].
std::vector<double> exact_attention(const AttentionHead& head,
                                    const std::vector<std::int64_t>& rows);

/// The same as a recipe computes it, rounded to FP16. `seed` chooses the Hadamard signs. Scales
/// follow from all of Q, K and V, whichever rows are asked for. One thread. The exponential is
/// rounded to FP32 from an exact one: the special-function unit's approximation is not modelled.
/// Throws InputError for a head_dim that is no power of two from 16 to 256 (the Hadamard matrix).
std::vector<float> attention(const AttentionHead& head, const std::vector<std::int64_t>& rows,
                             AttentionRecipe recipe, const AttentionUnits& units,
                             std::uint64_t seed);

struct AttentionStudyOptions {
  std::int64_t seq = 4096, head_dim = 128;
  std::int64_t queries = 256;  ///< rows compared per seed, drawn at random; 0: all
  std::uint64_t first_seed = 1;
  int seeds = 16;
  int jobs = 1;  ///< threads; the result does not depend on it
  AttentionUnits units;
};

/// A recipe's error over the seeds, Q, K and V drawn from Distribution::outlier.
struct AttentionError {
  AttentionRecipe recipe = AttentionRecipe::fp16_baseline;
  ErrorFigures all;                ///< of every seed's outputs together
  std::vector<double> rmse;        ///< sqrt(mean e^2), seed by seed: the published figure
  double mean = 0, deviation = 0;  ///< of rmse over the seeds (deviation: of the sample)
};

/// The experiment of FlashAttention-3's Table 3 (arXiv 2407.08608, section 4.3).
std::vector<AttentionError> study_attention(const AttentionStudyOptions& options);

}  // namespace tessera
