#pragma once

// Tiles of a matrix product in FP32 and FP64. Included once per instruction set, after
// TESSERA_TARGET (the function attribute that selects it), TESSERA_KERNELS (the table's name) and
// the classes Single and Double are defined.

namespace tessera::product_kernels {
namespace {

template <class V>
TESSERA_TARGET void run(const Tile<typename V::Real>& tile) {
  using Real = typename V::Real;
  constexpr int vectors = V::vectors;
  constexpr int lanes = vectors * V::lanes;
  typename V::Reals sums[tile_rows][vectors];
#pragma GCC unroll 4
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sums[r][v] = V::load(tile.sums + r * lanes + v * V::lanes);
  const Real* a = tile.a;
  const Real* b = tile.b;
  for (std::int64_t k = 0; k < tile.k; ++k) {
    typename V::Reals columns[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) columns[v] = V::load(b + v * V::lanes);
#pragma GCC unroll 4
    for (int r = 0; r < tile_rows; ++r) {
      const typename V::Reals row = V::broadcast(a[r]);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sums[r][v] = V::multiply_add(row, columns[v], sums[r][v]);
    }
    a += tile_rows;
    b += lanes;
  }
#pragma GCC unroll 4
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) V::store(tile.sums + r * lanes + v * V::lanes, sums[r][v]);
}

}  // namespace

const Kernels TESSERA_KERNELS = {{Single::vectors * Single::lanes, run<Single>},
                                 {Double::vectors * Double::lanes, run<Double>}};

}  // namespace tessera::product_kernels
