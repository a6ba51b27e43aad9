#include "sim/datapath/gemm_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

// GCC 12's own AVX-512 intrinsics initialise a register with itself (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

// The kernels change the rounding mode: nothing may be computed ahead in another one. Contraction
// is off for the whole project.
#pragma GCC optimize("rounding-math")

#define TESSERA_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#define TESSERA_KERNELS avx512
#define TESSERA_OP TESSERA_TARGET static inline

namespace tessera::gemm_kernels {
namespace {

/// 16 lanes of FP32; exponents of a tile are 64 bytes.
struct Single {
  using Real = float;
  using Reals = __m512;
  using Words = __m512;  // FP32 accumulators
  using Integer = __m512i;
  using Exponents = __m512i;
  static constexpr int lanes = 16;

  TESSERA_OP Reals load(const float* p) { return _mm512_loadu_ps(p); }
  TESSERA_OP Reals broadcast(float x) { return _mm512_set1_ps(x); }
  TESSERA_OP Reals multiply_add(Reals x, Reals y, Reals z) { return _mm512_fmadd_ps(x, y, z); }
  TESSERA_OP Reals difference(Reals x, Reals y) { return _mm512_sub_ps(x, y); }
  TESSERA_OP Words load_words(const float* p) { return _mm512_loadu_ps(p); }
  TESSERA_OP void store_words(float* p, Words x) { _mm512_storeu_ps(p, x); }

  TESSERA_OP Exponents exponents(int e) { return _mm512_set1_epi8(static_cast<char>(e)); }
  TESSERA_OP Exponents load_exponents(const std::int8_t* p) { return _mm512_loadu_si512(p); }
  TESSERA_OP void store_exponents(std::int8_t* p, Exponents e) { _mm512_storeu_si512(p, e); }
  TESSERA_OP Exponents sum(Exponents e, std::int8_t f) {
    return _mm512_add_epi8(e, _mm512_set1_epi8(f));
  }
  TESSERA_OP Exponents larger(Exponents e, Exponents f) { return _mm512_max_epi8(e, f); }
  TESSERA_OP Integer widen(const std::int8_t* p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }

  TESSERA_OP Integer integers(int x) { return _mm512_set1_epi32(x); }
  TESSERA_OP Integer add_integers(Integer x, Integer y) { return _mm512_add_epi32(x, y); }
  TESSERA_OP Integer larger_integer(Integer x, Integer y) { return _mm512_max_epi32(x, y); }
  TESSERA_OP bool any_at_least(Integer x, int limit) {
    return _mm512_cmpge_epi32_mask(x, _mm512_set1_epi32(limit)) != 0;
  }
  TESSERA_OP Integer exponent_field(Words c) {
    return _mm512_and_si512(_mm512_srli_epi32(_mm512_castps_si512(c), 23), _mm512_set1_epi32(0xFF));
  }
  /// The alignment exponent: the largest of the products and a non-zero accumulator.
  TESSERA_OP Integer alignment(Integer products, Words c, Integer field, Integer lowest,
                               int min_field) {
    const __mmask16 some =
        _mm512_cmpge_epi32_mask(products, _mm512_set1_epi32(lowest_exponent<Real>));
    const Integer e = _mm512_mask_max_epi32(lowest, some, products, lowest);
    const __mmask16 nonzero =
        _mm512_test_epi32_mask(_mm512_castps_si512(c), _mm512_set1_epi32(0x7FFFFFFF));
    const Integer ce = _mm512_sub_epi32(_mm512_max_epi32(field, _mm512_set1_epi32(min_field)),
                                        _mm512_set1_epi32(127));
    return _mm512_mask_max_epi32(e, nonzero, e, ce);
  }
  TESSERA_OP Reals power_of_two(Integer e) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(e, _mm512_set1_epi32(127)), 23));
  }
  TESSERA_OP Reals add_positive_part(Reals x, Words c) {
    return _mm512_add_ps(x, _mm512_max_ps(c, _mm512_setzero_ps()));
  }
  TESSERA_OP Reals add_negative_part(Reals x, Words c) {
    return _mm512_sub_ps(x, _mm512_min_ps(c, _mm512_setzero_ps()));
  }
  TESSERA_OP Words to_fp32(Reals x, std::uint32_t kept_bits) {
    return _mm512_and_ps(x, _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(kept_bits))));
  }
  TESSERA_OP Words to_fp16(Reals x) {
    return _mm512_cvtph_ps(_mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

/// 8 lanes of FP64; exponents of a tile are 32 16-bit words.
struct Double {
  using Real = double;
  using Reals = __m512d;
  using Words = __m256;
  using Integer = __m256i;
  using Exponents = __m512i;
  static constexpr int lanes = 8;

  TESSERA_OP Reals load(const double* p) { return _mm512_loadu_pd(p); }
  TESSERA_OP Reals broadcast(double x) { return _mm512_set1_pd(x); }
  TESSERA_OP Reals multiply_add(Reals x, Reals y, Reals z) { return _mm512_fmadd_pd(x, y, z); }
  TESSERA_OP Reals difference(Reals x, Reals y) { return _mm512_sub_pd(x, y); }
  TESSERA_OP Words load_words(const float* p) { return _mm256_loadu_ps(p); }
  TESSERA_OP void store_words(float* p, Words x) { _mm256_storeu_ps(p, x); }

  TESSERA_OP Exponents exponents(int e) { return _mm512_set1_epi16(static_cast<short>(e)); }
  TESSERA_OP Exponents load_exponents(const std::int16_t* p) { return _mm512_loadu_si512(p); }
  TESSERA_OP void store_exponents(std::int16_t* p, Exponents e) { _mm512_storeu_si512(p, e); }
  TESSERA_OP Exponents sum(Exponents e, std::int16_t f) {
    return _mm512_add_epi16(e, _mm512_set1_epi16(f));
  }
  TESSERA_OP Exponents larger(Exponents e, Exponents f) { return _mm512_max_epi16(e, f); }
  TESSERA_OP Integer widen(const std::int16_t* p) {
    return _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }

  TESSERA_OP Integer integers(int x) { return _mm256_set1_epi32(x); }
  TESSERA_OP Integer add_integers(Integer x, Integer y) { return _mm256_add_epi32(x, y); }
  TESSERA_OP Integer larger_integer(Integer x, Integer y) { return _mm256_max_epi32(x, y); }
  TESSERA_OP bool any_at_least(Integer x, int limit) {
    return _mm256_cmpge_epi32_mask(x, _mm256_set1_epi32(limit)) != 0;
  }
  TESSERA_OP Integer exponent_field(Words c) {
    return _mm256_and_si256(_mm256_srli_epi32(_mm256_castps_si256(c), 23), _mm256_set1_epi32(0xFF));
  }
  TESSERA_OP Integer alignment(Integer products, Words c, Integer field, Integer lowest,
                               int min_field) {
    const __mmask8 some =
        _mm256_cmpge_epi32_mask(products, _mm256_set1_epi32(lowest_exponent<Real>));
    const Integer e = _mm256_mask_max_epi32(lowest, some, products, lowest);
    const __mmask8 nonzero =
        _mm256_test_epi32_mask(_mm256_castps_si256(c), _mm256_set1_epi32(0x7FFFFFFF));
    const Integer ce = _mm256_sub_epi32(_mm256_max_epi32(field, _mm256_set1_epi32(min_field)),
                                        _mm256_set1_epi32(127));
    return _mm256_mask_max_epi32(e, nonzero, e, ce);
  }
  TESSERA_OP Reals power_of_two(Integer e) {
    return _mm512_castsi512_pd(
        _mm512_slli_epi64(_mm512_cvtepi32_epi64(_mm256_add_epi32(e, _mm256_set1_epi32(1023))), 52));
  }
  TESSERA_OP Reals add_positive_part(Reals x, Words c) {
    return _mm512_add_pd(x, _mm512_cvtps_pd(_mm256_max_ps(c, _mm256_setzero_ps())));
  }
  TESSERA_OP Reals add_negative_part(Reals x, Words c) {
    return _mm512_sub_pd(x, _mm512_cvtps_pd(_mm256_min_ps(c, _mm256_setzero_ps())));
  }
  TESSERA_OP Words to_fp32(Reals x, std::uint32_t kept_bits) {
    return _mm256_and_ps(_mm512_cvtpd_ps(x),
                         _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(kept_bits))));
  }
  /// Through FP32 rounded to odd, from which rounding to FP16 is as from the exact value.
  TESSERA_OP Words to_fp16(Reals x) {
    const Words truncated = _mm512_cvtpd_ps(x);
    const __mmask8 inexact = _mm512_cmp_pd_mask(_mm512_cvtps_pd(truncated), x, _CMP_NEQ_UQ);
    const __m256i bits = _mm256_castps_si256(truncated);
    const __m256i odd = _mm256_mask_or_epi32(bits, inexact, bits, _mm256_set1_epi32(1));
    return _mm256_cvtph_ps(
        _mm256_cvtps_ph(_mm256_castsi256_ps(odd), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

}  // namespace
}  // namespace tessera::gemm_kernels

#include "sim/datapath/gemm_loop.h"

#else

namespace tessera::gemm_kernels {
const Kernels avx512 = {};
}

#endif
