#include "sim/datapath/product_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TESSERA_TARGET __attribute__((target("avx2,fma,f16c")))
#define TESSERA_KERNELS avx2
#define TESSERA_OP TESSERA_TARGET static inline

namespace tessera::product_kernels {
namespace {

struct Single {
  using Real = float;
  using Reals = __m256;
  static constexpr int lanes = 8;
  static constexpr int vectors = 2;

  TESSERA_OP Reals load(const float* p) { return _mm256_loadu_ps(p); }
  TESSERA_OP void store(float* p, Reals x) { _mm256_storeu_ps(p, x); }
  TESSERA_OP Reals broadcast(float x) { return _mm256_set1_ps(x); }
  TESSERA_OP Reals multiply_add(Reals x, Reals y, Reals z) { return _mm256_fmadd_ps(x, y, z); }
};

struct Double {
  using Real = double;
  using Reals = __m256d;
  static constexpr int lanes = 4;
  static constexpr int vectors = 2;

  TESSERA_OP Reals load(const double* p) { return _mm256_loadu_pd(p); }
  TESSERA_OP void store(double* p, Reals x) { _mm256_storeu_pd(p, x); }
  TESSERA_OP Reals broadcast(double x) { return _mm256_set1_pd(x); }
  TESSERA_OP Reals multiply_add(Reals x, Reals y, Reals z) { return _mm256_fmadd_pd(x, y, z); }
};

}  // namespace
}  // namespace tessera::product_kernels

#include "sim/datapath/product_loop.h"

#else

namespace tessera::product_kernels {
const Kernels avx2 = {};
}

#endif
