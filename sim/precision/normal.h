#pragma once

#include <cstdint>

#include "sim/datapath/isa.h"

namespace tessera {

/// values[i] = number first + i of the standard normal stream (seed, stream): a pure function of
/// these three, so any part of a tensor can be made alone, in any order.
///
/// Box and Muller's transform of Random's words (sim/base/random.h): block b gives two radii
/// sqrt(-2 ln u) from words 0 and 2 (31 bits, u >= 2^-32: no number is beyond 6.66) and two angles
/// from words 1 and 3. ln, sine and cosine are polynomials, right to 2e-7; the same bits on every
/// Isa.
void standard_normals(std::uint64_t seed, std::uint64_t stream, std::int64_t first,
                      std::int64_t count, float* values, Isa isa = best_isa());

}  // namespace tessera
