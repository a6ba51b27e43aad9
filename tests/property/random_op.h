#pragma once

#include <cstdint>
#include <string>

#include "sim/base/random.h"
#include "sim/config/chip_config.h"

namespace tessera::test {

/// Draws from one stream of random numbers: the same seed and stream, the same draws.
class Draw {
 public:
  explicit Draw(std::uint64_t seed, std::uint64_t stream = 0) : random_(seed, stream) {}

  /// Uniform in [low, high].
  std::int64_t uniform(std::int64_t low, std::int64_t high);
  /// A size in [low, high], its logarithm uniform: small and large ones alike. A third are powers
  /// of two, a third multiples of 8, a third anything.
  std::int64_t size(std::int64_t low, std::int64_t high);
  template <class T, std::size_t n>
  T pick(const T (&choices)[n]) {
    return choices[uniform(0, static_cast<std::int64_t>(n) - 1)];
  }

 private:
  Random random_;
  std::uint64_t drawn_ = 0;
};

enum class OpClass { gemm, linear_fp8, prefill, decode, rowwise, moe };

/// How many random cases to try: `count`, times TESSERA_CASES_FACTOR where the environment has it
/// (for a long search by hand; the tests' own number is fixed).
int case_count(int count);

/// The text of a random operation of a class that `chip` can run, of moderate size: at most about
/// 10^11 FLOP or 10^8 bytes.
std::string random_op(OpClass kind, Draw& draw, const ChipConfig& chip);

}  // namespace tessera::test
