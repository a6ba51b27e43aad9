#include "tests/oracle/oracle.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/datapath/cast.h"

using namespace tessera;
using tessera::test::Oracle;

namespace {

/// Skips, saying so, where an oracle is not installed.
bool found(const std::vector<Oracle>& oracles, const char* what) {
  if (oracles.empty()) WARN("skipped: " << what << " not found when this was configured");
  return !oracles.empty();
}

/// Patterns of FP32 whose code is another one than the oracle's: every `stride`-th of all 2^32, the
/// low bits different in each.
std::int64_t differences(const Oracle& oracle, std::uint64_t stride) {
  constexpr std::size_t chunk = 1 << 14;
  std::vector<float> values(chunk);
  std::vector<std::uint8_t> narrow(chunk);
  std::vector<std::uint16_t> half(chunk);
  const bool is_half = bits(oracle.format) == 16;
  std::int64_t wrong = 0;
  for (std::uint64_t begin = 0; begin < std::uint64_t{1} << 32; begin += chunk * stride) {
    for (std::size_t i = 0; i < chunk; ++i) {
      const std::uint64_t pattern = begin + i * stride;
      values[i] = fp32_value(static_cast<std::uint32_t>(pattern + (pattern / stride * 7) % stride));
    }
    if (is_half) {
      encode(oracle.format, oracle.overflow, values.data(), half.data(), chunk);
    } else {
      encode(oracle.format, oracle.overflow, values.data(), narrow.data(), chunk);
    }
    for (std::size_t i = 0; i < chunk; ++i)
      wrong += oracle.encode(values[i]) != (is_half ? half[i] : narrow[i]);
  }
  return wrong;
}

void check_encoding(const std::vector<Oracle>& oracles, std::uint64_t stride,
                    const std::vector<Format>& formats) {
  for (const Oracle& oracle : oracles) {
    if (std::count(formats.begin(), formats.end(), oracle.format) == 0) continue;
    CAPTURE(oracle.name, name(oracle.format), oracle.overflow == Overflow::saturate);
    CHECK(differences(oracle, stride) == 0);
  }
}

void check_decoding(const std::vector<Oracle>& oracles) {
  for (const Oracle& oracle : oracles) {
    CAPTURE(oracle.name, name(oracle.format));
    int wrong = 0;
    for (std::uint32_t code = 0; code < 1u << bits(oracle.format); ++code) {
      const float expected = oracle.decode(code), value = decode(oracle.format, code);
      wrong += std::isnan(expected) ? !std::isnan(value) : fp32_bits(value) != fp32_bits(expected);
    }
    CHECK(wrong == 0);
  }
}

const std::vector<Format> fp8 = {Format::e4m3, Format::e5m2};
const std::vector<Format> others = {Format::e3m2, Format::e2m3, Format::e2m1, Format::fp16,
                                    Format::bf16};
constexpr const char* cuda = "CUDA's headers";
constexpr const char* llvm = "LLVM's APFloat (llvm-16-dev)";

}  // namespace

TEST_CASE("every code decodes as in CUDA's headers and as in LLVM") {
  if (found(test::cuda_oracles(), cuda)) check_decoding(test::cuda_oracles());
  if (found(test::llvm_oracles(), llvm)) check_decoding(test::llvm_oracles());
}

TEST_CASE("every 256th FP32 pattern encodes to FP8 as in CUDA's headers") {
  if (found(test::cuda_oracles(), cuda)) check_encoding(test::cuda_oracles(), 256, fp8);
}

TEST_CASE("every 256th FP32 pattern encodes to FP8 as in LLVM") {
  if (found(test::llvm_oracles(), llvm)) check_encoding(test::llvm_oracles(), 256, fp8);
}

TEST_CASE("every 4096th FP32 pattern encodes to the other formats as in CUDA's headers and LLVM") {
  check_encoding(test::cuda_oracles(), 4096, others);
  check_encoding(test::llvm_oracles(), 4096, others);
}

// Minutes each: run by `tests/run nightly`.
TEST_CASE("every FP32 pattern encodes to E4M3 as in CUDA's headers", "[.]") {
  if (found(test::cuda_oracles(), cuda)) check_encoding(test::cuda_oracles(), 1, {Format::e4m3});
}

TEST_CASE("every FP32 pattern encodes to E5M2 as in CUDA's headers", "[.]") {
  if (found(test::cuda_oracles(), cuda)) check_encoding(test::cuda_oracles(), 1, {Format::e5m2});
}

TEST_CASE("every FP32 pattern encodes to E4M3 as in LLVM", "[.]") {
  if (found(test::llvm_oracles(), llvm)) check_encoding(test::llvm_oracles(), 1, {Format::e4m3});
}

TEST_CASE("every FP32 pattern encodes to E5M2 as in LLVM", "[.]") {
  if (found(test::llvm_oracles(), llvm)) check_encoding(test::llvm_oracles(), 1, {Format::e5m2});
}
