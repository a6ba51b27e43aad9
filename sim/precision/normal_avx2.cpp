#if defined(__x86_64__)
#include <immintrin.h>

#define TESSERA_TARGET __attribute__((target("avx2,fma,f16c")))
#define TESSERA_HALF(v, i) \
  (__m256i) __builtin_shufflevector(v, v, 4 * (i), 4 * (i) + 1, 4 * (i) + 2, 4 * (i) + 3)
// A macro: vectors of 64 bytes are not passed alike on every instruction set.
#define TESSERA_WIDE(a, b)                                                                         \
  __builtin_shufflevector(_mm256_mul_epu32(TESSERA_HALF(a, 0), TESSERA_HALF(b, 0)),                \
                          _mm256_mul_epu32(TESSERA_HALF(a, 1), TESSERA_HALF(b, 1)), 0, 1, 2, 3, 4, \
                          5, 6, 7)
#else
#define TESSERA_TARGET
#define TESSERA_WIDE(a, b) (((a)&std::uint64_t{0xFFFFFFFF}) * ((b)&std::uint64_t{0xFFFFFFFF}))
#endif
#define TESSERA_KERNEL avx2
#include "sim/precision/normal_loop.h"
