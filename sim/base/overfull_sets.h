#pragma once

namespace tessera {

/// Share of the lines in use that meet in sets of a cache with more lines than ways, where `load`
/// is what is in use over the capacity. Lines that are used in turn stay in a set only if all do
/// (least recently used goes first), so this share misses.
///
/// Addresses are hashed, so a set has a Poisson number of lines with mean load * ways; a line's own
/// set has one more than that: share = P(N >= ways) = P(ways, load * ways), the regularised lower
/// incomplete gamma function. With 16 ways (assumed: no vendor says): 6 % at a load of 0.65, half
/// at 0.98, 95 % at 1.45.
double overfull_share(double load, int ways = 16);

}  // namespace tessera
