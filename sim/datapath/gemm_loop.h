#pragma once

// The fused dot-add of a tile of output columns with fused multiply-adds. Included once per
// instruction set, after TESSERA_TARGET (the function attribute that selects it) and the classes
// Single and Double (vectors of FP32 and FP64) are defined.
//
// Truncating every product at a common place needs no shifts: round toward zero, and start the sum
// at a power of two M whose last place is 2^(Emax - F). As long as the sum stays below 2M each
// fma(|a|, |b|, sum) then adds exactly trunc(|a b| / 2^(Emax - F)) last places. Positive and
// negative products go to two sums, so that truncation is toward zero for both; their difference is
// exact. A's signs are uniform over the lanes and merely swap the pointers to max(b,0), max(-b,0).

namespace tessera::gemm_kernels {
namespace {

constexpr int vectors = 4;  // of a tile: 8 sums hide the latency of the multiply-add

/// Rounds toward zero with all exceptions masked and subnormals kept, until the end of its scope.
class RoundTowardZero {
 public:
  RoundTowardZero() : saved_(_mm_getcsr()) { _mm_setcsr(0x7F80); }
  ~RoundTowardZero() { _mm_setcsr(saved_); }
  RoundTowardZero(const RoundTowardZero&) = delete;
  RoundTowardZero& operator=(const RoundTowardZero&) = delete;

 private:
  unsigned saved_;
};

// Not inlined: a call is what keeps the compiler from moving arithmetic across the mode change.
template <class V, bool fp16>
__attribute__((noinline)) TESSERA_TARGET void run_rows(const Panel<typename V::Real>& p) {
  using Real = typename V::Real;
  constexpr int lanes = vectors * V::lanes;
  const typename V::Integer lowest = V::integers(p.lowest);
  const typename V::Integer start = V::integers(p.start_exponent);
  alignas(64) Exponent<Real> largest[lanes];
  const std::int64_t row_length = std::int64_t{p.steps} * p.products;

  for (int row = 0; row < p.rows; ++row) {
    const Multiplier<Real>* a = p.a + row * row_length;
    const Exponent<Real>* a_exponents = p.a_exponents + row * row_length;
    const Real* b = p.b;
    const Exponent<Real>* b_exponents = p.b_exponents;
    typename V::Words c[vectors];
    for (int v = 0; v < vectors; ++v) c[v] = V::load_words(p.c + row * lanes + v * V::lanes);
    typename V::Integer highest_field = V::integers(0);

    for (int step = 0; step < p.steps; ++step) {
      typename V::Exponents e = V::exponents(2 * zero_exponent<Real>);
      for (int i = 0; i < p.products; ++i)
        e = V::larger(e, V::sum(V::load_exponents(b_exponents + i * lanes), a_exponents[i]));
      V::store_exponents(largest, e);

      typename V::Reals plus[vectors], minus[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) {
        const typename V::Integer field = V::exponent_field(c[v]);
        highest_field = V::larger_integer(highest_field, field);
        const typename V::Integer emax =
            V::alignment(V::widen(largest + v * V::lanes), c[v], field, lowest, p.c_min_field);
        const typename V::Reals origin = V::power_of_two(V::add_integers(emax, start));
        plus[v] = V::add_positive_part(origin, c[v]);
        minus[v] = V::add_negative_part(origin, c[v]);
      }
      for (int i = 0; i < p.products; ++i) {
        const typename V::Reals magnitude = V::broadcast(a[i].magnitude);
        const Real* same = b + i * 2 * lanes + a[i].offset;
        const Real* opposite = b + i * 2 * lanes + (lanes - a[i].offset);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) {
          plus[v] = V::multiply_add(magnitude, V::load(same + v * V::lanes), plus[v]);
          minus[v] = V::multiply_add(magnitude, V::load(opposite + v * V::lanes), minus[v]);
        }
      }
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v)
        c[v] = fp16 ? V::to_fp16(V::difference(plus[v], minus[v]))
                    : V::to_fp32(V::difference(plus[v], minus[v]), p.kept_bits);
      a += p.products;
      a_exponents += p.products;
      b += std::int64_t{2} * p.products * lanes;
      b_exponents += std::int64_t{p.products} * lanes;
    }
    for (int v = 0; v < vectors; ++v) {
      highest_field = V::larger_integer(highest_field, V::exponent_field(c[v]));
      V::store_words(p.c + row * lanes + v * V::lanes, c[v]);
    }
    if (V::any_at_least(highest_field, p.field_limit)) p.out_of_range[row] = 1;
  }
}

template <class V>
void run(const Panel<typename V::Real>& panel) {
  const RoundTowardZero mode;
  if (panel.fp16) {
    run_rows<V, true>(panel);
  } else {
    run_rows<V, false>(panel);
  }
}

TESSERA_TARGET void promote(const Promotion& p) {
  for (int row = 0; row < p.rows; ++row) {
    float* __restrict main = p.main + static_cast<std::int64_t>(row) * p.lanes;
    const float* __restrict part = p.part + static_cast<std::int64_t>(row) * p.lanes;
    if (p.a_scales == nullptr) {
      for (int j = 0; j < p.lanes; ++j) main[j] += part[j];
      continue;
    }
    const float a_scale = p.a_scales[row * p.a_stride];
    const float* __restrict b_scales = p.b_scales;
    for (int j = 0; j < p.lanes; ++j)
      main[j] = __builtin_fmaf(a_scale * b_scales[j], part[j], main[j]);
  }
}

}  // namespace

const Kernels TESSERA_KERNELS = {
    {vectors * Single::lanes, run<Single>}, {vectors * Double::lanes, run<Double>}, promote};

}  // namespace tessera::gemm_kernels
