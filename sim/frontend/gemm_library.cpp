#include "sim/frontend/gemm_library.h"

#include <algorithm>

namespace tessera {
namespace {

/// Bytes of K in a step of either library's main loop.
constexpr std::int64_t step_bytes = 128;
constexpr std::int64_t max_stages = 12;

/// With as many stages as fit.
std::optional<GemmTiling> staged(const GemmProblem& p, GemmTiling t, const ChipConfig& chip) {
  t.tile_k = step_bytes * 8 / bits(p.operands);
  for (t.stages = max_stages; t.stages >= 2; --t.stages) {
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

/// DeepGEMM's choice of a configuration (get_best_configs): of the widths that make the fewest
/// waves the one whose last wave is fullest, of equals the widest; pairs of blocks share loads from
/// 512 rows on.
std::optional<GemmTiling> deep_gemm_tiling(const GemmProblem& p, const ChipConfig& chip) {
  constexpr std::int64_t narrowest = 16, widest = 128, narrow_step = 8;
  constexpr std::int64_t rows_that_share = 512, group_of_blocks = 16;
  GemmTiling t;
  t.tile_m = p.m <= 64 ? 64 : 128;
  t.consumers = t.tile_m / 64;
  const std::int64_t cores = chip.core.count;
  const std::int64_t tiles_m = ceil_div(p.m, t.tile_m) * p.groups;
  std::int64_t fewest = 0, fullest = 0;
  for (std::int64_t width = narrowest; width <= widest; width += narrow_step) {
    const std::int64_t tiles = tiles_m * ceil_div(p.n, width);
    const std::int64_t waves = ceil_div(tiles, cores);
    const std::int64_t last = tiles - (waves - 1) * cores;
    if (fewest != 0 && (waves > fewest || (waves == fewest && last < fullest))) continue;
    fewest = waves;
    fullest = last;
    t.tile_n = width;
  }
  t.raster_group = group_of_blocks;
  if (p.m >= rows_that_share) {
    // On the larger side of the block first, if the tiles along the other side are even in number.
    const bool even_m = ceil_div(p.m, t.tile_m) % 2 == 0, even_n = ceil_div(p.n, t.tile_n) % 2 == 0;
    GemmTiling shared = t;
    shared.along_n = even_n && (t.tile_m > t.tile_n || !even_m);
    shared.cluster = 2;
    if (!shared.along_n) shared.raster_group /= 2;
    if (even_m || even_n) {
      if (const auto staged_pair = staged(p, shared, chip)) return staged_pair;
    }
  }
  return staged(p, t, chip);
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
