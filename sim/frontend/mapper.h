#pragma once

#include <vector>

#include "sim/frontend/kernel_attention.h"
#include "sim/frontend/kernel_gemm.h"
#include "sim/frontend/kernel_rowwise.h"
#include "sim/frontend/lowering_section.h"

namespace tessera {

// The mapper costs candidates by formula, mirroring the engine's rules (docs/lowering.md), and
// takes the cheapest; of equals the first. It needs about a microsecond per candidate.

/// Estimated time of one way to run an operation, in core cycles from the start of its first kernel
/// to the end of its last.
struct CostEstimate {
  double cycles = 0;
  double hbm_bytes = 0;  ///< read, with what does not stay in the L2 read again
};

CostEstimate estimate_gemm(const SectionBuilder& section, const GemmProblem& problem,
                           const GemmTiling& tiling);
/// The ways to run the problem that the mapper considers; each fits the chip.
std::vector<GemmTiling> gemm_candidates(const SectionBuilder& section, const GemmProblem& problem);
/// Throws InputError if the chip cannot run the problem at all.
GemmTiling choose_gemm(const SectionBuilder& section, const GemmProblem& problem);

CostEstimate estimate_rowwise(const SectionBuilder& section, const RowwiseProblem& problem,
                              const RowwiseTiling& tiling);
RowwiseTiling choose_rowwise(const SectionBuilder& section, const RowwiseProblem& problem);

AttentionTiling choose_attention(const SectionBuilder& section, const AttentionProblem& problem);

}  // namespace tessera
