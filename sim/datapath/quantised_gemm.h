#pragma once

#include <cstdint>
#include <vector>

#include "sim/datapath/error.h"
#include "sim/datapath/isa.h"
#include "sim/datapath/product.h"
#include "sim/datapath/scaling.h"
#include "sim/datapath/unit.h"

namespace tessera {

/// How the steps of a tensor core are put together over k.
enum class Accumulation : std::uint8_t {
  fast,        ///< one chain over all of k
  promote128,  ///< chains of 128 products, added in FP32 by the vector lanes
};
std::string_view name(Accumulation accumulation);

/// Everything that decides the bits of a layer's GEMM.
struct GemmArithmetic {
  Format a_format = Format::e4m3, b_format = Format::e4m3;
  Scaling a_scaling = Scaling::tensor, b_scaling = Scaling::tensor;
  ScaleRule a_rule = ScaleRule::recipe, b_rule = ScaleRule::recipe;
  /// The tensor core. nullptr: FP32 multiply-adds of the vector lanes in ascending k, of operands
  /// of any format. The unit must outlive its uses.
  const Unit* unit = nullptr;
  Accumulator accumulator = Accumulator::fp32;
  Accumulation accumulation = Accumulation::fast;
  Format output = Format::fp32;  ///< fp32, bf16 or fp16, rounded to nearest even
};

/// Throws InputError for what cannot be computed: formats that are not the unit's, block scaling
/// without promotion, mx and nvfp4 on a unit without block scales, an output that is none.
void validate(const GemmArithmetic& arithmetic);

/// D[m][n] = A[m][k] B[n][k]^T as the hardware computes it, bit-identical on every Isa.
/// - fp32 scales of a whole row (tensor, token, channel): the sum is multiplied by
///   fl(a scale * b scale) at the end, rounding to FP32.
/// - block scales: fl(a scale * b scale) goes into the promotion of each 128 products as one FFMA.
/// - mx, nvfp4: the scales enter the products before the alignment (docs/datapath.md).
/// One thread. Throws what validate() throws, std::invalid_argument for operands that are not of
/// the arithmetic's formats and scalings or whose k differ.
void emulate(const QuantisedMatrix& a, const QuantisedMatrix& b, const GemmArithmetic& arithmetic,
             float* d, Isa isa = best_isa());

/// The same from original operands, quantised first. A and B as above.
void emulate(const float* a, const float* b, std::int64_t m, std::int64_t n, std::int64_t k,
             const GemmArithmetic& arithmetic, float* d, Isa isa = best_isa());

/// exact_product() of dequantised operands (sim/datapath/product.h): scales of whole rows multiply
/// the sum, others the sum of each stretch of k that they cover.
void exact_product(const QuantisedMatrix& a, const QuantisedMatrix& b, double* d,
                   Isa isa = best_isa());

struct StudyOptions {
  std::int64_t sample = 0;  ///< outputs to compute, about; 0 or all of them and more: every output
  std::uint64_t seed = 1;   ///< of the choice of outputs and of the bootstrap
  int jobs = 1;             ///< threads; the result does not depend on it
  Isa isa = best_isa();     ///< nor on this
};

/// 95 % confidence interval. Both ends are the value where every output was computed.
struct Interval {
  double low = 0, high = 0;
};

/// The error of one GEMM, by cause.
struct GemmStudy {
  /// Exact product of the dequantised operands against exact product of the originals.
  ErrorFigures quantisation;
  /// Emulated before the output's rounding, against exact product of the dequantised operands.
  ErrorFigures accumulation;
  /// Emulated and rounded to the output format, against exact product of the originals.
  ErrorFigures total;
  Interval quantisation_interval, accumulation_interval, total_interval;  ///< of rel_rmse
  QuantisationStatistics a, b;
  std::int64_t outputs = 0;  ///< compared
  bool sampled = false;
  std::int64_t blocks = 0;  ///< of outputs drawn; each is sample_rows x sample_columns of them
};

/// Quantises A[m][k] and B[n][k] and compares. Sampled outputs are blocks of some random rows and
/// columns, over all of k; the intervals come from a bootstrap over the blocks (docs/datapath.md).
/// Throws what validate() throws.
GemmStudy study_gemm(const float* a, const float* b, std::int64_t m, std::int64_t n, std::int64_t k,
                     const GemmArithmetic& arithmetic,
                     const StudyOptions& options = StudyOptions());

}  // namespace tessera
