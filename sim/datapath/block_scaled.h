#pragma once

#include <cstdint>

#include "sim/datapath/isa.h"
#include "sim/datapath/scaling.h"
#include "sim/datapath/unit.h"

namespace tessera {

// Tensor cores that take the scales of MX and NVFP4 blocks (tcgen05 of B200), as MMA-Sim describes
// them: from that published model only, no rows at hand.

/// Whether the unit multiplies two such matrices: mx with mx, nvfp4 with nvfp4 (1x16 or 16x16), in
/// the unit's format, on a unit with block scales.
bool takes_block_scales(const Unit& unit, Scaling a, Scaling b);

/// D[m][n] = A[m][k] B[n][k]^T with FP32 accumulators, every scale inside the arithmetic but
/// tensor_scale, which is left to the caller.
/// - mx, but for e2m1: the unit's own steps of 32; a step's scales are powers of two, whose
///   exponents are added to its products' before the alignment.
/// - mx and nvfp4 of e2m1: steps of 64. Each 16 products are summed exactly, and the sum is
///   multiplied by the significands of its two scales; four such terms, at the exponents of their
///   scales, and the accumulator are aligned to the largest of these exponents, truncated to 35
///   fraction bits, added, and the result is truncated to FP32.
/// A scale that is NaN gives NaN. promote_every as in Gemm. Bit-identical on every Isa to
/// block_scaled_gemm_reference(). Throws std::invalid_argument unless takes_block_scales().
void block_scaled_gemm(const Unit& unit, const QuantisedMatrix& a, const QuantisedMatrix& b,
                       int promote_every, float* d, Isa isa = best_isa());

/// The same output by output, from dot_add() and the definition above.
void block_scaled_gemm_reference(const Unit& unit, const QuantisedMatrix& a,
                                 const QuantisedMatrix& b, int promote_every, float* d);

}  // namespace tessera
