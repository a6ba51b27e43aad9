#pragma once

#include <cstdint>
#include <vector>

#include "sim/precision/sampled_tensor.h"

namespace tessera {

// Operations without a matrix product, on both values of an activation. The datapath computes them
// in FP32 from stored values; its own error there, some 2^-24, is left out: both values are
// computed in FP64 and rounded to FP32. Rounding to a stored format is the caller's.

double gelu(double x);  ///< x Phi(x), with the error function
double silu(double x);  ///< x / (1 + exp(-x))

/// Applies f to every element.
template <class F>
void transform(SampledTensor& x, const F& f) {
  for (float& v : x.reference) v = static_cast<float>(f(static_cast<double>(v)));
  for (float& v : x.computed) v = static_cast<float>(f(static_cast<double>(v)));
}

/// Normalises groups of `width` columns among the first `cols` of each row; epsilon 1e-5. Gains and
/// biases [width] may be null. With `centred` LayerNorm, else RMSNorm.
void normalise(SampledTensor& x, std::int64_t cols, std::int64_t width, bool centred,
               const std::vector<float>* gain, const std::vector<float>* bias);

/// y[j] = silu(x[j]) x[cols + j]
SampledTensor silu_mul(const SampledTensor& x, std::int64_t cols);
/// x += y
void add(SampledTensor& x, const SampledTensor& y);
/// Each row's exponentials over their sum.
void softmax(SampledTensor& x);

/// Rotates the first `rotated` dimensions of the first `heads` heads of `head_dim` columns by the
/// row's position: pairs (i, i + rotated / 2), base 10000.
void rotate(SampledTensor& x, std::int64_t heads, std::int64_t head_dim, std::int64_t rotated,
            const std::vector<std::int64_t>& positions);

}  // namespace tessera
