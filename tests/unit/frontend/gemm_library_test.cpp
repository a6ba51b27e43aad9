#include "sim/frontend/gemm_library.h"

#include <algorithm>
#include <catch2/catch.hpp>

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

TEST_CASE("DeepGEMM takes the width of the fewest waves, then of the fullest last one") {
  // 132 cores, one row of tiles. Widths from 32 on make one wave, 32 the fullest: 128 tiles.
  CHECK(deep_gemm(64, 4096).tile_n == 32);
  // Two rows of tiles: 56 is the narrowest of one wave (2 x 64 of 3584), 64 would fill less of it.
  CHECK(deep_gemm(256, 3584).tile_n == 56);
  // 32 rows of tiles: 32 of them make 8 waves, any narrower width 9 or more.
  CHECK(deep_gemm(4096, 4096).tile_n == 128);
}

TEST_CASE("DeepGEMM's blocks have 64 rows up to 64 of A, else 128 and two consumers that share") {
  CHECK(deep_gemm(64, 4096).tile_m == 64);
  CHECK(deep_gemm(64, 4096).consumers == 1);
  const GemmTiling t = deep_gemm(65, 4096);
  CHECK(t.tile_m == 128);
  CHECK(t.consumers == 2);
  CHECK_FALSE(t.pingpong);
  CHECK_FALSE(t.swapped);
  CHECK(t.tile_k == 128);
  CHECK(t.splits == 1);
  CHECK(t.streamed == 0);
}

TEST_CASE("DeepGEMM's blocks share loads in pairs from 512 rows on, of the larger side first") {
  CHECK(deep_gemm(511, 4096).cluster == 1);
  CHECK(deep_gemm(512, 4096).cluster == 2);
  // 128 x 128: neither side is larger; neighbours along M share the weights, 8 pairs at a time.
  const GemmTiling square = deep_gemm(4096, 4096);
  CHECK(square.tile_n == 128);
  CHECK_FALSE(square.along_n);
  CHECK(square.raster_group == 8);
  // 33 rows of tiles are not pairs, 32 columns are: neighbours along N share A.
  const GemmTiling odd = deep_gemm(33 * 128, 4096);
  CHECK(odd.cluster == 2);
  CHECK(odd.along_n);
  CHECK(odd.raster_group == 16);
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
