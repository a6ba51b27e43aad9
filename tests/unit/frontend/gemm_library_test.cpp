#include "sim/frontend/gemm_library.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <utility>

#include "lowering_fixture.h"

using namespace tessera;

namespace {

GemmProblem problem(GemmLibrary library, std::int64_t m, std::int64_t n, std::int64_t k = 4096) {
  GemmProblem p;
  p.m = m;
  p.n = n;
  p.k = k;
  p.operands = Format::e4m3;
  p.library = library;
  return p;
}

GemmTiling tiling(const GemmProblem& p, const ChipConfig& chip = wide_chip()) {
  const std::optional<GemmTiling> t = library_tiling(p, chip);
  REQUIRE(t);
  CHECK(fits(p, *t, chip));
  return *t;
}

GemmTiling cutlass(std::int64_t m, std::int64_t n) {
  return tiling(problem(GemmLibrary::cutlass, m, n));
}
GemmTiling deep_gemm(std::int64_t m, std::int64_t n) {
  return tiling(problem(GemmLibrary::deep_gemm, m, n));
}

}  // namespace

TEST_CASE("CUTLASS's fp8 instances are chosen by the rows of A, K whole and 128 a step") {
  struct Instance {
    std::int64_t m, tile, cluster;
    bool swapped;
  };
  for (const Instance& i : {Instance{2, 64, 4, true},
                            {64, 64, 4, true},
                            {65, 64, 1, false},
                            {256, 64, 1, false},
                            {257, 128, 1, false},
                            {1024, 128, 1, false},
                            {1025, 128, 2, false},
                            {32768, 128, 2, false}}) {
    const GemmTiling t = cutlass(i.m, 65536);
    CAPTURE(i.m);
    CHECK(t.tile_m == i.tile);
    CHECK(t.tile_n == i.tile);
    CHECK(t.tile_k == 128);
    CHECK(t.cluster == i.cluster);
    CHECK_FALSE(t.along_n);
    CHECK(t.swapped == i.swapped);
    CHECK(t.pingpong);
    CHECK(t.consumers == 2);
    CHECK(t.splits == 1);
    CHECK(t.streamed == 0);
  }
}

TEST_CASE("CUTLASS's blocks with one tile each have one consumer, and the ring to itself") {
  // Tiles of 64 x 64 for 132 blocks: 2 x 66, 2 x 67.
  const GemmTiling one = cutlass(128, 66 * 64), more = cutlass(128, 67 * 64);
  CHECK_FALSE(one.pingpong);
  CHECK(one.consumers == 1);
  CHECK(one.stages > more.stages);
  CHECK(more.pingpong);
  CHECK(more.consumers == 2);
  // Clusters of four: 33 of them.
  CHECK_FALSE(cutlass(64, 33 * 4 * 64).pingpong);
  CHECK(cutlass(64, 33 * 4 * 64 + 1).pingpong);
}

TEST_CASE("CUTLASS walks the shorter side of the result first") {
  // 16 x 64 tiles of 128 in pairs of rows: down the rows. 64 x 16: along them.
  CHECK(cutlass(2048, 8192).raster_group == 8);
  CHECK(cutlass(8192, 2048).raster_group == 1);
}

TEST_CASE("a library takes as many stages as fit, at most twelve") {
  for (const GemmProblem& p :
       {problem(GemmLibrary::cutlass, 4096, 4096), problem(GemmLibrary::cutlass, 100, 4096),
        problem(GemmLibrary::deep_gemm, 4096, 4096), problem(GemmLibrary::deep_gemm, 16, 1024)}) {
    GemmTiling t = tiling(p);
    ++t.stages;
    CHECK((t.stages == 13 || !fits(p, t, wide_chip())));
  }
}

TEST_CASE("DeepGEMM's blocks whose scale of B changes at few places have four stages") {
  const auto stages_of_width = [](std::int64_t cols) {
    const GemmTiling t = deep_gemm(64, 132 * cols);  // one full wave of blocks so wide
    REQUIRE(t.tile_n == cols);
    return t.stages;
  };
  for (const std::int64_t cols : {96, 160, 192}) CHECK(stages_of_width(cols) == 4);
  for (const std::int64_t cols : {48, 64, 80, 112, 128, 144}) CHECK(stages_of_width(cols) > 4);
}

TEST_CASE("DeepGEMM takes a block of the fewest waves, and of those one of the fullest last wave") {
  const auto waves = [](std::int64_t m, std::int64_t n, std::int64_t rows, std::int64_t cols) {
    const std::int64_t tiles = ceil_div(m, rows) * ceil_div(n, cols);
    return std::pair(ceil_div(tiles, 132), (tiles - 1) % 132 + 1);
  };
  for (const std::int64_t m : {1, 16, 17, 33, 64, 65, 100, 128, 200, 256, 384, 511, 600, 4096}) {
    for (const std::int64_t n : {64, 512, 2112, 3584, 4096, 7168, 24576}) {
      const GemmTiling t = deep_gemm(m, n);
      CAPTURE(m, n, t.tile_m, t.tile_n);
      CHECK((t.tile_m == 64 || t.tile_m == 128 || t.tile_m == 256));
      CHECK(t.tile_n % 16 == 0);
      const auto [fewest, fullest] = waves(m, n, t.tile_m, t.tile_n);
      for (const std::int64_t rows : {64, 128, 256}) {
        for (std::int64_t cols = 16; cols <= (rows == 256 ? 128 : 192); cols += 16) {
          if (cols == 176) continue;
          const auto [others, last] = waves(m, n, rows, cols);
          CHECK((others > fewest || (others == fewest && last <= fullest)));
        }
      }
    }
  }
}

TEST_CASE("of equally good blocks DeepGEMM takes the narrowest, of other heights the wider one") {
  const auto block = [](std::int64_t m, std::int64_t n) {
    const GemmTiling t = deep_gemm(m, n);
    return std::pair(t.tile_m, t.tile_n);
  };
  // One row of tiles: 32 columns make 128 tiles at any height; of one width the lowest.
  CHECK(block(64, 4096) == std::pair<std::int64_t, std::int64_t>(64, 32));
  // 2 x 64 tiles of 64 x 64, 1 x 128 of 128 x 32: the wider.
  CHECK(block(65, 4096) == std::pair<std::int64_t, std::int64_t>(64, 64));
  // 4 x 32 tiles of 64 x 112 are more than those of any wider or higher block of one wave.
  CHECK(block(256, 3584) == std::pair<std::int64_t, std::int64_t>(64, 112));
  // 128 x 192 makes 32 x 11, three waves; at most 128 columns with 256 rows, so four.
  CHECK(block(4096, 2112) == std::pair<std::int64_t, std::int64_t>(128, 192));
  // 16 x 32 of 256 x 128, four waves; 128 x 192 makes five.
  CHECK(block(4096, 4096) == std::pair<std::int64_t, std::int64_t>(256, 128));
}

TEST_CASE("DeepGEMM's blocks of more than 64 rows have two consumers that share them") {
  CHECK(deep_gemm(64, 4096).consumers == 1);
  CHECK(deep_gemm(511, 4096).consumers == 2);  // 128 x 128
  for (const auto& [m, n] : {std::pair(64, 4096), {511, 4096}, {4096, 4096}, {4096, 2112}}) {
    const GemmTiling t = deep_gemm(m, n);
    CHECK(t.consumers == (t.tile_m > 64 ? 2 : 1));
    CHECK_FALSE(t.pingpong);
    CHECK_FALSE(t.swapped);
    CHECK(t.tile_k == 128);
    CHECK(t.splits == 1);
    CHECK(t.streamed == 0);
  }
}

TEST_CASE("DeepGEMM's blocks share loads in pairs from 512 rows on, of the larger side first") {
  CHECK(deep_gemm(511, 4096).cluster == 1);
  CHECK(deep_gemm(512, 4096).cluster == 2);
  // 256 x 128: A's rows are more; neighbours along N share them.
  const GemmTiling high = deep_gemm(4096, 4096);
  CHECK(high.cluster == 2);
  CHECK(high.along_n);
  CHECK(high.raster_group == 16);
  // 128 x 192, 32 x 12 tiles, and 128 x 128, 32 x 4: neighbours along M share the weights, 8 pairs
  // at a time.
  for (const std::int64_t n : {2304, 512}) {
    const GemmTiling t = deep_gemm(4096, n);
    CHECK(t.tile_m == 128);
    CHECK(t.tile_n == (n == 512 ? 128 : 192));
    CHECK(t.cluster == 2);
    CHECK_FALSE(t.along_n);
    CHECK(t.raster_group == 8);
  }
  // 33 rows of 128 are not pairs, 4 columns are.
  const GemmTiling odd = deep_gemm(33 * 128, 512);
  CHECK(odd.tile_m == 128);
  CHECK(odd.cluster == 2);
  CHECK(odd.along_n);
  // 17 x 37 tiles of 256 x 112 make five waves, pairs along M with a block without work six.
  const GemmTiling alone = deep_gemm(33 * 128, 4096);
  CHECK(alone.tile_m == 256);
  CHECK(alone.tile_n == 112);
  CHECK(alone.cluster == 1);
  CHECK(alone.raster_group == 16);
}

TEST_CASE("where a library has no kernel that fits, and for the vendor's, the mapper searches") {
  CHECK_FALSE(library_tiling(problem(GemmLibrary::tuned, 4096, 4096), wide_chip()));
  ChipConfig small = wide_chip();
  small.scratchpad.size_kib = 32;
  CHECK_FALSE(library_tiling(problem(GemmLibrary::cutlass, 4096, 4096), small));
  CHECK_FALSE(library_tiling(problem(GemmLibrary::deep_gemm, 4096, 4096), small));
}

TEST_CASE("fp8 layers run CUTLASS's kernels, block scales and quantised operands DeepGEMM's") {
  const auto gemm = [](const std::string& text) {
    return lower_op_text(text, wide_chip()).sections[0].kernels.back();
  };
  // Ping-pong consumers of two roles; consumers that share a tile of one.
  CHECK(gemm("linear m=4096 n=4096 k=4096 dtype=fp8").roles.size() == 4);
  CHECK(gemm("linear m=4096 n=4096 k=4096 dtype=fp8-block").roles.size() == 2);
  CHECK(gemm("gemm m=4096 n=4096 k=4096 dtype=fp8").roles.size() == 2);
  CHECK(gemm("gemm m=64 n=4096 k=4096 dtype=fp8").grid == 128);
}
