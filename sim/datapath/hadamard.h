#pragma once

#include <cstdint>

#include "sim/base/random.h"

namespace tessera {

/// Multiplies each row of x[rows][cols], in stretches of `size` elements, by diag(s) H /
/// sqrt(size): H the Hadamard matrix of `size`, a power of two that divides cols, and s signs drawn
/// from `random`, the same for every row and stretch. Orthogonal: (A M)(B M)^T = A B^T. FP32, in
/// one order. It spreads outliers over a stretch ("incoherent processing" of FlashAttention-3 and
/// QuIP, the random Hadamard transform of NVFP4). Throws std::invalid_argument for another size.
void random_hadamard(float* x, std::int64_t rows, std::int64_t cols, std::int64_t size,
                     const Random& random);

}  // namespace tessera
