#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#define TESSERA_TARGET \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"), min_vector_width(512)))
#else
#define TESSERA_TARGET \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
#endif
#define TESSERA_WIDE(a, b) _mm512_maskz_mul_epu32(0xFF, (__m512i)(a), (__m512i)(b))
#else
#define TESSERA_TARGET
#define TESSERA_WIDE(a, b) (((a)&std::uint64_t{0xFFFFFFFF}) * ((b)&std::uint64_t{0xFFFFFFFF}))
#endif
#define TESSERA_KERNEL avx512
#include "sim/precision/normal_loop.h"
