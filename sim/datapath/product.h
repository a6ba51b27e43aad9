#pragma once

#include <cstdint>

#include "sim/datapath/isa.h"

namespace tessera {

/// D[m][n] = A[m][k] B[n][k]^T in FP64, in ascending k. Products of FP32 values are exact, so a sum
/// of k terms is off by at most k 2^-53 of the sum of their magnitudes. Bit-identical on every Isa.
/// One thread.
void exact_product(const float* a, const float* b, std::int64_t m, std::int64_t n, std::int64_t k,
                   double* d, Isa isa = best_isa());

/// The same with scales that change along k: every `stretch` products are summed from zero, times
/// a_scales[i][p] * b_scales[j][p] (exact for FP32 scales), and added in ascending p.
struct StretchScales {
  std::int64_t stretch = 0;
  const double* a = nullptr;  ///< [m][ceil(k / stretch)]
  const double* b = nullptr;  ///< [n][ceil(k / stretch)]
};
void exact_product(const float* a, const float* b, std::int64_t m, std::int64_t n, std::int64_t k,
                   const StretchScales& scales, double* d, Isa isa = best_isa());

/// D[m][n] = A[m][k] B[n][k]^T as FP32 multiply-adds, each rounded to nearest even, in ascending k
/// from zero: what a vector lane computes. Bit-identical on every Isa. One thread.
void fp32_product(const float* a, const float* b, std::int64_t m, std::int64_t n, std::int64_t k,
                  float* d, Isa isa = best_isa());

}  // namespace tessera
