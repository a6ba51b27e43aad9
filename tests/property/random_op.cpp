#include "tests/property/random_op.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace tessera::test {

int case_count(int count) {
  const char* factor = std::getenv("TESSERA_CASES_FACTOR");
  return count * (factor == nullptr ? 1 : std::max(1, std::atoi(factor)));
}

std::int64_t Draw::uniform(std::int64_t low, std::int64_t high) {
  const double at = random_.uniform(drawn_++) * static_cast<double>(high - low + 1);
  return std::min(high, low + static_cast<std::int64_t>(at));
}

std::int64_t Draw::size(std::int64_t low, std::int64_t high) {
  const double from = std::log2(static_cast<double>(low)),
               to = std::log2(static_cast<double>(high));
  const double exponent = from + random_.uniform(drawn_++) * (to - from);
  auto value = static_cast<std::int64_t>(std::lround(std::exp2(exponent)));
  switch (uniform(0, 2)) {
    case 0:
      value = std::int64_t{1} << std::lround(exponent);
      break;
    case 1:
      value = (value + 7) / 8 * 8;
      break;
    default:
      break;
  }
  return std::clamp(value, low, high);
}

namespace {

std::string attention(Draw& draw, bool fp8, bool decode) {
  const std::int64_t head_dim = draw.pick({64, 128, 80, 96, 256});
  const std::int64_t group = draw.pick({1, 2, 4, 7, 8});
  const std::int64_t kv_heads = draw.size(1, decode ? 16 : 4);
  const std::int64_t batch = decode ? draw.size(1, 32) : draw.size(1, 3);
  const std::int64_t q_len = decode ? 1 : draw.size(2, 2048);
  const std::int64_t kv_len =
      decode ? draw.size(1, 8192) : (draw.uniform(0, 1) != 0 ? q_len : q_len + draw.size(1, 2048));
  const char* dtype = fp8 && draw.uniform(0, 3) == 0 ? "fp8" : draw.pick({"bf16", "fp16"});
  return fmt::format(
      "attention batch={} q_len={} kv_len={} heads={} kv_heads={} head_dim={} causal={} dtype={}",
      batch, q_len, kv_len, group * kv_heads, kv_heads, head_dim, draw.uniform(0, 1), dtype);
}

}  // namespace

std::string random_op(OpClass kind, Draw& draw, const ChipConfig& chip) {
  const bool fp8 = chip.tensor_core.fp8_flops_per_cycle > 0;
  switch (kind) {
    case OpClass::gemm: {
      const std::int64_t m = draw.size(1, 4096), n = draw.size(1, 4096), k = draw.size(1, 4096);
      return fmt::format(
          "gemm m={} n={} k={} dtype={}", m, n, k,
          fp8 ? draw.pick({"bf16", "fp16", "tf32", "fp8"}) : draw.pick({"bf16", "fp16", "tf32"}));
    }
    case OpClass::linear_fp8: {
      const std::int64_t m = draw.size(1, 4096), n = draw.size(1, 4096), k = draw.size(1, 4096);
      return fmt::format(
          "linear m={} n={} k={} dtype={}", m, n, k,
          fp8 ? draw.pick({"fp8", "fp8+promote", "fp8-block"}) : draw.pick({"bf16", "fp16"}));
    }
    case OpClass::prefill:
      return attention(draw, fp8, false);
    case OpClass::decode:
      return attention(draw, fp8, true);
    case OpClass::rowwise: {
      const char* op = draw.pick(
          {"softmax", "layernorm", "rmsnorm", "gelu", "silu_mul", "add", "cast", "transpose"});
      const std::int64_t rows = draw.size(1, 16384), cols = draw.size(1, 8192);
      return fmt::format("{} rows={} cols={} dtype={}", op, rows, cols,
                         draw.pick({"bf16", "fp16", "tf32"}));
    }
    case OpClass::moe: {
      const std::int64_t experts = draw.size(1, 32);
      const std::int64_t topk = draw.uniform(1, std::min<std::int64_t>(experts, 4));
      const std::int64_t tokens = draw.size(1, 1024), hidden = draw.size(64, 2048),
                         inter = draw.size(64, 1024);
      const std::int64_t gated = draw.uniform(0, 1);
      return fmt::format("moe tokens={} hidden={} inter={} topk={} experts={} gated={} dtype={}",
                         tokens, hidden, inter, topk, experts, gated,
                         fp8 ? draw.pick({"bf16", "fp8", "fp8+promote", "fp8-block"}) : "bf16");
    }
  }
  return "";
}

}  // namespace tessera::test
