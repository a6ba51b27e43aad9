#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/base/units.h"

namespace tessera {

/// When each of a fixed number of units is due next: a tournament, in which every node holds who is
/// due earlier of the two below it, the lower number first. Time and number are one integer, so a
/// change is a walk to the root without a branch.
class TurnCalendar {
 public:
  static constexpr Cycles never{INT64_MAX};
  static constexpr int most_units = 1 << 16;

  explicit TurnCalendar(int units) {
    while (leaves_ < static_cast<std::size_t>(units)) leaves_ *= 2;
    nodes_.assign(2 * leaves_, nobody);
  }

  /// When the first unit is due; `never` if none is.
  Cycles earliest() const { return time_of(nodes_[1]); }
  /// The unit that is due then, of several the lowest number.
  int first() const { return static_cast<int>(nodes_[1] & (most_units - 1)); }
  Cycles due(int unit) const { return time_of(nodes_[leaf(unit)]); }
  /// Times from 2^47 on, which no simulation reaches, count as the last before.
  void set(int unit, Cycles when) {
    change(unit, std::min(when.value, nobody >> unit_bits) << unit_bits | unit);
  }
  void clear(int unit) { change(unit, nobody); }

 private:
  static constexpr int unit_bits = 16;
  static constexpr std::int64_t nobody = INT64_MAX;

  static Cycles time_of(std::int64_t node) {
    return node == nobody ? never : Cycles(node >> unit_bits);
  }
  std::size_t leaf(int unit) const { return leaves_ + static_cast<std::size_t>(unit); }
  void change(int unit, std::int64_t entry) {
    std::size_t node = leaf(unit);
    nodes_[node] = entry;
    for (; node > 1; node /= 2) {
      entry = std::min(entry, nodes_[node ^ 1]);
      nodes_[node / 2] = entry;
    }
  }

  std::size_t leaves_ = 1;           // a power of two
  std::vector<std::int64_t> nodes_;  // i is above 2i and 2i + 1; the leaves come last
};

}  // namespace tessera
