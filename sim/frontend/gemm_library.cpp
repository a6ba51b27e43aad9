#include "sim/frontend/gemm_library.h"

#include <algorithm>
#include <numeric>

namespace tessera {
namespace {

/// Bytes of K in a step of either library's main loop.
constexpr std::int64_t step_bytes = 128;
constexpr std::int64_t max_stages = 12;

/// With as many stages as fit, at most `most`.
std::optional<GemmTiling> staged(const GemmProblem& p, GemmTiling t, const ChipConfig& chip,
                                 std::int64_t most = max_stages) {
  t.tile_k = step_bytes * 8 / bits(p.operands);
  for (t.stages = most; t.stages >= 2; --t.stages) {
    if (fits(p, t, chip)) return t;
  }
  return std::nullopt;
}

/// SGLang's scaled fp8 GEMM for Hopper (sgl-kernel, fp8_gemm_kernel.cu), as vLLM's a handful of
/// CUTLASS instances chosen by the rows of A: persistent ping-pong kernels, no split of K, blocks
/// along the shorter side of the result first.
std::optional<GemmTiling> cutlass_tiling(const GemmProblem& p, const ChipConfig& chip) {
  GemmTiling t;
  t.pingpong = true;
  t.consumers = 2;
  t.tile_m = t.tile_n = p.m <= 256 ? 64 : 128;
  if (p.m <= 64) {
    // Neighbours along N share the activations: with square tiles the same as the weights on the
    // M side and neighbours along it.
    t.swapped = true;
    t.cluster = 4;
  } else if (p.m > 1024) {
    t.cluster = 2;
  }
  const GemmShape shape(p, t);
  const bool along_m = shape.tiles_n > shape.tiles_m;
  t.raster_group = along_m ? shape.cluster_rows : 1;
  if (shape.units <= cluster_places(t, chip)) {
    // Both consumers draw on one ring, here on one each: with one tile a block one has work, and
    // all of the ring.
    t.pingpong = false;
    t.consumers = 1;
  }
  return staged(p, t, chip);
}

/// DeepGEMM's choice of a block for Hopper (get_best_config): of those that make the fewest waves
/// one whose last wave is fullest; of equals of a height the narrowest, of a width the lowest, else
/// the wider one. Pairs of blocks share loads from 512 rows on, where that makes no more waves.
std::optional<GemmTiling> deep_gemm_tiling(const GemmProblem& p, const ChipConfig& chip) {
  constexpr std::int64_t rows_that_share = 512, group_of_blocks = 16;
  struct Block {
    std::int64_t m = 0, n = 0, waves = 0, last = 0;
  };
  const std::int64_t cores = chip.core.count;
  Block best;
  const auto consider = [&](std::int64_t m, std::int64_t n) {
    const std::int64_t tiles = ceil_div(p.m, m) * p.groups * ceil_div(p.n, n);
    Block b{m, n, ceil_div(tiles, cores), 0};
    b.last = tiles - (b.waves - 1) * cores;
    bool better = best.m == 0 || b.waves < best.waves;
    if (!better && b.waves == best.waves) {
      better = b.last > best.last || (b.last == best.last &&
                                      ((m == best.m && n < best.n) || (n == best.n && m < best.m) ||
                                       (m != best.m && n > best.n && n <= p.n && m <= p.m)));
    }
    if (better) best = b;
  };
  for (const std::int64_t m : {64, 128, 256, 16, 32}) {
    // Blocks lower than a matrix instruction are for as few rows.
    if (m < 64 && p.m > m) continue;
    for (std::int64_t n = 16; n <= 192; n += 16) {
      // Beyond 128 columns a block has two scales of B; registers hold no more than this.
      if (n == 176 || (n > 128 && m > 128)) continue;
      consider(m, n);
    }
  }
  GemmTiling t;
  t.tile_m = std::max<std::int64_t>(best.m, 64);
  t.tile_n = best.n;
  t.consumers = t.tile_m > 64 ? 2 : 1;
  t.raster_group = group_of_blocks;
  // A block whose columns have two scales of B changes from one to the other at one of `places`
  // columns. If these are few, the library's code is unrolled for each, and for each stage.
  const std::int64_t places = scale_block / std::gcd(scale_block, best.n);
  const bool unrolled = scale_block % best.n != 0 && places <= 4;
  const std::int64_t most = unrolled ? 4 : max_stages;
  if (p.m >= rows_that_share) {
    // On the larger side of the block first. (The library leaves the last of an odd number alone;
    // here pairs then form along the other side.)
    const bool even_m = ceil_div(p.m, best.m) % 2 == 0, even_n = ceil_div(p.n, best.n) % 2 == 0;
    GemmTiling shared = t;
    shared.along_n = even_n && (best.m > best.n || !even_m);
    shared.cluster = 2;
    if (!shared.along_n) shared.raster_group /= 2;
    const GemmShape shape(p, shared);
    const bool as_many_waves = ceil_div(shape.units, cluster_places(shared, chip)) <= best.waves;
    if (as_many_waves) {
      if (const auto pair = staged(p, shared, chip, most)) return pair;
    }
  }
  return staged(p, t, chip, most);
}

}  // namespace

std::optional<GemmTiling> library_tiling(const GemmProblem& problem, const ChipConfig& chip) {
  switch (problem.library) {
    case GemmLibrary::cutlass:
      return cutlass_tiling(problem, chip);
    case GemmLibrary::deep_gemm:
      return deep_gemm_tiling(problem, chip);
    case GemmLibrary::tuned:
      break;
  }
  return std::nullopt;
}

}  // namespace tessera
