#pragma once

// Eight blocks of Philox4x32-10 at a time and Box and Muller's transform of them, on vectors of the
// compiler's that every instruction set carries out bit for bit alike. Included once per
// instruction set with
//   TESSERA_TARGET     the function attribute that selects it (may be empty)
//   TESSERA_WIDE(a, b) the 64-bit products of the low halves of two vectors of 64-bit lanes
//   TESSERA_KERNEL     the name of the function to define

#include <cstring>

#include "sim/precision/normal_kernels.h"

namespace tessera::normal_kernels {
namespace {

typedef std::uint64_t Longs __attribute__((vector_size(64)));
typedef std::uint32_t Words __attribute__((vector_size(64)));
typedef std::int32_t Integers __attribute__((vector_size(64)));
typedef float Reals __attribute__((vector_size(64)));

// Written as one function: vectors of this width are not passed alike on every instruction set.
TESSERA_TARGET void run(std::uint64_t seed, std::uint64_t stream, std::uint64_t first,
                        std::int64_t groups, float* values) {
  constexpr std::uint64_t low = 0xFFFFFFFF;
  for (std::int64_t group = 0; group < groups; ++group) {
    // Philox, a block per lane. What the high half of a lane holds is never read.
    const std::uint64_t begin = first + static_cast<std::uint64_t>(group) * blocks;
    Longs c0 = Longs{0, 1, 2, 3, 4, 5, 6, 7} + begin;
    Longs c1 = c0 >> 32;
    Longs c2 = Longs{} + (stream & low);
    Longs c3 = Longs{} + (stream >> 32);
    std::uint32_t key0 = static_cast<std::uint32_t>(seed);
    std::uint32_t key1 = static_cast<std::uint32_t>(seed >> 32);
    const Longs multiplier0 = Longs{} + std::uint64_t{0xD2511F53};
    const Longs multiplier1 = Longs{} + std::uint64_t{0xCD9E8D57};
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const Longs product0 = (Longs)TESSERA_WIDE(multiplier0, c0);
      const Longs product1 = (Longs)TESSERA_WIDE(multiplier1, c2);
      c0 = (product1 >> 32) ^ c1 ^ std::uint64_t{key0};
      c1 = product1;
      c2 = (product0 >> 32) ^ c3 ^ std::uint64_t{key1};
      c3 = product0;
      key0 += 0x9E3779B9;
      key1 += 0xBB67AE85;
    }
    const Words radii = (Words)((c0 & low) | c2 << 32);
    const Words angles = (Words)((c1 & low) | c3 << 32);

    // -2 ln u with u = (w / 2 + 0.5) / 2^31; u = m 2^e, m in [2/3, 4/3).
    const Reals u = __builtin_convertvector((Integers)(radii >> 1), Reals) * 0x1p-31F + 0x1p-32F;
    const Integers pattern = (Integers)u;
    const Integers exponent = (pattern - 0x3F2AAAAB) >> 23;
    const Reals f = (Reals)(pattern - (exponent << 23)) - 1.0F;
    Reals p = f * -0.12125580757856369F + 0.1342574954032898F;
    p = p * f - 0.12346190214157104F;
    p = p * f + 0.14118309319019318F;
    p = p * f - 0.16670140624046326F;
    p = p * f + 0.20003780722618103F;
    p = p * f - 0.24999988079071045F;
    p = p * f + 0.33333319425582886F;
    const Reals mantissa_log = f + f * f * (f * p - 0.5F);
    const Reals x =
        (__builtin_convertvector(exponent, Reals) * 0.693147180559945F + mantissa_log) * -2.0F;

    // Its root by Newton's iteration for the reciprocal root.
    Reals y = (Reals)(0x5F375A86 - (Integers)((Words)x >> 1));
    const Reals half = x * 0.5F;
    y = y * (1.5F - half * y * y);
    y = y * (1.5F - half * y * y);
    y = y * (1.5F - half * y * y);
    const Reals radius = x * y;

    // The angle is a quarter turn times quadrant + t, t in [-0.5, 0.5).
    const Words quadrant = (angles + 0x20000000U) >> 30;
    const Reals t =
        __builtin_convertvector((Integers)(angles - (quadrant << 30)), Reals) * 0x1p-30F;
    const Reals z = t * t;
    Reals s = z * -0.004602149128913879F + 0.07968021929264069F;
    s = s * z - 0.6459634900093079F;
    s = (s * z + 1.5707963705062866F) * t;
    Reals c = z * 0.0009036280680447817F - 0.02086007036268711F;
    c = c * z + 0.25366920232772827F;
    c = c * z - 1.2337005138397217F;
    c = c * z + 1.0F;
    const Words swap = 0U - (quadrant & 1U);
    const Words sine = (((Words)c & swap) | ((Words)s & ~swap)) ^ ((quadrant & 2U) << 30);
    const Words cosine = (((Words)s & swap) | ((Words)c & ~swap)) ^ (((quadrant + 1U) & 2U) << 30);
    const Longs first_pair = (Longs)(radius * (Reals)cosine);
    const Longs second_pair = (Longs)(radius * (Reals)sine);

    // A block's numbers side by side.
    const Longs head = __builtin_shufflevector(first_pair, second_pair, 0, 8, 1, 9, 2, 10, 3, 11);
    const Longs tail = __builtin_shufflevector(first_pair, second_pair, 4, 12, 5, 13, 6, 14, 7, 15);
    std::memcpy(values + group * 4 * blocks, &head, sizeof head);
    std::memcpy(values + group * 4 * blocks + 2 * blocks, &tail, sizeof tail);
  }
}

}  // namespace

const Kernel TESSERA_KERNEL = run;

}  // namespace tessera::normal_kernels
