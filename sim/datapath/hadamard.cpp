#include "sim/datapath/hadamard.h"

#include <cmath>
#include <stdexcept>

namespace tessera {

void random_hadamard(float* x, std::int64_t rows, std::int64_t cols, std::int64_t size,
                     const Random& random) {
  if (size < 1 || (size & (size - 1)) != 0 || cols % size != 0)
    throw std::invalid_argument("random_hadamard: the size is no power of two that divides cols");
  const float norm = 1.0F / std::sqrt(static_cast<float>(size));
  for (std::int64_t begin = 0; begin < rows * cols; begin += size) {
    float* const v = x + begin;
    for (std::int64_t i = 0; i < size; ++i)
      if ((random.bits(static_cast<std::uint64_t>(i)) & 1) != 0) v[i] = -v[i];
    for (std::int64_t half = 1; half < size; half *= 2) {
      for (std::int64_t i = 0; i < size; i += 2 * half) {
        for (std::int64_t j = i; j < i + half; ++j) {
          const float low = v[j], high = v[j + half];
          v[j] = low + high;
          v[j + half] = low - high;
        }
      }
    }
    for (std::int64_t i = 0; i < size; ++i) v[i] *= norm;
  }
}

}  // namespace tessera
