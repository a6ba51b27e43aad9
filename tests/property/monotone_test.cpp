#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "tests/property/random_op.h"
#include "tests/property/sound_run.h"

using namespace tessera;
using namespace tessera::test;

namespace {

std::int64_t cycles(const RunResult& run) {
  std::int64_t sum = 0;
  for (const OpResult& op : run.ops) sum += op.cycles.value * op.repeat;
  return sum;
}

double time_us(const Trace& trace, const ChipConfig& on) {
  // One clock for all, so that the power cap cannot take back what a change gives.
  SimulationOptions options;
  options.clock_mhz = on.clock.core_mhz;
  return static_cast<double>(cycles(simulate(trace, on, options))) / on.clock.core_mhz;
}

double time_us(const std::string& text, const ChipConfig& on) {
  return time_us(op_trace(text, on), on);
}

}  // namespace

TEST_CASE("twice the memory bandwidth never slows a trace") {
  const ChipConfig slow = chip("h100-sxm"), fast = chip("h100-sxm", {"hbm.bandwidth_gbps=6700"});
  REQUIRE(fast.hbm.bandwidth_gbps >= 1.99 * slow.hbm.bandwidth_gbps);
  Draw draw(5);
  for (int i = 0; i < case_count(60); ++i) {
    const std::string text = random_op(draw.pick({OpClass::decode, OpClass::rowwise, OpClass::gemm,
                                                  OpClass::linear_fp8, OpClass::prefill}),
                                       draw, slow);
    INFO(text);
    const Trace trace = op_trace(text, slow);
    CHECK(time_us(trace, fast) <= 1.01 * time_us(trace, slow));
  }
}

TEST_CASE("twice the memory bandwidth never slows a streaming operation that is lowered for it") {
  // Long enough to stream: below a few microseconds it is the mapper's taste in tiles that shows.
  const ChipConfig slow = chip("h100-sxm"), fast = chip("h100-sxm", {"hbm.bandwidth_gbps=6700"});
  Draw draw(5);
  for (int i = 0; i < case_count(10); ++i) {
    const std::int64_t rows = draw.size(4096, 32768), cols = draw.size(2048, 8192);
    const std::string text = fmt::format(
        "{} rows={} cols={} dtype=bf16",
        draw.pick({"layernorm", "gelu", "silu_mul", "add", "cast", "transpose"}), rows, cols);
    INFO(text);
    CHECK(time_us(text, fast) <= 1.01 * time_us(text, slow));
  }
}

TEST_CASE("twice the memory bandwidth nearly halves a large stream") {
  const ChipConfig slow = chip("h100-sxm"), fast = chip("h100-sxm", {"hbm.bandwidth_gbps=6700"});
  const std::string decode =
      "attention batch=64 q_len=1 kv_len=8192 heads=8 kv_heads=8 head_dim=128 causal=1";
  CHECK(time_us(decode, fast) < 0.7 * time_us(decode, slow));
}

TEST_CASE("the same trace takes no longer at a higher core clock, nor fewer cycles") {
  const ChipConfig on = chip("h100-sxm");
  Draw draw(6);
  for (const OpClass kind : {OpClass::gemm, OpClass::prefill, OpClass::decode, OpClass::rowwise}) {
    for (int i = 0; i < case_count(10); ++i) {
      const std::string text = random_op(kind, draw, on);
      INFO(text);
      const Trace trace = op_trace(text, on);
      SimulationOptions low, high;
      low.clock_mhz = 1000;
      high.clock_mhz = 1980;
      const auto low_cycles = static_cast<double>(cycles(simulate(trace, on, low)));
      const auto high_cycles = static_cast<double>(cycles(simulate(trace, on, high)));
      CHECK(high_cycles / high.clock_mhz <= 1.01 * low_cycles / low.clock_mhz);
      CHECK(high_cycles >= 0.99 * low_cycles);
    }
  }
}

TEST_CASE("four times the inner dimension takes longer, four times the rows and columns too") {
  // Large enough that arithmetic and traffic count: among GEMMs of two or three microseconds,
  // alignment and which channels a small matrix lies on may outweigh the work.
  const ChipConfig on = chip("h100-sxm");
  Draw draw(8);
  for (int i = 0; i < case_count(20); ++i) {
    const std::int64_t m = draw.size(256, 2048), n = draw.size(256, 2048), k = draw.size(512, 2048);
    INFO("gemm m=" << m << " n=" << n << " k=" << k);
    const auto at = [&](std::int64_t rows, std::int64_t cols, std::int64_t inner) {
      return time_us(fmt::format("gemm m={} n={} k={} dtype=bf16", rows, cols, inner), on);
    };
    const double base = at(m, n, k);
    CHECK(at(m, n, 4 * k) > base);
    CHECK(at(4 * m, 4 * n, k) > base);
  }
}

TEST_CASE("a longer cache takes longer to attend to") {
  const ChipConfig on = chip("h100-sxm");
  double before = 0;
  for (const std::int64_t kv_len : {1000, 4000, 16000, 64000}) {
    CAPTURE(kv_len);
    const double now = time_us(
        fmt::format("attention batch=4 q_len=1 kv_len={} heads=32 kv_heads=8 head_dim=128", kv_len),
        on);
    CHECK(now > before);
    before = now;
  }
  before = 0;
  for (const std::int64_t length : {500, 1000, 2000, 4000}) {
    CAPTURE(length);
    const double now = time_us(
        fmt::format(
            "attention batch=1 q_len={} kv_len={} heads=16 kv_heads=2 head_dim=128 causal=1",
            length, length),
        on);
    CHECK(now > before);
    before = now;
  }
}

TEST_CASE("a causal mask makes attention of several waves faster") {
  // In a single wave the last queries see every key with and without a mask.
  const ChipConfig on = chip("h100-sxm");
  Draw draw(9);
  for (int i = 0; i < case_count(10); ++i) {
    const std::int64_t length = draw.size(2048, 4096), heads = draw.uniform(24, 48);
    const auto masked = [&](int causal) {
      return time_us(fmt::format("attention batch=1 q_len={} kv_len={} heads={} kv_heads={} "
                                 "head_dim=128 causal={}",
                                 length, length, heads, heads, causal),
                     on);
    };
    INFO("length " << length << ", heads " << heads);
    CHECK(masked(1) < 0.8 * masked(0));
  }
}

TEST_CASE("a causal mask never slows attention of a single wave") {
  // Of at most four tiles of keys, as the library splits more of them over cores where heads are
  // few; and of heads of 64 or 256 elements, as its tiles for 128 are narrower with the mask than
  // without.
  const ChipConfig on = chip("h100-sxm");
  Draw draw(10);
  for (int i = 0; i < case_count(12); ++i) {
    const std::int64_t heads = draw.uniform(1, 16), head_dim = draw.pick({64, 256});
    const std::int64_t length = draw.size(64, head_dim == 256 ? 320 : 512);
    const auto masked = [&](int causal) {
      return time_us(fmt::format("attention batch=1 q_len={} kv_len={} heads={} kv_heads={} "
                                 "head_dim={} causal={}",
                                 length, length, heads, heads, head_dim, causal),
                     on);
    };
    INFO("length " << length << ", heads " << heads << ", head_dim " << head_dim);
    CHECK(masked(1) < 1.03 * masked(0));
  }
}

TEST_CASE("eight times the rows of a row-wise operation take longer") {
  const ChipConfig on = chip("h100-sxm");
  for (const char* op :
       {"softmax", "layernorm", "rmsnorm", "gelu", "silu_mul", "add", "transpose"}) {
    CAPTURE(op);
    double before = 0;
    for (const std::int64_t rows : {100, 800, 6400, 51200}) {
      CAPTURE(rows);
      const double now = time_us(fmt::format("{} rows={} cols=4096 dtype=bf16", op, rows), on);
      CHECK(now > before);
      before = now;
    }
  }
}

TEST_CASE("a format of half the width is never slower in a GEMM that the tensor core bounds") {
  const ChipConfig on = chip("h100-sxm");
  for (const std::int64_t size : {2048, 4096}) {
    const auto at = [&](const char* dtype) {
      return time_us(fmt::format("gemm m={} n={} k={} dtype={}", size, size, size, dtype), on);
    };
    CAPTURE(size);
    const double tf32 = at("tf32"), bf16 = at("bf16"), fp8 = at("fp8");
    CHECK(bf16 < tf32);
    CHECK(fp8 < bf16);
  }
}
