#include "sim/datapath/product.h"

#include <algorithm>
#include <vector>

#include "sim/base/units.h"
#include "sim/datapath/product_kernels.h"

namespace tessera {
namespace {

using product_kernels::Kernel;
using product_kernels::Kernels;
using product_kernels::tile_rows;

/// Products of a panel: a tile's columns of B stay in the first-level cache.
constexpr std::int64_t panel_products = 128;

const Kernels& kernels(Isa isa) {
  switch (isa) {
    case Isa::portable:
      break;
    case Isa::avx2:
      return product_kernels::avx2;
    case Isa::avx512:
      return product_kernels::avx512;
  }
  return product_kernels::portable;
}

/// packed[k][width] = rows of a matrix, transposed; absent rows are zeros.
template <class Real>
void pack(const float* matrix, std::int64_t rows, std::int64_t row_length, std::int64_t first_row,
          std::int64_t begin, std::int64_t length, int width, Real* packed) {
  for (int r = 0; r < width; ++r) {
    const std::int64_t row = first_row + r;
    const float* const source = matrix + (row < rows ? row * row_length + begin : 0);
    for (std::int64_t k = 0; k < length; ++k)
      packed[k * width + r] = row < rows ? static_cast<Real>(source[k]) : Real{0};
  }
}

/// Panels of k in turn. `start` gives the sums a panel starts from, `finish` takes its result: both
/// get (row, column, columns of the tile, sums), row by row.
template <class Real, class Start, class Finish>
void for_panels(const float* a, const float* b, std::int64_t m, std::int64_t n, std::int64_t k,
                std::int64_t panel, const Kernel<Real>& kernel, Start start, Finish finish) {
  const int lanes = kernel.lanes;
  const std::int64_t row_tiles = ceil_div(m, tile_rows);
  std::vector<Real> packed_a(static_cast<std::size_t>(row_tiles * tile_rows * panel));
  std::vector<Real> packed_b(static_cast<std::size_t>(lanes * panel));
  std::vector<Real> sums(static_cast<std::size_t>(tile_rows * lanes));
  for (std::int64_t begin = 0, p = 0; begin < k; begin += panel, ++p) {
    const std::int64_t length = std::min(panel, k - begin);
    for (std::int64_t t = 0; t < row_tiles; ++t)
      pack(a, m, k, t * tile_rows, begin, length, tile_rows,
           packed_a.data() + t * tile_rows * panel);
    for (std::int64_t column = 0; column < n; column += lanes) {
      const std::int64_t columns = std::min<std::int64_t>(lanes, n - column);
      pack(b, n, k, column, begin, length, lanes, packed_b.data());
      for (std::int64_t t = 0; t < row_tiles; ++t) {
        const std::int64_t rows = std::min<std::int64_t>(tile_rows, m - t * tile_rows);
        std::fill(sums.begin(), sums.end(), Real{0});
        for (std::int64_t r = 0; r < rows; ++r)
          start(t * tile_rows + r, column, columns, sums.data() + r * lanes);
        kernel.run({length, packed_a.data() + t * tile_rows * panel, packed_b.data(), sums.data()});
        for (std::int64_t r = 0; r < rows; ++r)
          finish(p, t * tile_rows + r, column, columns, sums.data() + r * lanes);
      }
    }
  }
}

/// Sums carried in D from panel to panel: the order is k's, and storing rounds nothing.
template <class Real>
void carried_product(const float* a, const float* b, std::int64_t m, std::int64_t n, std::int64_t k,
                     Real* d, const Kernel<Real>& kernel) {
  std::fill(d, d + m * n, Real{0});
  for_panels(
      a, b, m, n, k, panel_products, kernel,
      [&](std::int64_t row, std::int64_t column, std::int64_t columns, Real* sums) {
        std::copy_n(d + row * n + column, columns, sums);
      },
      [&](std::int64_t, std::int64_t row, std::int64_t column, std::int64_t columns,
          const Real* sums) { std::copy_n(sums, columns, d + row * n + column); });
}

}  // namespace

void exact_product(const float* a, const float* b, std::int64_t m, std::int64_t n, std::int64_t k,
                   double* d, Isa isa) {
  carried_product(a, b, m, n, k, d, kernels(isa).twice);
}

void exact_product(const float* a, const float* b, std::int64_t m, std::int64_t n, std::int64_t k,
                   const StretchScales& scales, double* d, Isa isa) {
  const std::int64_t stretches = ceil_div(k, scales.stretch);
  std::fill(d, d + m * n, 0.0);
  for_panels(
      a, b, m, n, k, scales.stretch, kernels(isa).twice,
      [](std::int64_t, std::int64_t, std::int64_t, double*) {},
      [&](std::int64_t p, std::int64_t row, std::int64_t column, std::int64_t columns,
          const double* sums) {
        const double a_scale = scales.a[row * stretches + p];
        for (std::int64_t j = 0; j < columns; ++j)
          d[row * n + column + j] += a_scale * scales.b[(column + j) * stretches + p] * sums[j];
      });
}

void fp32_product(const float* a, const float* b, std::int64_t m, std::int64_t n, std::int64_t k,
                  float* d, Isa isa) {
  carried_product(a, b, m, n, k, d, kernels(isa).single);
}

}  // namespace tessera
