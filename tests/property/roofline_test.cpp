#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "tests/property/random_op.h"
#include "tests/property/sound_run.h"

using namespace tessera;
using namespace tessera::test;

namespace {

constexpr std::uint64_t seed = 2026;

void run_random_ops(OpClass kind, int cases) {
  std::uint64_t stream = 0;
  for (const char* chip_name : {"h100-sxm", "h200-sxm", "a100-sxm"}) {
    const ChipConfig on = chip(chip_name);
    Draw draw(seed, 16 * static_cast<std::uint64_t>(kind) + stream++);
    for (int i = 0; i < case_count(cases); ++i) {
      const std::string text = random_op(kind, draw, on);
      INFO("--chip " << chip_name << " --op \"" << text << "\"");
      const Trace trace = op_trace(text, on);
      check_sound(simulate(trace, on), trace, on);
    }
  }
}

}  // namespace

TEST_CASE("no GEMM is faster than its roofline, and each core-cycle has one cause") {
  run_random_ops(OpClass::gemm, 120);
}

TEST_CASE("no quantising linear is faster than its roofline, and each core-cycle has one cause") {
  run_random_ops(OpClass::linear_fp8, 80);
}

TEST_CASE("no prefill attention is faster than its roofline, and each core-cycle has one cause") {
  run_random_ops(OpClass::prefill, 50);
}

TEST_CASE("no decode attention is faster than its roofline, and each core-cycle has one cause") {
  run_random_ops(OpClass::decode, 60);
}

TEST_CASE("no row-wise operation is faster than its roofline, and each core-cycle has one cause") {
  run_random_ops(OpClass::rowwise, 80);
}

TEST_CASE("no mixture of experts is faster than its roofline, and each core-cycle has one cause") {
  run_random_ops(OpClass::moe, 30);
}

TEST_CASE("no layer of a model is faster than its roofline, and each core-cycle has one cause") {
  struct Request {
    const char* chip;
    const char* model;
    Phase phase;
    std::int64_t batch, seq, past;
    Precision precision;
  };
  const Request requests[] = {
      {"h100-sxm", "gpt2-xl", Phase::prefill, 1, 333, 0, Precision::bf16},
      {"h100-sxm", "llama-3.1-8b", Phase::prefill, 1, 512, 0, Precision::fp8},
      {"h200-sxm", "llama-3.1-8b", Phase::decode, 16, 1, 1000, Precision::fp8_block},
      {"h200-sxm", "mixtral-8x7b", Phase::decode, 4, 1, 500, Precision::bf16},
      {"a100-sxm", "bert-large", Phase::prefill, 3, 128, 0, Precision::fp16},
  };
  for (const Request& r : requests) {
    const ChipConfig on = chip(r.chip);
    WorkloadOptions options;
    options.phase = r.phase;
    options.batch = r.batch;
    options.seq = r.seq;
    options.past = r.past;
    options.layers = 1;
    options.precision = r.precision;
    INFO("--chip " << r.chip << " --model " << r.model << " batch " << r.batch << " seq " << r.seq);
    const Trace trace = model_trace(r.model, options, on);
    check_sound(simulate(trace, on), trace, on);
  }
}

TEST_CASE("the toy chip's GEMMs and attentions keep to its rooflines too") {
  const ChipConfig on = chip("toy");
  Draw draw(seed, 200);
  for (int i = 0; i < case_count(200); ++i) {
    const auto size = [&] { return draw.size(1, 700); };
    const std::int64_t m = size(), n = size(), k = size();
    std::string text =
        fmt::format("gemm m={} n={} k={} dtype={}", m, n, k, draw.pick({"bf16", "tf32", "fp8"}));
    if (i % 2 == 1) {
      const std::int64_t q_len = draw.size(1, 300), past = draw.uniform(0, 300);
      text = fmt::format(
          "attention batch=1 q_len={} kv_len={} heads=4 kv_heads={} head_dim=64 causal=1", q_len,
          q_len + past, draw.pick({1, 2, 4}));
    }
    INFO("--chip toy --op \"" << text << "\"");
    const Trace trace = op_trace(text, on);
    check_sound(simulate(trace, on), trace, on);
  }
}
