#if defined(__x86_64__)
#define TESSERA_TARGET __attribute__((target("avx2")))
#else
#define TESSERA_TARGET
#endif
#define TESSERA_KERNELS avx2
#include "sim/datapath/cast_loop.h"
