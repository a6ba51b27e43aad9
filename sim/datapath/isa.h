#pragma once

#include <string_view>
#include <vector>

namespace tessera {

/// The instruction set a vectorised routine runs on, chosen at run time. Every routine gives the
/// same bits on each; the choice is speed alone.
enum class Isa { portable, avx2, avx512 };

/// What this processor can run, slowest first; portable is always there. avx2 means AVX2, FMA and
/// F16C; avx512 means F, BW, DQ and VL besides.
const std::vector<Isa>& supported_isas();
/// The last of supported_isas().
Isa best_isa();
std::string_view name(Isa isa);

}  // namespace tessera
