#include "sim/datapath/gemm_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

// The kernels change the rounding mode: nothing may be computed ahead in another one. Contraction
// is off for the whole project.
#pragma GCC optimize("rounding-math")

#define TESSERA_TARGET __attribute__((target("avx2,fma,f16c")))
#define TESSERA_KERNELS avx2
#define TESSERA_OP TESSERA_TARGET static inline

namespace tessera::gemm_kernels {
namespace {

/// 8 lanes of FP32; exponents of a tile are 32 bytes.
struct Single {
  using Real = float;
  using Reals = __m256;
  using Words = __m256;  // FP32 accumulators
  using Integer = __m256i;
  using Exponents = __m256i;
  static constexpr int lanes = 8;

  TESSERA_OP Reals load(const float* p) { return _mm256_loadu_ps(p); }
  TESSERA_OP Reals broadcast(float x) { return _mm256_set1_ps(x); }
  TESSERA_OP Reals multiply_add(Reals x, Reals y, Reals z) { return _mm256_fmadd_ps(x, y, z); }
  TESSERA_OP Reals difference(Reals x, Reals y) { return _mm256_sub_ps(x, y); }
  TESSERA_OP Words load_words(const float* p) { return _mm256_loadu_ps(p); }
  TESSERA_OP void store_words(float* p, Words x) { _mm256_storeu_ps(p, x); }

  TESSERA_OP Exponents exponents(int e) { return _mm256_set1_epi8(static_cast<char>(e)); }
  TESSERA_OP Exponents load_exponents(const std::int8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  TESSERA_OP void store_exponents(std::int8_t* p, Exponents e) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), e);
  }
  TESSERA_OP Exponents sum(Exponents e, std::int8_t f) {
    return _mm256_add_epi8(e, _mm256_set1_epi8(f));
  }
  TESSERA_OP Exponents larger(Exponents e, Exponents f) { return _mm256_max_epi8(e, f); }
  TESSERA_OP Integer widen(const std::int8_t* p) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }

  TESSERA_OP Integer integers(int x) { return _mm256_set1_epi32(x); }
  TESSERA_OP Integer add_integers(Integer x, Integer y) { return _mm256_add_epi32(x, y); }
  TESSERA_OP Integer larger_integer(Integer x, Integer y) { return _mm256_max_epi32(x, y); }
  TESSERA_OP bool any_at_least(Integer x, int limit) {
    return _mm256_movemask_epi8(_mm256_cmpgt_epi32(x, _mm256_set1_epi32(limit - 1))) != 0;
  }
  TESSERA_OP Integer exponent_field(Words c) {
    return _mm256_and_si256(_mm256_srli_epi32(_mm256_castps_si256(c), 23), _mm256_set1_epi32(0xFF));
  }
  /// The alignment exponent: the largest of the products and a non-zero accumulator.
  TESSERA_OP Integer alignment(Integer products, Words c, Integer field, Integer lowest,
                               int min_field) {
    const Integer some = _mm256_cmpgt_epi32(products, _mm256_set1_epi32(lowest_exponent<Real> - 1));
    const Integer zero =
        _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(c), _mm256_set1_epi32(0x7FFFFFFF)),
                           _mm256_setzero_si256());
    const Integer ce = _mm256_sub_epi32(_mm256_max_epi32(field, _mm256_set1_epi32(min_field)),
                                        _mm256_set1_epi32(127));
    const Integer e = _mm256_max_epi32(_mm256_blendv_epi8(lowest, products, some), lowest);
    return _mm256_max_epi32(e, _mm256_blendv_epi8(ce, lowest, zero));
  }
  TESSERA_OP Reals power_of_two(Integer e) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(e, _mm256_set1_epi32(127)), 23));
  }
  TESSERA_OP Reals add_positive_part(Reals x, Words c) {
    return _mm256_add_ps(x, _mm256_max_ps(c, _mm256_setzero_ps()));
  }
  TESSERA_OP Reals add_negative_part(Reals x, Words c) {
    return _mm256_sub_ps(x, _mm256_min_ps(c, _mm256_setzero_ps()));
  }
  TESSERA_OP Words to_fp32(Reals x, std::uint32_t kept_bits) {
    return _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(kept_bits))));
  }
  TESSERA_OP Words to_fp16(Reals x) {
    return _mm256_cvtph_ps(_mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

/// 4 lanes of FP64; exponents of a tile are 16 16-bit words.
struct Double {
  using Real = double;
  using Reals = __m256d;
  using Words = __m128;
  using Integer = __m128i;
  using Exponents = __m256i;
  static constexpr int lanes = 4;

  TESSERA_OP Reals load(const double* p) { return _mm256_loadu_pd(p); }
  TESSERA_OP Reals broadcast(double x) { return _mm256_set1_pd(x); }
  TESSERA_OP Reals multiply_add(Reals x, Reals y, Reals z) { return _mm256_fmadd_pd(x, y, z); }
  TESSERA_OP Reals difference(Reals x, Reals y) { return _mm256_sub_pd(x, y); }
  TESSERA_OP Words load_words(const float* p) { return _mm_loadu_ps(p); }
  TESSERA_OP void store_words(float* p, Words x) { _mm_storeu_ps(p, x); }

  TESSERA_OP Exponents exponents(int e) { return _mm256_set1_epi16(static_cast<short>(e)); }
  TESSERA_OP Exponents load_exponents(const std::int16_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  TESSERA_OP void store_exponents(std::int16_t* p, Exponents e) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), e);
  }
  TESSERA_OP Exponents sum(Exponents e, std::int16_t f) {
    return _mm256_add_epi16(e, _mm256_set1_epi16(f));
  }
  TESSERA_OP Exponents larger(Exponents e, Exponents f) { return _mm256_max_epi16(e, f); }
  TESSERA_OP Integer widen(const std::int16_t* p) {
    return _mm_cvtepi16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }

  TESSERA_OP Integer integers(int x) { return _mm_set1_epi32(x); }
  TESSERA_OP Integer add_integers(Integer x, Integer y) { return _mm_add_epi32(x, y); }
  TESSERA_OP Integer larger_integer(Integer x, Integer y) { return _mm_max_epi32(x, y); }
  TESSERA_OP bool any_at_least(Integer x, int limit) {
    return _mm_movemask_epi8(_mm_cmpgt_epi32(x, _mm_set1_epi32(limit - 1))) != 0;
  }
  TESSERA_OP Integer exponent_field(Words c) {
    return _mm_and_si128(_mm_srli_epi32(_mm_castps_si128(c), 23), _mm_set1_epi32(0xFF));
  }
  TESSERA_OP Integer alignment(Integer products, Words c, Integer field, Integer lowest,
                               int min_field) {
    const Integer some = _mm_cmpgt_epi32(products, _mm_set1_epi32(lowest_exponent<Real> - 1));
    const Integer zero = _mm_cmpeq_epi32(
        _mm_and_si128(_mm_castps_si128(c), _mm_set1_epi32(0x7FFFFFFF)), _mm_setzero_si128());
    const Integer ce =
        _mm_sub_epi32(_mm_max_epi32(field, _mm_set1_epi32(min_field)), _mm_set1_epi32(127));
    const Integer e = _mm_max_epi32(_mm_blendv_epi8(lowest, products, some), lowest);
    return _mm_max_epi32(e, _mm_blendv_epi8(ce, lowest, zero));
  }
  TESSERA_OP Reals power_of_two(Integer e) {
    return _mm256_castsi256_pd(
        _mm256_slli_epi64(_mm256_cvtepi32_epi64(_mm_add_epi32(e, _mm_set1_epi32(1023))), 52));
  }
  TESSERA_OP Reals add_positive_part(Reals x, Words c) {
    return _mm256_add_pd(x, _mm256_cvtps_pd(_mm_max_ps(c, _mm_setzero_ps())));
  }
  TESSERA_OP Reals add_negative_part(Reals x, Words c) {
    return _mm256_sub_pd(x, _mm256_cvtps_pd(_mm_min_ps(c, _mm_setzero_ps())));
  }
  TESSERA_OP Words to_fp32(Reals x, std::uint32_t kept_bits) {
    return _mm_and_ps(_mm256_cvtpd_ps(x),
                      _mm_castsi128_ps(_mm_set1_epi32(static_cast<int>(kept_bits))));
  }
  /// Through FP32 rounded to odd, from which rounding to FP16 is as from the exact value.
  TESSERA_OP Words to_fp16(Reals x) {
    const Words truncated = _mm256_cvtpd_ps(x);
    const __m256i inexact =
        _mm256_castpd_si256(_mm256_cmp_pd(_mm256_cvtps_pd(truncated), x, _CMP_NEQ_UQ));
    // The low word of each 64-bit mask, in lane order.
    const __m128i narrowed = _mm256_castsi256_si128(
        _mm256_permutevar8x32_epi32(inexact, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6)));
    const __m128i odd =
        _mm_or_si128(_mm_castps_si128(truncated), _mm_and_si128(narrowed, _mm_set1_epi32(1)));
    return _mm_cvtph_ps(
        _mm_cvtps_ph(_mm_castsi128_ps(odd), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

}  // namespace
}  // namespace tessera::gemm_kernels

#include "sim/datapath/gemm_loop.h"

#else

namespace tessera::gemm_kernels {
const Kernels avx2 = {};
}

#endif
