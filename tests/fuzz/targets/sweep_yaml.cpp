#include <algorithm>

#include "sim/sweep/points.h"
#include "sim/sweep/sweep_file.h"
#include "tests/fuzz/target.h"

namespace tessera::test {

/// A sweep file and, where it has few of them, its points.
void feed(std::string_view input) {
  constexpr std::size_t few = 200;
  static const std::string root = TESSERA_SOURCE_DIR;
  const SweepFile sweep = parse_sweep(std::string(input), "sweep.yaml");
  std::size_t count = 1;
  for (const Axis& axis : sweep.axes) {
    if (axis.range && axis.range->steps > static_cast<std::int64_t>(few)) return;
    if (axis.values.size() > few) return;
    count *= std::max<std::size_t>(1, axis.steps().size());
    if (count > few) return;
  }
  if (sweep.sampling.points > static_cast<std::int64_t>(few)) return;
  const SweepPoints points =
      PointBuilder(sweep, {{root + "/configs/chips"}, {root + "/models"}}).points();
  require(!points.points.empty(), "an accepted sweep has points");
}

}  // namespace tessera::test
