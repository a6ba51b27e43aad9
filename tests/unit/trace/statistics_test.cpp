#include "sim/trace/statistics.h"

#include <catch2/catch.hpp>

#include "random_trace.h"
#include "sim/trace/text.h"

namespace tessera {
namespace {

template <class Kind>
std::int64_t executed(const KernelStatistics& s) {
  return s.executed[Instruction(Kind{}).index()];
}

TEST_CASE("A GEMM's counts are those of its formula") {
  const auto all = statistics(small_gemm());
  REQUIRE(all.size() == 1);
  const KernelStatistics& s = all[0];
  CHECK(s.complete);
  CHECK(s.section == "gemm");
  CHECK(s.op == "gemm");
  CHECK(s.blocks == 5);
  // 16 tiles of 128 x 128 in 8 steps of 64 along k; 2 consumers.
  CHECK(executed<Load>(s) == 16 * 8 * 2);
  CHECK(executed<Expect>(s) == 16 * 8);
  CHECK(executed<Mma>(s) == 16 * 8 * 2);
  CHECK(executed<Store>(s) == 16 * 2);
  CHECK(executed<Raster>(s) == 16 * 3);
  CHECK(executed<Setup>(s) == 5);
  CHECK(executed<Wait>(s) == 16 * 8 * 3);
  // A loop's line counts its entries, its end the iterations.
  CHECK(executed<Loop>(s) == 15 + 16 * 3);
  CHECK(executed<End>(s) == 16 * 3 + 16 * 8 * 3);
  CHECK(s.load_bytes == 4 * 512 * 512 * 2 * 2);
  CHECK(s.landed_bytes == s.load_bytes);
  CHECK(s.store_bytes == 512 * 512 * 2);
  CHECK(s.mma_flops == 2LL * 512 * 512 * 512);
  CHECK(s.vector_elements.at("epilogue") == 512 * 512);
  CHECK(s.registers == 32 * 40 + 2 * 4 * 32 * 200);
  CHECK(s.warps == 9);
  CHECK(s.scratchpad_bytes == 98304);
  std::int64_t steps = 0;
  for (const std::int64_t count : s.executed) steps += count;
  CHECK(s.steps == steps);
}

TEST_CASE(
    "Bytes beyond a tensor's edge land but are not loaded, and a multicast lands in each block") {
  const auto all = statistics(
      parse_text("tessera-trace 1\nsection s repeat 3\n  tensor t weight fp32 100 x 10\n"
                 "  op o x y\n  kernel k op o grid 2 cluster 2 scratchpad 10000\n    barrier b\n"
                 "    role r\n      expect b 2560\n      load t [rank*64, 0] 64 x 5 multicast\n"
                 "      wait b\n",
                 "t.trace"));
  REQUIRE(all.size() == 1);
  CHECK(all[0].complete);
  CHECK(all[0].repeat == 3);
  CHECK(all[0].load_bytes == 100 * 5 * 4);
  CHECK(all[0].landed_bytes == 2 * 2 * 64 * 5 * 4);
}

TEST_CASE("A count beyond 64 bits is said to be one") {
  const auto of = [](const std::string& count) {
    return statistics(parse_text("tessera-trace 1\nsection s\n  op o x y\n  kernel k op o\n"
                                 "    role r\n      for i in 0 .. " +
                                     count + "\n        mma 65536 x 65536 x 65536 bf16\n",
                                 "t.trace"))
        .at(0);
  };
  CHECK(of("16383").complete);  // 2^49 FLOPs each: just below 2^63
  CHECK_FALSE(of("16384").complete);
  CHECK(of("16384").note == "a count does not fit 64 bits");
}

TEST_CASE("A kernel that cannot run says so") {
  const std::string head =
      "tessera-trace 1\nsection s\n  op o x y\n  kernel k op o\n    barrier b\n";
  const auto stuck = statistics(parse_text(head + "    role r\n      wait b\n", "t.trace"));
  CHECK_FALSE(stuck.at(0).complete);
  CHECK_THAT(stuck.at(0).note, Catch::Contains("deadlock"));
  const auto wrong = statistics(parse_text(head + "    role r\n      wait @4\n", "t.trace"));
  CHECK_FALSE(wrong.at(0).complete);
  CHECK_THAT(wrong.at(0).note, Catch::Contains("barrier @4 does not exist"));
  for (std::uint64_t seed = 0; seed < 200; ++seed) CHECK_NOTHROW(statistics(random_trace(seed)));
}

}  // namespace
}  // namespace tessera
