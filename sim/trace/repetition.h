#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/trace/trace.h"

namespace tessera {

// Where a kernel does the same again and again, so that a run of it with some of its work left out
// says how long the work takes that was left out (docs/timing-model/sampling.md).
//
// Work comes in items: the iterations of the loop over output tiles that every role has, or else
// the clusters of the grid. Two items are alike if every loop inside makes as many iterations: only
// addresses differ. That is decided from the code alone. A variable v of an item i is known by the
// period p and the step d for which
//   v(i + p) = v(i) + d    for all i
// which sums, quotients, remainders, minima and maxima keep or lose by simple rules, and of which
// nothing is known where one item leaves it to the next; a kernel repeats itself after the least
// common multiple of the periods of its loops' lengths, if each of them has d = 0. In a loop over
// tiles, loops in which no barrier is touched, such as those over a tile's chunks of output, may
// have any length: at the edge of a tensor they are shorter.

struct Repetition {
  std::int64_t items = 0;
  std::int64_t period = 1;  ///< items of a cluster are alike at this distance
  /// Items at this distance come to the same cluster, and what roles leave each other at barriers
  /// is the same; 1 where items are clusters of the grid.
  std::int64_t step = 1;
  bool looped = false;  ///< items are iterations of a loop; else clusters of the grid
};

/// Of a kernel in which check_structure() finds no error. Nothing where its items differ, depend on
/// each other (flags) or exchange data with other chips, or where that takes too long to find out.
std::optional<Repetition> repetition(const Kernel& kernel);

/// Instructions that the roles execute for the items [first, first + count), about: counted for a
/// few dozen items of each period that is cut, and of a whole one. Of a kernel with a repetition;
/// nothing if that takes too long.
std::optional<double> steps_of_items(const Kernel& kernel, const Repetition& repetition,
                                     std::int64_t first, std::int64_t count);

/// The kernel without the items [first, first + count), first > 0; both multiples of the
/// step. The other items keep their place in memory, and those of a loop their
/// cluster.
Kernel without_items(Kernel kernel, const Repetition& repetition, std::int64_t first,
                     std::int64_t count);

}  // namespace tessera
