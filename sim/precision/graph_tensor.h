#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

/// Elements of a graph's tensors. Integers are 32 bits wide, as in TensorFlow.js.
enum class GraphElement : std::uint8_t { float32, int32, boolean };
std::string_view name(GraphElement type);

/// A dense tensor, last dimension fastest.
struct GraphTensor {
  GraphElement type = GraphElement::float32;
  std::vector<std::int64_t> shape;  ///< empty = a scalar
  std::vector<float> floats;        ///< of a float32 tensor
  std::vector<std::int32_t> ints;   ///< of an int32 tensor, and 0 or 1 of a boolean one

  GraphTensor() = default;
  /// Zeros.
  GraphTensor(GraphElement type, std::vector<std::int64_t> shape);

  std::int64_t size() const;
  std::int64_t rank() const { return static_cast<std::int64_t>(shape.size()); }
};

/// Values are shared: no operation changes one in place.
using GraphValue = std::shared_ptr<const GraphTensor>;

/// "[2, 3]"
std::string shown(const std::vector<std::int64_t>& shape);

/// Elements a tensor of a graph may have.
constexpr std::int64_t max_graph_elements = std::int64_t{1} << 30;

/// Product of a shape, or -1 if a dimension is negative or the product of those that are not 0
/// exceeds max_graph_elements.
std::int64_t elements(const std::vector<std::int64_t>& shape);

}  // namespace tessera
