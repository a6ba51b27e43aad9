#include "sim/trace/repetition.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <string>

#include "sim/trace/execution.h"
#include "sim/trace/statistics.h"
#include "sim/trace/text.h"

namespace tessera {
namespace {

/// A section whose kernel `k` has one role of these lines, or more.
Section section(const std::string& lines, const std::string& kernel = "grid 1024 cluster 1") {
  return parse_text(
             "tessera-trace 1\nsection s repeat 1\n"
             "  tensor T activation bf16 65536 x 64\n  op o x y\n  kernel k op o " +
                 kernel + " scratchpad 0\n    role r\n" + lines,
             "t.trace")
      .sections.front();
}

std::optional<Repetition> repetition_of(const std::string& lines,
                                        const std::string& kernel = "grid 1024 cluster 1") {
  return repetition(section(lines, kernel).kernels.front());
}

KernelStatistics counts(const Section& section, const Kernel& kernel) {
  Trace trace;
  trace.sections.push_back(section);
  trace.sections.front().kernels = {kernel};
  return statistics(trace).front();
}

// Blocks of 1 to 32 products, by turns of 32, two neighbours alike.
constexpr const char* stairs =
    "      let inside = mod(cluster, 64)\n"
    "      let back = div(inside, 2)\n"
    "      let long = max(32 - back, 1)\n"
    "      for i in 0 .. long\n"
    "        mma 64 x 64 x 16 bf16\n"
    "      mma_wait 0\n"
    "      store T [cluster*64, 0] 64 x 64\n";

}  // namespace

TEST_CASE("A grid repeats itself after the period of its loops' lengths") {
  const auto alike = repetition_of("      for i in 0 .. 8\n        setup 10\n");
  REQUIRE(alike);
  CHECK(alike->items == 1024);
  CHECK(alike->period == 1);
  CHECK_FALSE(alike->looped);

  const auto turns = repetition_of(stairs);
  REQUIRE(turns);
  CHECK(turns->items == 1024);
  CHECK(turns->period == 64);

  CHECK(repetition_of("      let a = mod(cluster*3, 12)\n      for i in 0 .. a\n        setup 1\n")
            ->period == 4);
  CHECK(repetition_of("      let a = mod(cluster, 6)\n      let b = mod(cluster, 4)\n"
                      "      for i in a .. 9\n        setup 1\n      for i in 0 .. b\n"
                      "        setup 1\n")
            ->period == 12);
  CHECK(repetition_of("      let a = div(cluster, 5)\n      let b = mod(a, 3)\n"
                      "      for i in 0 .. b\n        setup 1\n")
            ->period == 15);
}

TEST_CASE("Bounds that move together make no difference") {
  CHECK(repetition_of("      for i in cluster*4 .. cluster*4 + 4\n        setup 1\n")->period == 1);
  CHECK(repetition_of("      raster row col = cluster in 32 x 32 group 8\n"
                      "      for i in col*4 .. col*4 + 4\n        setup 1\n")
            ->period == 1);
  CHECK(repetition_of("      let a = min(cluster + 7, cluster + 5)\n"
                      "      for i in cluster .. a\n        setup 1\n")
            ->period == 1);
}

TEST_CASE("A loop over tiles that every role has counts items") {
  const std::string tiles =
      "      for tile in cluster .. 96 step 12\n        raster row col = tile in 12 x 8 group 4\n"
      "        for k in 0 .. 4\n          setup 5\n";
  const auto one = repetition_of(tiles, "grid 12 cluster 1");
  REQUIRE(one);
  CHECK(one->looped);
  CHECK(one->items == 96);
  CHECK(one->step == 12);
  CHECK(one->period == 1);
  // Others take tiles from another place on, but as far and in the same steps.
  CHECK(repetition_of(tiles + "    role q\n      for tile in cluster + 6 .. 96 step 12\n"
                              "        setup 1\n",
                      "grid 12 cluster 1")
            ->looped);
  CHECK_FALSE(repetition_of(tiles + "    role q\n      for tile in cluster .. 90 step 12\n"
                                    "        setup 1\n",
                            "grid 12 cluster 1"));
  CHECK_FALSE(repetition_of(tiles + "    role q\n      for tile in cluster .. 96 step 6\n"
                                    "        setup 1\n",
                            "grid 12 cluster 1"));
  CHECK_FALSE(repetition_of(tiles + "    role q\n      setup 1\n", "grid 12 cluster 1"));
}

TEST_CASE("At the edge of a tensor, loops without barriers are shorter") {
  const std::string tiles =
      "      for tile in cluster .. 96 step 12\n        raster row col = tile in 12 x 8 group 4\n"
      "        let end = min(col*4 + 4, 30)\n";
  const auto edges =
      repetition_of(tiles + "        for chunk in col*4 .. end\n          vector epilogue 64\n",
                    "grid 12 cluster 1");
  REQUIRE(edges);
  CHECK(edges->step == 12);
  CHECK(edges->period == 96);
  CHECK_FALSE(repetition(
      parse_text(
          "tessera-trace 1\nsection s repeat 1\n  op o x y\n  kernel k op o grid 12 cluster 1 "
          "scratchpad 0\n    barrier b\n    role r\n" +
              tiles + "        for chunk in col*4 .. end\n          wait b\n    role q\n" + tiles +
              "        for chunk in col*4 .. end\n          arrive b\n",
          "t.trace")
          .sections.front()
          .kernels.front()));
}

TEST_CASE("Items that differ without end, or depend on each other, do not repeat themselves") {
  CHECK_FALSE(repetition_of("      for i in 0 .. cluster\n        setup 1\n"));
  CHECK_FALSE(
      repetition_of("      let a = min(cluster, 7)\n      for i in 0 .. a\n"
                    "        setup 1\n"));
  CHECK_FALSE(
      repetition_of("      raster row col = cluster in 32 x 32 group 8\n"
                    "      for i in 0 .. row\n        setup 1\n"));
  // What an iteration leaves to the next: x grows with the item's number.
  CHECK_FALSE(
      repetition_of("      let x = 0\n      for i in 0 .. 3\n        for j in 0 .. x\n"
                    "          setup 1\n        let x = x + cluster\n"));
  CHECK(
      repetition_of("      let x = 0\n      for i in 0 .. 3\n        for j in 0 .. x\n"
                    "          setup 1\n        let x = x + 2\n"));
  CHECK_FALSE(repetition_of("      let cluster = 0\n"));
  CHECK_FALSE(repetition_of("      signal 0\n", "grid 8 cluster 1 flags 1"));
  CHECK_FALSE(repetition_of("      collective allreduce ranks 8 bytes 1024\n"));
}

TEST_CASE("What a tile leaves to the next one is unknown") {
  const auto tiles = [](const std::string& body) {
    return repetition_of("      let p = 0\n      for tile in cluster .. 96 step 12\n" + body,
                         "grid 12 cluster 1");
  };
  const std::string loop = "        for k in 0 .. p\n          wait b\n";
  const auto with_barrier = [](const std::string& body) {
    return repetition(
        parse_text("tessera-trace 1\nsection s repeat 1\n  op o x y\n  kernel k op o grid 12 "
                   "cluster 1 scratchpad 0\n    barrier b\n    role r\n      let p = 0\n"
                   "      for tile in cluster .. 96 step 12\n" +
                       body +
                       "    role q\n      for tile in cluster .. 96 step 12\n        arrive b\n",
                   "t.trace")
            .sections.front()
            .kernels.front());
  };
  CHECK_FALSE(with_barrier(loop + "        let p = -p + 1\n"));
  CHECK_FALSE(with_barrier("        let p = p + 1\n" + loop));
  CHECK(with_barrier("        let p = 2\n" + loop));
  // Out of a loop that runs an unknown number of times likewise.
  CHECK_FALSE(
      with_barrier("        raster row col = tile in 12 x 8 group 4\n        let p = 0\n"
                   "        for i in 0 .. row\n          let p = p + 1\n" +
                   loop));
  // Items count from 0.
  CHECK(tiles("        setup 1\n"));
  CHECK_FALSE(repetition_of("      for tile in cluster - 12 .. 96 step 12\n        setup 1\n",
                            "grid 12 cluster 1"));
}

TEST_CASE("What stands before the loop over tiles is known where steps are counted") {
  const Section whole = section(
      "      let n = 5\n      for tile in cluster .. 96 step 12\n        for i in 0 .. n\n"
      "          setup 1\n",
      "grid 12 cluster 1");
  const Kernel& kernel = whole.kernels.front();
  // An item: the loop inside, and a setup in each of its 5 iterations.
  CHECK(*steps_of_items(kernel, *repetition(kernel), 12, 24) == Approx(24 * (1 + 5)));
}

TEST_CASE("Without some items, the others do what they did, where they did it") {
  const Section whole = section(stairs);
  const Kernel& kernel = whole.kernels.front();
  const Repetition repeated = *repetition(kernel);
  // Two turns from the middle of one on.
  const Kernel cut = without_items(kernel, repeated, 100, 128);
  const KernelStatistics all = counts(whole, kernel), rest = counts(whole, cut);
  REQUIRE(rest.complete);
  CHECK(rest.blocks == 1024 - 128);
  CHECK(rest.mma_flops * 16 == all.mma_flops * 14);
  const KernelExecution run = execute(whole, cut);
  const InstructionUse& store = run.uses[0].back();
  CHECK(store.elements == (1024 - 128) * 64 * 64);
  CHECK(store.touched.row_end == 65536);
  // Not a place twice.
  CHECK(run.findings.empty());
}

TEST_CASE("Without some tiles, each cluster keeps its own others") {
  const Section whole = section(
      "      for tile in cluster .. 1000 step 12\n        for i in 0 .. 2\n"
      "          mma 64 x 64 x 16 bf16\n        mma_wait 0\n        store T [tile*64, 0] 64 x 64\n",
      "grid 12 cluster 1");
  const Repetition repeated = *repetition(whole.kernels.front());
  const Kernel cut = without_items(whole.kernels.front(), repeated, 24, 600);
  const KernelStatistics all = counts(whole, whole.kernels.front()), rest = counts(whole, cut);
  CHECK(rest.complete);
  CHECK(rest.blocks == 12);
  CHECK(rest.mma_flops * 1000 == all.mma_flops * 400);
  const KernelExecution run = execute(whole, cut);
  CHECK(run.uses[0][run.uses[0].size() - 2].touched.row_end == 64000);
  CHECK(run.findings.empty());
}

TEST_CASE("Steps of items are those that a run counts") {
  const Section whole = section(stairs);
  const Kernel& kernel = whole.kernels.front();
  const Repetition repeated = *repetition(kernel);
  const auto all = static_cast<double>(counts(whole, kernel).executed[Instruction(Mma{}).index()]);
  // Each item: 7 instructions, a Mma and an end for each product, an end at the end is free.
  const auto steps = [&](std::int64_t first, std::int64_t count) {
    return *steps_of_items(kernel, repeated, first, count);
  };
  const double products_each = steps(0, 1) - steps(62, 1);
  CHECK(products_each == Approx(31));
  CHECK(steps(0, 1024) - 1024 * (steps(63, 1) - 1) == Approx(all).epsilon(0.002));
  CHECK(steps(0, 1024) == Approx(steps(0, 100) + steps(100, 900) + steps(1000, 24)).epsilon(0.002));
  CHECK(steps(64, 640) == Approx(10 * steps(0, 64)));
}

}  // namespace tessera
