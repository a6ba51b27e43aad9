#pragma once

#include <cstdint>

// Internal to product.cpp: one object file per instruction set, each built from
// product_loop.h.

namespace tessera::product_kernels {

/// Rows of a tile, on every instruction set.
constexpr int tile_rows = 4;

/// sums[row][lane] = a[k - 1][row] * b[k - 1][lane] + ... + a[0][row] * b[0][lane] +
/// sums[row][lane], each multiply-add rounded once (FP64: products are exact, so rounding twice is
/// the same).
template <class Real>
struct Tile {
  std::int64_t k = 0;
  const Real* a = nullptr;  ///< [k][tile_rows]
  const Real* b = nullptr;  ///< [k][lanes]
  Real* sums = nullptr;     ///< [tile_rows][lanes]
};

template <class Real>
struct Kernel {
  int lanes = 0;
  void (*run)(const Tile<Real>&) = nullptr;
};

struct Kernels {
  Kernel<float> single;
  Kernel<double> twice;
};

extern const Kernels portable;
extern const Kernels avx2;
extern const Kernels avx512;

}  // namespace tessera::product_kernels
