#pragma once

#include <optional>

#include "sim/frontend/kernel_gemm.h"

namespace tessera {

/// The tiling that a library with rules of its own gives a problem on a chip, as its source has the
/// rules (docs/lowering.md, Libraries). Nothing for GemmLibrary::tuned, and where the library has
/// no kernel that fits the chip: then the mapper searches.
std::optional<GemmTiling> library_tiling(const GemmProblem& problem, const ChipConfig& chip);

}  // namespace tessera
