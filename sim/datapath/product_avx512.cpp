#include "sim/datapath/product_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TESSERA_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#define TESSERA_KERNELS avx512
#define TESSERA_OP TESSERA_TARGET static inline

namespace tessera::product_kernels {
namespace {

struct Single {
  using Real = float;
  using Reals = __m512;
  static constexpr int lanes = 16;
  static constexpr int vectors = 4;

  TESSERA_OP Reals load(const float* p) { return _mm512_loadu_ps(p); }
  TESSERA_OP void store(float* p, Reals x) { _mm512_storeu_ps(p, x); }
  TESSERA_OP Reals broadcast(float x) { return _mm512_set1_ps(x); }
  TESSERA_OP Reals multiply_add(Reals x, Reals y, Reals z) { return _mm512_fmadd_ps(x, y, z); }
};

struct Double {
  using Real = double;
  using Reals = __m512d;
  static constexpr int lanes = 8;
  static constexpr int vectors = 4;

  TESSERA_OP Reals load(const double* p) { return _mm512_loadu_pd(p); }
  TESSERA_OP void store(double* p, Reals x) { _mm512_storeu_pd(p, x); }
  TESSERA_OP Reals broadcast(double x) { return _mm512_set1_pd(x); }
  TESSERA_OP Reals multiply_add(Reals x, Reals y, Reals z) { return _mm512_fmadd_pd(x, y, z); }
};

}  // namespace
}  // namespace tessera::product_kernels

#include "sim/datapath/product_loop.h"

#else

namespace tessera::product_kernels {
const Kernels avx512 = {};
}

#endif
