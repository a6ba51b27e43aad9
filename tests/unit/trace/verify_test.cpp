#include "sim/trace/verify.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "random_trace.h"
#include "sim/trace/text.h"

namespace tessera {
namespace {

using Catch::Contains;

std::string all_of(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) text += to_text(finding) + "\n";
  return text;
}

bool has(const std::vector<Finding>& findings, Rule rule) {
  return std::any_of(findings.begin(), findings.end(),
                     [&](const Finding& f) { return f.rule == rule; });
}

/// Findings of a trace whose text follows the version line.
std::vector<Finding> findings_of(const std::string& text, const VerifyLimits& limits = {}) {
  return verify(parse_text("tessera-trace 1\n" + text, "t.trace"), limits);
}

const std::string tensors =
    "section s\n"
    "  tensor in activation bf16 256 x 256 at 0\n"
    "  tensor out activation bf16 256 x 256 at 131072\n"
    "  tensor work workspace fp32 256 x 256 at 262144\n"
    "  op o gemm bf16\n";

/// One kernel that fills `out`, and whatever code comes before that.
std::string kernel(const std::string& head, const std::string& roles) {
  return tensors + "  kernel k op o scratchpad 200000 " + head + "\n" + roles;
}

const std::string fill = "      store out [0, 0] 256 x 256\n";

std::string code(const std::string& lines) { return kernel("", "    role r\n" + lines + fill); }

TEST_CASE("A sound GEMM has no finding, whatever its stages and consumers") {
  for (const std::int64_t stages : {1, 2, 3, 7}) {
    for (const std::int64_t consumers : {1, 2}) {
      const auto findings = verify(small_gemm(stages, consumers));
      INFO(all_of(findings));
      CHECK(findings.empty());
    }
  }
}

TEST_CASE("An output that no kernel touches is unwritten where its operation declares writes") {
  Trace trace = small_gemm(2, 1);
  Section& section = trace.sections.front();
  Tensor forgotten = section.tensors.back();
  forgotten.name = "forgotten";
  forgotten.kind = TensorKind::activation;
  forgotten.address = std::int64_t{1} << 40;
  section.tensors.push_back(forgotten);
  section.ops.front().compulsory_write = Bytes(0);
  CHECK_FALSE(has(verify(trace), Rule::unwritten));
  section.ops.front().compulsory_write = forgotten.size();
  CHECK(has(verify(trace), Rule::unwritten));
}

TEST_CASE("A store alone is a sound kernel") {
  const auto findings = findings_of(code(""));
  INFO(all_of(findings));
  CHECK(findings.empty());
}

TEST_CASE("Structure: what makes no sense is found without running") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {tensors + "  kernel k op @7\n    role r\n", "operation 7 does not exist"},
      {kernel("grid 0", "    role r\n"), "grid is 0"},
      {kernel("grid 3 cluster 2", "    role r\n"), "not a multiple of the cluster"},
      {kernel("", ""), "no role"},
      {kernel("", "    role r copies 0\n"), "copies is 0"},
      {kernel("", "    barrier b slots 0\n    role r\n"), "slots of barrier b is 0"},
      {kernel("", "    barrier b arrivals 0\n    role r\n"), "arrivals of barrier b is 0"},
      {kernel("", "    role r\n    role r\n"), "two roles are called r"},
      {tensors + "  tensor in weight bf16 1 x 1 at 1048576\n", "two tensors are called in"},
      {"section s\nsection s\n", "two sections are called s"},
      {"section \"\"\n", "a section without a name"},
      {"section s repeat 0\n", "runs between 1 and 1048576 times"},
      {"section s repeat 1048577\n", "runs between 1 and 1048576 times"},
      {code("      wait @3\n"), "barrier @3 does not exist"},
      {code("      load @9 [0, 0] 1 x 1\n"), "tensor @9 does not exist"},
      {code("      load in [0, 0] 0 x 1\n"), "a box of 0 x 1"},
      {code("      load in [0, 0] 4294967296 x 4294967296\n"), "a box of"},
      {code("      signal @9\n"), "variable @9 does not exist"},
      {code("      variables cluster rank copy a\n      signal a\n"),
       "a is read before it is defined"},
      {code("      for i in 0 .. 2\n        let a = 1\n      let b = a\n"),
       "a is read before it is defined"},
      {code("      for i in 0 .. 2\n        let i = 1\n"), "changes inside its own loop"},
      {code("      let rank = 1\n"), "set by the machine"},
      {code("      for i in 0 .. 2 step 0\n"), "a step of 0"},
      {code("      let a = div(1, 0)\n"), "division by 0"},
      {code("      raster a b = 0 in 1 x 1 group 0\n"), "group is 0"},
      {code("      mma 0 x 1 x 1 bf16\n"), "m is 0"},
      {code("      mma_wait -1\n"), "pending is -1"},
      {code("      collective p2p ranks 0 bytes 1\n"), "ranks is 0"},
  };
  for (const auto& [text, words] : cases) {
    const auto findings = findings_of(text);
    REQUIRE(!findings.empty());
    CHECK(has_errors(findings));
    CHECK_THAT(all_of(findings), Contains(words));
  }
}

TEST_CASE("Layout: tensors are aligned, positive and apart") {
  CHECK_THAT(all_of(findings_of("section s\n  tensor t weight bf16 64 x 64 at 100\n")),
             Contains("not a multiple of 8192"));
  CHECK_THAT(all_of(findings_of("section s\n  tensor t weight bf16 0 x 64\n")),
             Contains("0 x 64 elements"));
  CHECK_THAT(all_of(findings_of("section s\n  tensor t weight bf16 4294967296 x 4294967296\n")),
             Contains("at most 2^48"));
  CHECK_THAT(all_of(findings_of("section s\n  tensor t weight bf16 1 x 1 at -8192\n")),
             Contains("addresses lie between"));
  const std::string pair =
      "section s\n  tensor t weight bf16 64 x 65\n  tensor u weight bf16 1 x 1 at ";
  CHECK_THAT(all_of(findings_of(pair + "8192\n")), Contains("overlap"));
  CHECK(findings_of(pair + "16384\n").empty());
}

TEST_CASE("Totals: what all repetitions do together fits 64 bits") {
  const auto times = [](const std::string& repeat, const std::string& count,
                        const std::string& instruction) {
    std::string text = code("      for i in 0 .. " + count + "\n        " + instruction + "\n");
    text.replace(text.find("section s\n"), 10, "section s repeat " + repeat + "\n");
    return all_of(findings_of(text));
  };
  const std::string mma = "mma 65536 x 65536 x 65536 bf16\n      mma_wait 0";
  CHECK(times("1", "4096", mma).empty());  // 2^49 FLOPs each: 2^61
  CHECK_THAT(times("1", "4097", mma), Contains("tensor-core FLOPs in all; a trace has at most"));
  CHECK_THAT(times("2", "4096", mma), Contains("tensor-core FLOPs"));
  CHECK_THAT(times("8193", "1", "vector add 549755813888"), Contains("vector elements"));
  CHECK(times("8192", "1", "vector add 549755813888").empty());
  CHECK_THAT(times("1025", "1", "setup 1099511627776"), Contains("setup cycles"));
  CHECK(times("1024", "1", "setup 1099511627776").empty());
  CHECK_THAT(times("1048576", "1", "collective p2p ranks 2 bytes 4294967297"),
             Contains("bytes to move"));
}

TEST_CASE("Budgets: a block fits a core and its slots fit the block") {
  VerifyLimits limits;
  limits.scratchpad_bytes = 233472;
  limits.scratchpad_reserved_bytes = 1024;
  limits.registers = 65536;
  limits.warps = 64;
  limits.cores = 132;
  limits.max_cluster = 16;
  CHECK(verify(small_gemm(), limits).empty());
  const auto with = [](const VerifyLimits& l) { return all_of(verify(small_gemm(), l)); };
  // 3 stages of 32 KiB, 1*1*32*40 + 2*4*32*200 registers, 9 warps.
  limits.scratchpad_bytes = 98304 + 1023;
  CHECK_THAT(with(limits), Contains("99328 bytes of scratchpad; a core has 99327"));
  limits.scratchpad_bytes = 98304 + 1024;
  limits.registers = 52479;
  CHECK_THAT(with(limits), Contains("52480 registers"));
  limits.registers = 52480;
  limits.warps = 8;
  CHECK_THAT(with(limits), Contains("9 warps"));
  limits.warps = 9;
  CHECK(with(limits).empty());
  limits.tensor_core_formats = {Format::fp16};
  CHECK_THAT(with(limits), Contains("does not compute in bf16"));
  limits.tensor_core_formats = {};
  limits.max_box_rows = 64;
  CHECK_THAT(with(limits), Contains("a box of 128 rows"));

  Trace trace = small_gemm();
  trace.sections[0].kernels[0].scratchpad_bytes -= 1;
  CHECK_THAT(all_of(verify(trace)), Contains("3 slots of up to 32768 bytes"));
  limits = {};
  limits.max_cluster = 2;
  CHECK_THAT(all_of(findings_of(kernel("grid 4 cluster 4", "    role r\n"), limits)),
             Contains("a cluster of 4 blocks; the chip allows 2"));
  limits = {};
  limits.multicast = false;
  CHECK_THAT(all_of(findings_of(kernel("grid 2 cluster 2",
                                       "    barrier b\n    role r\n"
                                       "      load in [0, 0] 1 x 1 multicast\n"),
                                limits)),
             Contains("no multicast"));
}

TEST_CASE("Arithmetic: overflow and division are found when they happen") {
  CHECK_THAT(all_of(findings_of(code("      let a = 9223372036854775807\n      let b = a + 1\n"))),
             Contains("beyond 64 bits"));
  CHECK_THAT(all_of(findings_of(code("      let a = 4294967296\n      signal a*4294967296\n"))),
             Contains("beyond 64 bits"));
  CHECK_THAT(all_of(findings_of(code("      for i in 0 .. 3\n        let a = div(8, i)\n"))),
             Contains("division by 0"));
  CHECK_THAT(all_of(findings_of(code("      for i in 0 .. 3\n        for j in 0 .. 3 step i\n"))),
             Contains("a step of 0"));
  CHECK_THAT(all_of(findings_of(code("      raster m n = 6 in 2 x 3 group 2\n"))),
             Contains("tile 6 of a grid of 2 x 3"));
  CHECK_THAT(all_of(findings_of(code("      raster m n = 0 in 0 x 3 group 2\n"))),
             Contains("both are at least 1"));
}

TEST_CASE("Division and remainder are floored") {
  // mod(-7, 4) = 1 and div(-7, 4) = -2, so both boxes start at [0, 0] and [1, 0].
  const std::string text =
      kernel("",
             "    role r\n      let q = div(-7, 4)\n      let r = mod(-7, 4)\n"
             "      store out [q + 2, 0] 1 x 256\n      store out [r, 0] 255 x 256\n");
  const auto findings = findings_of(text);
  INFO(all_of(findings));
  CHECK(findings.empty());
}

TEST_CASE("Bounds: the last origin inside is fine, the first outside is not") {
  CHECK(findings_of(kernel("",
                           "    role r\n      store out [0, 0] 255 x 256\n"
                           "      store out [255, 0] 7 x 256\n"))
            .empty());
  const std::string outside = "      store work [256, 0] 1 x 1\n";
  CHECK_THAT(all_of(findings_of(code(outside))),
             Contains("bounds") && Contains("origin [256, 0] is outside tensor work of 256 x 256"));
  CHECK_THAT(all_of(findings_of(code("      store work [0, rank - 1] 1 x 1\n"))),
             Contains("origin [0, -1]"));
  CHECK_THAT(
      all_of(findings_of(code("      for i in 0 .. 5\n        store work [i*128, 0] 64 x 1\n"))),
      Contains("(3 times)"));
  CHECK_THAT(all_of(findings_of(code("      signal 0\n"))), Contains("flag 0 does not exist"));
}

TEST_CASE("Barriers: a load needs an expect, and lands the announced bytes") {
  const auto loads = [](const std::string& lines) {
    return all_of(findings_of(kernel("", "    barrier full\n    role r\n" + lines + fill)));
  };
  CHECK(loads("      expect full 512\n      load in [0, 0] 1 x 256\n      wait full\n").empty());
  CHECK_THAT(loads("      load in [0, 0] 1 x 256\n"), Contains("before the first expect"));
  CHECK_THAT(loads("      expect full 511\n      load in [0, 0] 1 x 256\n"),
             Contains("-1 bytes announced and not landed"));
  CHECK_THAT(loads("      expect full 513\n      load in [0, 0] 1 x 256\n"),
             Contains("block 0 ends in the middle of phase 0 of barrier full: 1 of 1 arrivals, 1 "
                      "bytes announced and not landed"));
  CHECK_THAT(loads("      expect full 513\n      load in [0, 0] 1 x 256\n      wait full\n"),
             Contains("deadlock") && Contains("1 bytes announced and not landed"));
  CHECK_THAT(loads("      expect full 512\n      load in [0, 0] 1 x 256\n"
                   "      load in [1, 0] 1 x 256\n"),
             Contains("complete already"));
  // Beyond the tensor's edge nothing is fetched, but the whole box lands.
  CHECK(
      loads("      expect full 512\n      load in [255, 128] 1 x 256\n      wait full\n").empty());
}

TEST_CASE("Barriers: arrivals balance") {
  const auto barrier = [](const std::string& declaration, const std::string& lines) {
    return all_of(
        findings_of(kernel("", "    barrier b " + declaration + "\n    role r\n" + lines + fill)));
  };
  CHECK(barrier("slots 1", "      arrive b\n      wait b\n      arrive b\n      wait b\n").empty());
  CHECK_THAT(barrier("slots 1 arrivals 2", "      arrive b\n"), Contains("1 of 2 arrivals"));
  CHECK(barrier("slots 2 initially_complete", "      wait b\n      wait b\n").empty());
  CHECK_THAT(barrier("slots 2 initially_complete", "      wait b\n      wait b\n      wait b\n"),
             Contains("waits for phase 2 of barrier b: 0 of 1 arrivals; nobody is left to arrive"));
}

TEST_CASE("Barriers: a slot is not refilled before its release") {
  // Nothing holds the producer back: on hardware it would overwrite what is being read.
  const std::string race =
      kernel("",
             "    barrier full slots 2\n"
             "    role producer\n      for i in 0 .. 4\n        expect full 512\n"
             "        load in [i, 0] 1 x 256\n"
             "    role consumer\n      for i in 0 .. 4\n        wait full\n" +
                 fill);
  CHECK_THAT(all_of(findings_of(race)), Contains("may still be waiting for a phase") ||
                                            Contains("nothing orders the two") ||
                                            Contains("may be over before this wait"));
  // The same with contexts in the other order, so that the reader happens to run first.
  const std::string other =
      kernel("",
             "    barrier full slots 2\n"
             "    role consumer\n      for i in 0 .. 4\n        wait full\n" +
                 fill +
                 "    role producer\n      for i in 0 .. 4\n        expect full 512\n"
                 "        load in [i, 0] 1 x 256\n");
  CHECK(has(findings_of(other), Rule::barrier));
}

TEST_CASE("Barriers: an arrival that only luck puts in order is found") {
  // Two arrivers that never wait for each other: one may be two phases ahead.
  for (const std::string order : {"ab", "ba"}) {
    std::string roles = "    barrier b slots 1 arrivals 2\n";
    for (const char name : order) {
      roles += std::string("    role ") + name + "\n      for i in 0 .. 1\n        arrive b\n";
    }
    CHECK(findings_of(kernel("", roles + "    role w\n      wait b\n" + fill)).empty());
    std::string twice = roles;
    for (std::size_t at = 0; (at = twice.find(".. 1", at)) != std::string::npos;)
      twice[at + 3] = '2';
    CHECK(has(findings_of(kernel("", twice + "    role w\n      wait b\n      wait b\n" + fill)),
              Rule::barrier));
  }
}

TEST_CASE("Clusters: a multicast load must wait for every block's slot") {
  const auto cluster = [](const std::string& release, const std::string& arrivals) {
    return all_of(findings_of(
        kernel("grid 2 cluster 2",
               "    barrier full slots 2\n    barrier empty slots 2 arrivals " + arrivals +
                   " initially_complete\n"
                   "    role producer\n      for i in 0 .. 8\n        wait empty\n"
                   "        expect full 1024\n        load in [i + rank*8, 0] 1 x 256 multicast\n"
                   "    role consumer\n      for i in 0 .. 8\n        wait full\n        arrive " +
                   release + "\n      store out [rank*128, 0] 128 x 256\n")));
  };
  CHECK(cluster("empty cluster", "2").empty());
  CHECK_THAT(cluster("empty", "1"), Contains("may still be reading") || Contains("be overwritten"));
  CHECK_THAT(cluster("empty", "2"), Contains("deadlock"));
}

TEST_CASE("Deadlock: a circle of contexts is explained") {
  const auto findings = findings_of(
      kernel("",
             "    barrier full slots 2\n    barrier empty slots 2\n"
             "    role producer\n      for i in 0 .. 4\n        wait empty\n        arrive full\n"
             "    role consumer copies 2\n      for i in 0 .. 4\n        wait full\n"
             "        arrive empty\n"));
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].rule == Rule::deadlock);
  REQUIRE(findings[0].details.size() == 3);
  CHECK(findings[0].details[0] ==
        "producer[0] of block 0 waits for phase 0 of barrier empty: 0 of 1 arrivals; still to "
        "arrive: consumer[0] of block 0 waits too, consumer[1] of block 0 waits too");
  CHECK(findings[0].details[1] ==
        "consumer[0] of block 0 waits for phase 0 of barrier full: 0 of 1 arrivals; still to "
        "arrive: producer[0] of block 0 waits too");
}

TEST_CASE("Unfinished: matrix work and loads are waited for") {
  CHECK_THAT(all_of(findings_of(code("      mma 64 x 64 x 16 bf16\n"))),
             Contains("1 mma are never waited for"));
  CHECK(findings_of(code("      mma 64 x 64 x 16 bf16\n      mma_wait 0\n")).empty());
  CHECK_THAT(all_of(findings_of(code("      mma 64 x 64 x 16 bf16\n      mma_wait 1\n"))),
             Contains("unfinished"));
  CHECK_THAT(all_of(findings_of(kernel("",
                                       "    barrier full\n    role r\n      expect full 512\n"
                                       "      load in [0, 0] 1 x 256\n" +
                                           fill))),
             Contains("of 1 phases of loads on barrier full, the last 1 are never waited for"));
}

TEST_CASE("Signals: raised and awaited across blocks") {
  const auto flags = [](const std::string& lines, std::int64_t cores = 0) {
    VerifyLimits limits;
    limits.cores = cores;
    limits.blocks = 1;
    return all_of(
        findings_of(kernel("grid 4 flags 1",
                           "    role r\n" + lines + "      store out [cluster*64, 0] 64 x 256\n"),
                    limits));
  };
  // Everyone but the last block signals; the last awaits all, being the last to start.
  const std::string sound =
      "      for i in cluster .. 3 step 100\n        signal 0\n"
      "      for i in 3 .. cluster + 1\n        await 0 >= 3\n";
  CHECK(flags(sound).empty());
  CHECK(flags(sound, 1).empty());
  // The first block awaits: that needs all four to be on the chip at once.
  const std::string backwards =
      "      for i in 1 .. cluster + 1 step 100\n        signal 0\n"
      "      for i in cluster .. 1\n        await 0 >= 3\n";
  CHECK(flags(backwards).empty());
  CHECK(flags(backwards, 4).empty());
  CHECK_THAT(flags(backwards, 1), Contains("deadlock") && Contains("3 clusters cannot start") &&
                                      Contains("waits for flag 0 to reach 3: it is at 0"));
  CHECK_THAT(flags("      await 0 >= 1\n"), Contains("deadlock"));
  CHECK_THAT(flags("      signal 0\n"),
             Contains("warning: signal") && Contains("raised 4 times, but awaited only up to 0"));
  // Each block signals, then awaits all: the last signal wakes its own cluster's await too.
  CHECK(flags("      signal 0\n      await 0 >= 4\n").empty());
}

TEST_CASE("Signals between contexts of one block wake each other") {
  const auto findings =
      findings_of(kernel("grid 3 flags 3",
                         "    role a\n      await cluster >= 1\n"
                         "    role b\n      signal cluster\n"
                         "    role c\n      await cluster >= 1\n"
                         "      for i in cluster .. 1\n        store out [0, 0] 256 x 256\n"));
  INFO(all_of(findings));
  CHECK(findings.empty());
}

TEST_CASE("Writes: no element twice, none left out") {
  const auto stores = [](const std::string& lines) {
    return all_of(findings_of(kernel("", "    role r\n" + lines)));
  };
  CHECK(stores("      for i in 0 .. 4\n        for j in 0 .. 2\n"
               "          store out [i*64, j*128] 64 x 128\n")
            .empty());
  CHECK_THAT(stores("      for i in 0 .. 4\n        store out [i*63, 0] 64 x 256\n"),
             Contains("written-twice") && Contains("box at [63, 0]"));
  CHECK_THAT(stores("      for i in 0 .. 3\n        store out [i*64, 0] 64 x 256\n"),
             Contains("tensor out is an output, but rows 192 to 255, columns 0 to 255 are not "
                      "written"));
  CHECK_THAT(stores("      store out [0, 0] 64 x 256\n      store out [128, 0] 128 x 256\n"),
             Contains("rows 64 to 127, columns 0 to 255 of tensor out are not written"));
  CHECK_THAT(stores("      store out [0, 0] 128 x 256\n      store out [128, 0] 128 x 255\n"),
             Contains("rows 128 to 128, columns 255 to 255") ||
                 Contains("rows 128 to 255, columns 255 to 255"));
  CHECK_THAT(stores("      store out [0, 0] 256 x 256\n      store out [0, 0] 256 x 256\n"),
             Contains("written-twice"));
  // Reductions may hit an element as often as they like.
  CHECK(stores("      store out [0, 0] 256 x 256 reduce\n      store out [0, 0] 256 x 256 reduce\n")
            .empty());
  // A workspace may be written in part, a box of it once.
  CHECK(stores(fill + "      store work [3, 5] 7 x 9\n").empty());
  CHECK_THAT(stores(fill + "      store work [3, 5] 7 x 9\n      store work [9, 13] 1 x 1\n"),
             Contains("written-twice"));
}

TEST_CASE("Writes: what a later kernel reads was written") {
  const auto two = [](const std::string& stores, const std::string& tensor,
                      const std::string& box) {
    return all_of(findings_of(
        kernel("", "    role r\n" + stores) +
        "  kernel reader op o scratchpad 200000\n    barrier b\n    role r\n      expect b 512\n"
        "      load " +
        tensor + " " + box + "\n      wait b\n"));
  };
  const std::string half = "      store out [0, 0] 128 x 256\n";
  CHECK(two(half, "out", "[127, 0] 1 x 256").empty());
  CHECK_THAT(two(half, "out", "[128, 0] 1 x 256"), Contains("kernel reader") &&
                                                       Contains("reads rows 128 to 128") &&
                                                       Contains("tensor out"));
  CHECK_THAT(two(fill, "work", "[0, 0] 1 x 128"),
             Contains("reads workspace work, which nothing has written"));
}

TEST_CASE("Writes: part of a tensor that came in with the section may be replaced in place") {
  const auto findings = findings_of(
      kernel("",
             "    barrier b\n    role r\n      expect b 65536\n      load out [0, 0] 256 x 128\n"
             "      wait b\n      store out [0, 0] 256 x 128\n"));
  INFO(all_of(findings));
  CHECK(findings.empty());
}

TEST_CASE("Too long: giant loops and grids are refused at once") {
  CHECK_THAT(
      all_of(findings_of(code("      for i in 0 .. 1000000000000000000\n        setup 1\n"))),
      Contains("too long to prove: a loop of 1000000000000000000 iterations"));
  CHECK_THAT(all_of(findings_of(code("      for i in 0 .. 1000000\n        for j in 0 .. 1000000\n"
                                     "          setup 1\n"))),
             Contains("a loop of 1000000 iterations"));
  CHECK_THAT(all_of(findings_of(kernel("grid 1099511627776", "    role r\n"))),
             Contains("1099511627776 blocks"));
  CHECK_THAT(all_of(findings_of(kernel("", "    barrier b slots 65536\n    role r copies 1000\n"))),
             Contains("65536 slots shared by 1000 contexts"));
  CHECK_THAT(all_of(findings_of("section s\n  tensor t workspace bf16 16777216 x 16777216\n"
                                "  op o x y\n  kernel k op o scratchpad 100\n    role r\n"
                                "      store t [1, 1] 1 x 1\n      store t [2, 2] 1 x 1\n")),
             Contains("boxes of tensor t that share no grid"));
  VerifyLimits limits;
  limits.max_steps = 100;
  CHECK_THAT(all_of(verify(small_gemm(), limits)), Contains("too long to prove"));
  CHECK_THAT(all_of(findings_of(code("      let n = 7\n      for i in 0 .. 20\n"
                                     "        for j in 0 .. n\n          setup 1\n"),
                                limits)),
             Contains("too long to prove"));
}

TEST_CASE("A trace that is wrong everywhere gives a bounded list") {
  std::string lines;
  for (int i = 0; i < 5000; ++i) lines += "      load @9 [0, 0] 1 x 1\n";
  CHECK(findings_of(code(lines)).size() == max_findings);
  lines.clear();
  for (int i = 0; i < 5000; ++i) lines += "      store work [300, 0] 1 x 1\n";
  CHECK(findings_of(code(lines)).size() == max_findings);
  lines.clear();
  for (int i = 0; i < 5000; ++i) lines += "      store work [0, 0] 256 x 256 reduce\n";
  CHECK(findings_of(code(lines)).size() == max_findings);
}

TEST_CASE("Random traces are judged without accident") {
  int clean = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    clean += verify(random_trace(seed)).empty() ? 1 : 0;
  }
  CHECK(clean < 300);
}

TEST_CASE("Mutated programs are judged without accident") {
  // Numbers of a sound program are replaced; whatever comes of it, verify() returns.
  const std::string base = to_text(small_gemm());
  const std::vector<std::string> numbers = {"0",    "1", "-1", "2", "7", "9223372036854775807",
                                            "65536"};
  VerifyLimits limits;
  limits.max_steps = 1'000'000;
  int judged = 0;
  for (std::size_t at = base.find("section"); at < base.size(); ++at) {
    const bool starts = std::isdigit(static_cast<unsigned char>(base[at])) != 0 &&
                        std::isdigit(static_cast<unsigned char>(base[at - 1])) == 0;
    if (!starts) continue;
    std::size_t end = at;
    while (std::isdigit(static_cast<unsigned char>(base[end])) != 0) ++end;
    for (const std::string& number : numbers) {
      std::string text = base.substr(0, at) + number + base.substr(end);
      const std::size_t line = text.find("digest ", text.find("workload"));
      text.replace(line, text.find('\n', line) - line, "digest -");
      Trace trace;
      try {
        trace = parse_text(text, "t.trace");
      } catch (const std::exception&) {
        continue;
      }
      verify(trace, limits);
      ++judged;
    }
  }
  CHECK(judged > 200);
}

}  // namespace
}  // namespace tessera
