#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>

#include "sim/trace/binary.h"
#include "sim/trace/diff.h"
#include "sim/trace/text.h"
#include "sim/trace/trace_file.h"
#include "sim/trace/verify.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

const fs::path root = TESSERA_SOURCE_DIR;

/// What an H100 offers, as in configs/chips/h100-sxm.yaml.
VerifyLimits h100() {
  VerifyLimits limits;
  limits.scratchpad_bytes = 228 * 1024;
  limits.scratchpad_reserved_bytes = 1024;
  limits.registers = 65536;
  limits.warps = 64;
  limits.blocks = 32;
  limits.cores = 132;
  limits.max_cluster = 16;
  limits.max_box_rows = 256;
  return limits;
}

TEST_CASE("Every example trace is sound and survives both forms") {
  int examples = 0;
  for (const auto& entry : fs::directory_iterator(root / "traces")) {
    if (entry.path().extension() != ".trace") continue;
    ++examples;
    INFO(entry.path().string());
    const Trace trace = read_trace(entry.path().string());
    for (const Finding& finding : verify(trace, h100())) FAIL_CHECK(to_text(finding));
    CHECK(diff(trace, parse_text(to_text(trace), "t.trace")).empty());
    CHECK(to_text(parse_binary(to_binary(trace), "t.bin")) == to_text(trace));
  }
  CHECK(examples >= 2);
}

TEST_CASE("The deadlocked example is explained") {
  const auto findings = verify(read_trace((root / "tests/data/traces/deadlock.trace").string()));
  REQUIRE(findings.size() == 1);
  CHECK(to_text(findings[0]) ==
        "error: deadlock: section gemm kernel copy: nothing can go on, and not every context has "
        "ended\n"
        "    producer[0] of block 0 waits for phase 0 of barrier empty: 0 of 1 arrivals; still to "
        "arrive: consumer[0] of block 0 waits too\n"
        "    consumer[0] of block 0 waits for phase 0 of barrier full: 0 of 1 arrivals; still to "
        "arrive: producer[0] of block 0 waits too");
}

}  // namespace
}  // namespace tessera
