#pragma once

#include <cstdint>

#include "sim/datapath/isa.h"
#include "sim/datapath/unit.h"

namespace tessera {

/// D = A B + C as a unit computes it.
struct Gemm {
  std::int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;  ///< [m][k], values of the unit's input format
  const float* b = nullptr;  ///< [k][n], likewise
  /// [m][n], values of the accumulator's format, or nullptr for zeros. May be d.
  const float* c = nullptr;
  float* d = nullptr;  ///< [m][n]

  Accumulator accumulator = Accumulator::fp32;
  /// 0: "fast accumulation", one chain of steps over all of k that starts from C.
  /// Else the products between promotions, a multiple of unit.products (128 in CUTLASS and
  /// DeepGEMM): each such part of k is a chain of its own that starts from zero, and is added to an
  /// FP32 sum that starts from C, rounding to nearest even. FP32 accumulators only.
  int promote_every = 0;
  /// With promotion, optional scales of block-quantised operands (both or neither): a part's sum is
  /// multiplied by a_scales[i][p] * b_scales[p][j], rounded to FP32, in one FFMA with the addition.
  const float* a_scales = nullptr;  ///< [m][ceil(k / promote_every)]
  const float* b_scales = nullptr;  ///< [ceil(k / promote_every)][n]
};

/// Computes gemm.d, bit-identical on every Isa to gemm_reference(). One thread; memory beyond the
/// operands is some 2 KiB per element of k. Infinities and NaN are computed right, but slowly.
/// Throws std::invalid_argument for a negative size, a promotion that is not a multiple of the
/// unit's step, and operands that are not values of the unit's format (the low bits of tf32
/// operands are dropped instead); InputError from validate(unit).
void gemm(const Unit& unit, const Gemm& gemm, Isa isa = best_isa());

/// The same through dot_add_chain(), output by output: the plain definition.
void gemm_reference(const Unit& unit, const Gemm& gemm);

/// What gemm() runs for a unit on an instruction set: "fp32 fma", "fp64 fma" or "integer".
const char* gemm_method(const Unit& unit, Accumulator accumulator, Isa isa = best_isa());

}  // namespace tessera
