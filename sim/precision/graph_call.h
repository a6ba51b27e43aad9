#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/precision/graph_ops.h"

namespace tessera {

/// What the operations ask of a call: checked inputs and attributes. Errors are InputErrors naming
/// the node.
class CheckedCall {
 public:
  explicit CheckedCall(const GraphCall& call) : call_(call) {}

  [[noreturn]] void fail(const std::string& wrong, const std::string& right) const;

  const GraphTensor& input(int i) const { return *call_.inputs[static_cast<std::size_t>(i)]; }
  int inputs() const { return static_cast<int>(call_.inputs.size()); }
  /// Input i, which must be float32, int32 or bool.
  const GraphTensor& floats(int i) const { return typed(i, GraphElement::float32); }
  const GraphTensor& ints(int i) const { return typed(i, GraphElement::int32); }
  const GraphTensor& booleans(int i) const { return typed(i, GraphElement::boolean); }
  /// Input i as a list: an int32 scalar or vector.
  std::vector<std::int64_t> list(int i) const;
  /// Input i as one number.
  std::int64_t scalar(int i) const;
  /// Input i as a dimension of a tensor of `rank` dimensions; negative ones count from the end.
  std::int64_t axis(int i, std::int64_t rank) const;
  std::int64_t axis_of(std::int64_t value, std::int64_t rank) const;

  /// Attributes; what is absent has TensorFlow's default, which the caller gives.
  bool flag(const std::string& key, bool absent) const;
  std::int64_t number(const std::string& key, std::int64_t absent) const;
  std::vector<std::int64_t> numbers(const std::string& key) const;
  std::string text(const std::string& key, const std::string& absent) const;
  GraphElement type(const std::string& key) const;

  /// An empty result of this shape. Throws if it is too large.
  GraphTensor result(GraphElement type, std::vector<std::int64_t> shape) const;

  const GraphCall& call() const { return call_; }

 private:
  const GraphTensor& typed(int i, GraphElement type) const;

  const GraphCall& call_;
};

/// Distance in elements between neighbours along each dimension.
std::vector<std::int64_t> strides(const std::vector<std::int64_t>& shape);

/// Steps through the indices of a shape, last dimension fastest. Shapes without elements have none.
class Odometer {
 public:
  explicit Odometer(std::vector<std::int64_t> shape);
  bool done() const { return done_; }
  void next();
  const std::vector<std::int64_t>& index() const { return index_; }
  /// Sum of index times stride.
  std::int64_t dot(const std::vector<std::int64_t>& stride) const;

 private:
  std::vector<std::int64_t> shape_, index_;
  bool done_ = false;
};

/// Copies elements [from, from + count) of `source` to `target` at `to`. Types are equal.
void copy_elements(const GraphTensor& source, std::int64_t from, std::int64_t count,
                   GraphTensor& target, std::int64_t to);

/// Integers wrap as 32-bit hardware's do.
inline std::int32_t wrapped(std::int64_t value) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(value));
}

/// The results of an operation with one.
std::vector<GraphTensor> only(GraphTensor result);

/// The three files of operations: element by element and reductions, of shapes and places,
/// products.
const std::vector<GraphOp>& graph_math_ops();
const std::vector<GraphOp>& graph_shape_ops();
const std::vector<GraphOp>& graph_product_ops();

}  // namespace tessera
