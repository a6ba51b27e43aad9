#pragma once

#include <cstdint>
#include <type_traits>

// Internal to gemm.cpp: one object file per instruction set, each built from gemm_loop.h.

namespace tessera::gemm_kernels {

/// An element of A: its magnitude, and where the columns it multiplies positively begin.
template <class Real>
struct Multiplier {
  Real magnitude;
  /// 0 if the element is positive, else the kernel's lane count: an offset into BPanel rows.
  std::conditional_t<sizeof(Real) == 4, std::int32_t, std::int64_t> offset;
};

/// Exponents are a quarter as wide as the arithmetic, so that a tile's fill one register.
template <class Real>
using Exponent = std::conditional_t<sizeof(Real) == 4, std::int8_t, std::int16_t>;

/// Exponent of a zero operand; a sum with one or two of them lies below lowest_exponent.
template <class Real>
constexpr Exponent<Real> zero_exponent = sizeof(Real) == 4 ? -64 : -8192;
/// No sum of two exponents of non-zero operands is less.
template <class Real>
constexpr int lowest_exponent = sizeof(Real) == 4 ? -40 : -400;

/// Consecutive steps of one tile of columns, for a number of rows.
template <class Real>
struct Panel {
  int rows = 0;
  int steps = 0;
  int products = 0;                     ///< of a step
  const Multiplier<Real>* a = nullptr;  ///< [rows][steps * products]
  const Exponent<Real>* a_exponents = nullptr;
  const Real* b = nullptr;  ///< [steps * products][2][lanes]: max(b,0), max(-b,0)
  const Exponent<Real>* b_exponents = nullptr;  ///< [steps * products][lanes]
  float* c = nullptr;                           ///< [rows][lanes], replaced by the result
  unsigned char* out_of_range = nullptr;        ///< [rows], set where the method does not hold

  int start_exponent = 0;  ///< of the start value of a sum, relative to the largest exponent
  int lowest = 0;          ///< the alignment exponent is at least this
  int c_min_field = 1;     ///< smallest exponent field of an accumulator that is not zero
  int field_limit = 255;   ///< exponent field of accumulators from which on it does not hold
  std::uint32_t kept_bits = 0xFFFFFFFF;  ///< of an FP32 result
  bool fp16 = false;                     ///< accumulate in FP16
};

template <class Real>
struct Kernel {
  int lanes = 0;
  void (*run)(const Panel<Real>&) = nullptr;
};

/// main += part, or main = fma(a_scale * b_scale, part, main) if there are scales.
struct Promotion {
  int rows = 0, lanes = 0;
  float* main = nullptr;            ///< [rows][lanes]
  const float* part = nullptr;      ///< [rows][lanes]
  const float* a_scales = nullptr;  ///< [rows], a_stride apart; nullptr: no scales
  std::int64_t a_stride = 0;
  const float* b_scales = nullptr;  ///< [lanes]
};

struct Kernels {
  Kernel<float> single;
  Kernel<double> twice;
  void (*promote)(const Promotion&) = nullptr;
};

extern const Kernels avx2;
extern const Kernels avx512;

}  // namespace tessera::gemm_kernels
