#include "sim/precision/graph_tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>

namespace tessera {

std::string_view name(GraphElement type) {
  switch (type) {
    case GraphElement::float32:
      return "float32";
    case GraphElement::int32:
      return "int32";
    case GraphElement::boolean:
      return "bool";
  }
  return "";
}

std::string shown(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::int64_t elements(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  bool empty = false;
  for (const std::int64_t extent : shape) {
    if (extent < 0 || count > max_graph_elements / std::max<std::int64_t>(extent, 1)) return -1;
    if (extent == 0) empty = true;
    count *= std::max<std::int64_t>(extent, 1);
  }
  return empty ? 0 : count;
}

GraphTensor::GraphTensor(GraphElement element_type, std::vector<std::int64_t> extents)
    : type(element_type), shape(std::move(extents)) {
  const std::int64_t count = elements(shape);
  if (count < 0) throw std::invalid_argument("GraphTensor: shape out of bounds");
  if (type == GraphElement::float32) {
    floats.resize(static_cast<std::size_t>(count));
  } else {
    ints.resize(static_cast<std::size_t>(count));
  }
}

std::int64_t GraphTensor::size() const {
  return static_cast<std::int64_t>(type == GraphElement::float32 ? floats.size() : ints.size());
}

}  // namespace tessera
