#include <catch2/catch.hpp>

#include "sim/frontend/verify_limits.h"
#include "sim/trace/binary.h"
#include "sim/trace/diff.h"
#include "sim/trace/digest.h"
#include "sim/trace/text.h"
#include "sim/trace/verify.h"
#include "tests/property/random_op.h"
#include "tests/property/sound_run.h"

using namespace tessera;
using namespace tessera::test;

namespace {

void check_trace(const Trace& trace, const ChipConfig& on) {
  for (const Finding& finding : verify(trace, limits_of(on))) FAIL_CHECK(to_text(finding));

  const std::string text = to_text(trace);
  const Trace from_text = parse_text(text, "lowered.trace");
  CHECK(to_text(from_text) == text);
  CHECK(digest(from_text) == digest(trace));
  CHECK(diff(trace, from_text).empty());

  const std::string binary = to_binary(trace);
  const Trace from_binary = parse_binary(binary, "lowered.trace.bin");
  CHECK(to_binary(from_binary) == binary);
  CHECK(digest(from_binary) == digest(trace));
  CHECK(to_text(from_binary) == text);

  const std::string expected = report(simulate(trace, on));
  CHECK(report(simulate(from_text, on)) == expected);
  CHECK(report(simulate(from_binary, on)) == expected);
}

void check_random_ops(const char* chip_name, OpClass kind, int cases) {
  const ChipConfig on = chip(chip_name);
  Draw draw(77, static_cast<std::uint64_t>(kind));
  for (int i = 0; i < case_count(cases); ++i) {
    const std::string text = random_op(kind, draw, on);
    INFO("--chip " << chip_name << " --op \"" << text << "\"");
    check_trace(op_trace(text, on), on);
  }
}

}  // namespace

TEST_CASE("a lowered GEMM verifies, survives text and binary, and replays the same") {
  check_random_ops("h100-sxm", OpClass::gemm, 40);
  check_random_ops("a100-sxm", OpClass::gemm, 20);
}

TEST_CASE("a lowered quantising linear verifies, survives text and binary, and replays the same") {
  check_random_ops("h100-sxm", OpClass::linear_fp8, 40);
}

TEST_CASE("a lowered attention verifies, survives text and binary, and replays the same") {
  check_random_ops("h100-sxm", OpClass::prefill, 25);
  check_random_ops("h100-sxm", OpClass::decode, 25);
  check_random_ops("a100-sxm", OpClass::decode, 15);
}

TEST_CASE("a lowered row-wise operation verifies, survives text and binary, replays the same") {
  check_random_ops("h100-sxm", OpClass::rowwise, 50);
}

TEST_CASE("a lowered mixture of experts verifies, survives text and binary, replays the same") {
  check_random_ops("h100-sxm", OpClass::moe, 25);
}

TEST_CASE("lowered layers of models verify, survive text and binary, and replay the same") {
  WorkloadOptions options;
  options.layers = 1;
  options.seq = 96;
  const ChipConfig h100 = chip("h100-sxm");
  check_trace(model_trace("gpt2-xl", options, h100), h100);
  check_trace(model_trace("gemma-2-9b", options, h100), h100);
  options.precision = Precision::fp8;
  check_trace(model_trace("qwen3-8b", options, h100), h100);
  options.phase = Phase::decode;
  options.batch = 3;
  options.seq = 1;
  options.past = 777;
  options.precision = Precision::bf16;
  check_trace(model_trace("mixtral-8x7b", options, h100), h100);
}
