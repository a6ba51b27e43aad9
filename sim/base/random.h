#pragma once

#include <array>
#include <cstdint>

namespace tessera {

/// Counter-based random numbers: the n-th number of a stream is a pure function of (seed, stream,
/// n), so a draw depends neither on the order of calls nor on the number of threads, and any part
/// of a random tensor can be computed alone.
///
/// Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
/// SC'11; checked against that paper's published known answers.
class Random {
 public:
  using Block = std::array<std::uint32_t, 4>;

  constexpr explicit Random(std::uint64_t seed, std::uint64_t stream = 0)
      : seed_(seed), stream_(stream) {}

  /// Four independent words of 32 uniform bits, number `index` of the stream.
  constexpr Block block(std::uint64_t index) const {
    return philox({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                   static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)},
                  {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)});
  }

  /// 32 uniform bits, number `index` of the stream (four to a block).
  constexpr std::uint32_t bits(std::uint64_t index) const { return block(index / 4)[index % 4]; }

  /// Uniform in [0, 1) with 32 bits, number `index` of the stream.
  constexpr double uniform(std::uint64_t index) const { return bits(index) * 0x1p-32; }

  /// The bare generator: ten rounds on a 128-bit counter under a 64-bit key.
  static constexpr Block philox(Block counter, std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t product0 = std::uint64_t{0xD2511F53} * counter[0];
      const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * counter[2];
      counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
                 static_cast<std::uint32_t>(product1),
                 static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
                 static_cast<std::uint32_t>(product0)};
      key[0] += 0x9E3779B9;
      key[1] += 0xBB67AE85;
    }
    return counter;
  }

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
};

}  // namespace tessera
