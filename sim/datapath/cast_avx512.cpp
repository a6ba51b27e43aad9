#if defined(__x86_64__)
#if defined(__clang__)
#define TESSERA_TARGET \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"), min_vector_width(512)))
#else
#define TESSERA_TARGET \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
#endif
#else
#define TESSERA_TARGET
#endif
#define TESSERA_KERNELS avx512
#include "sim/datapath/cast_loop.h"
