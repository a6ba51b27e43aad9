#pragma once

#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "sim/datapath/error.h"
#include "sim/datapath/format.h"

namespace tessera {

/// Which elements of a matrix [rows][cols], cols being the contraction k, share a scale.
enum class Scaling : std::uint8_t {
  none,           ///< a plain cast
  tensor,         ///< one scale
  token,          ///< a scale per row of activations A[m][k]
  channel,        ///< a scale per row of weights B[n][k]: the same grid as token
  block_1x128,    ///< activations of block scaling
  block_128x128,  ///< weights of block scaling
  mx,             ///< OCP MX: E8M0 scales of 1 x 32
  nvfp4,          ///< E4M3 scales of 1 x 16 under an FP32 scale of the tensor
  nvfp4_16x16,    ///< the same with scales of 16 x 16, for weights
};

/// "none", "tensor", "token", "channel", "1x128", "128x128", "mx", "nvfp4", "nvfp4-16x16".
std::string_view name(Scaling scaling);
const std::vector<Scaling>& all_scalings();
/// Inverse of name(); throws InputError with the nearest valid name.
Scaling parse_scaling(std::string_view text);

/// How a scale follows from the largest magnitude of its elements, amax; max is max_finite(format).
/// NaN never is the largest magnitude.
enum class ScaleRule : std::uint8_t {
  /// The scaling's own: tensor fp32, token and channel serving, blocks power_of_two_down, mx
  /// e8m0_up, nvfp4 the two-level scale of Transformer Engine.
  recipe,
  /// Transformer Engine's current scaling: multiply by max / amax rounded to FP32 (amax 0 or Inf:
  /// 1; quotient Inf: the largest FP32 number); the scale is the reciprocal, rounded to FP32.
  fp32,
  /// The same with the multiplier's fraction bits cleared: its block scaling.
  power_of_two_down,
  /// vLLM: the scale is amax / max, at least 1 / (512 max); elements are divided by it.
  serving,
  /// DeepGEMM: amax is at least 1e-4, the scale amax / max, elements multiplied by its reciprocal.
  deepgemm,
  /// torchao: multiply by max / amax, computed in FP64 and rounded to FP32; amax is at least 1e-12.
  torchao,
  /// Transformer Engine's MXFP8: the scale is amax * (1 / max) rounded up to a power of two. A
  /// block
  /// that rounds to E8M0 code 0 is not scaled up: it becomes zeros.
  e8m0_up,
  /// OCP MX v1.0: the largest power of two not above amax, divided by that of max. The block's
  /// largest element may be clipped.
  e8m0_down,
};

/// A matrix in a narrow format: x[r][c] ~ values[r][c] * scale(r, c).
struct QuantisedMatrix {
  Format format = Format::fp32;
  Scaling scaling = Scaling::none;
  std::int64_t rows = 0, cols = 0;
  std::vector<float> values;  ///< [rows][cols], values of the format

  /// Elements that share a scale, and the scales [ceil(rows / block_rows)][ceil(cols /
  /// block_cols)]. Without scaling there is one block with scale 1.
  std::int64_t block_rows = 0, block_cols = 0;
  std::vector<float> scales;
  float tensor_scale = 1;  ///< on top of `scales`; nvfp4 only
  QuantisationStatistics statistics;

  std::int64_t scale_columns() const;
  float block_scale(std::int64_t row, std::int64_t col) const;
  /// block_scale() times tensor_scale, exact.
  double scale(std::int64_t row, std::int64_t col) const;
  /// values * scale, exact.
  std::vector<double> dequantised() const;
  /// The matrix of some of the rows, in this order, with their scales, one for each row unless one
  /// covers all rows. `statistics` are still those of the whole.
  QuantisedMatrix rows_of(const std::vector<std::int64_t>& chosen) const;
};

/// Quantises x[rows][cols]. Elements are scaled in FP32 and rounded to nearest even; FP8 and
/// narrower saturate, wider formats overflow to Inf as casts do. tf32 drops the low bits, as tensor
/// cores do. Throws InputError for a format that holds no numbers to scale (int32, e8m0), nvfp4
/// with another format than e2m1, and a rule that is not of the scaling (e8m0 rules: mx only).
QuantisedMatrix quantise(const float* x, std::int64_t rows, std::int64_t cols, Format format,
                         Scaling scaling, ScaleRule rule = ScaleRule::recipe);

/// The same with given scales (calibrated, or of DelayedScaling) in the layout of
/// QuantisedMatrix::scales: elements are multiplied by the reciprocal, rounded to FP32. Not for
/// nvfp4. Throws InputError for a wrong count and for a scale that is NaN, Inf, negative or zero.
QuantisedMatrix quantise_with(const float* x, std::int64_t rows, std::int64_t cols, Format format,
                              Scaling scaling, const std::vector<float>& scales);

/// The largest finite or infinite magnitude; NaN is passed over; 0 of nothing.
float amax_of(const float* x, std::int64_t n);

/// Transformer Engine's compute_scale_from_amax: what the elements are multiplied by.
/// `power_of_two` clears the fraction bits.
float scale_from_amax(float amax, float max, bool power_of_two);

/// Transformer Engine's delayed scaling of one tensor: the scale of a step follows from the amaxes
/// of the steps before.
class DelayedScaling {
 public:
  enum class Algorithm : std::uint8_t { max, most_recent };
  struct Options {
    int history_length = 1024;
    Algorithm algorithm = Algorithm::max;
    int margin = 0;  ///< the scale is divided by 2^margin
  };

  explicit DelayedScaling(Format format);
  /// Throws InputError for a history shorter than 1 or a margin outside -100..100.
  DelayedScaling(Format format, const Options& options);

  /// Quantises a step's tensor with the current scale, clipping what is beyond it, and then updates
  /// the scale with the step's amax: max / largest amax of the history (or the newest) / 2^margin.
  /// An amax of 0, Inf or NaN leaves the scale alone; a quotient of Inf gives the largest FP32
  /// number.
  QuantisedMatrix step(const float* x, std::int64_t rows, std::int64_t cols);

  /// What the elements of the next step are multiplied by; 1 at first.
  float scale() const { return scale_; }

 private:
  Format format_;
  Options options_;
  float scale_ = 1;
  std::deque<float> history_;  ///< newest first
};

}  // namespace tessera
