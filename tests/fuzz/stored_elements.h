#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "sim/precision/stored_tensor.h"
#include "tests/fuzz/target.h"

namespace tessera::test {

/// Reads up to 64 elements of an accepted tensor: they are there, and numbers.
inline void read_some(const StoredTensor& tensor) {
  require(tensor.elements() >= 0 && tensor.offset >= 0, "sizes that are not negative");
  std::vector<float> values(
      static_cast<std::size_t>(std::min<std::int64_t>(tensor.elements(), 64)));
  read_elements(tensor, 0, static_cast<std::int64_t>(values.size()), values.data());
  require(std::all_of(values.begin(), values.end(), [](float v) { return !std::isnan(v); }),
          "elements are numbers");
}

}  // namespace tessera::test
