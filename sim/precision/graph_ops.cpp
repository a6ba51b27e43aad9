#include "sim/precision/graph_ops.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/error.h"
#include "sim/precision/graph_call.h"

namespace tessera {

void CheckedCall::fail(const std::string& wrong, const std::string& right) const {
  throw InputError({call_.file, 0}, call_.node.name, call_.node.op + ": " + wrong, right);
}

const GraphTensor& CheckedCall::typed(int i, GraphElement type) const {
  const GraphTensor& tensor = input(i);
  if (tensor.type != type) {
    fail(fmt::format("input {} is {}", i, name(tensor.type)), fmt::format("give {}", name(type)));
  }
  return tensor;
}

std::vector<std::int64_t> CheckedCall::list(int i) const {
  const GraphTensor& tensor = ints(i);
  if (tensor.rank() > 1) {
    fail(fmt::format("input {} has the shape {}", i, shown(tensor.shape)), "give a list");
  }
  return {tensor.ints.begin(), tensor.ints.end()};
}

std::int64_t CheckedCall::scalar(int i) const {
  const GraphTensor& tensor = ints(i);
  if (tensor.size() != 1) {
    fail(fmt::format("input {} has the shape {}", i, shown(tensor.shape)), "give one number");
  }
  return tensor.ints.front();
}

std::int64_t CheckedCall::axis(int i, std::int64_t rank) const { return axis_of(scalar(i), rank); }

std::int64_t CheckedCall::axis_of(std::int64_t value, std::int64_t rank) const {
  if (value < -rank || value >= rank) {
    fail(fmt::format("there is no dimension {} of {}", value, rank),
         fmt::format("give {} to {}", -rank, rank - 1));
  }
  return value < 0 ? value + rank : value;
}

namespace {

template <typename T>
T attribute(const CheckedCall& call, const std::string& key, const char* kind, const T* absent) {
  const auto& attributes = call.call().node.attributes;
  const auto found = attributes.find(key);
  if (found == attributes.end()) {
    if (absent != nullptr) return *absent;
    call.fail(fmt::format("the attribute '{}' is missing", key), fmt::format("give {}", kind));
  }
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) {
    call.fail(fmt::format("the attribute '{}' is not {}", key, kind), fmt::format("give {}", kind));
  }
  return *value;
}

}  // namespace

bool CheckedCall::flag(const std::string& key, bool absent) const {
  return attribute<bool>(*this, key, "true or false", &absent);
}

std::int64_t CheckedCall::number(const std::string& key, std::int64_t absent) const {
  return attribute<std::int64_t>(*this, key, "a whole number", &absent);
}

std::vector<std::int64_t> CheckedCall::numbers(const std::string& key) const {
  const std::vector<std::int64_t> none;
  return attribute<std::vector<std::int64_t>>(*this, key, "a list of whole numbers", &none);
}

std::string CheckedCall::text(const std::string& key, const std::string& absent) const {
  return attribute<std::string>(*this, key, "text", &absent);
}

GraphElement CheckedCall::type(const std::string& key) const {
  return attribute<GraphElement>(*this, key, "an element type: float, an integer or bool", nullptr);
}

GraphTensor CheckedCall::result(GraphElement type, std::vector<std::int64_t> shape) const {
  if (elements(shape) < 0) {
    fail(fmt::format("a result of shape {} is out of bounds", shown(shape)),
         fmt::format("at most {} elements are computed", max_graph_elements));
  }
  return GraphTensor(type, std::move(shape));
}

std::vector<std::int64_t> strides(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> result(shape.size());
  std::int64_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    result[i] = step;
    step *= shape[i];
  }
  return result;
}

Odometer::Odometer(std::vector<std::int64_t> shape)
    : shape_(std::move(shape)),
      index_(shape_.size()),
      done_(std::find(shape_.begin(), shape_.end(), 0) != shape_.end()) {}

void Odometer::next() {
  for (std::size_t i = shape_.size(); i-- > 0;) {
    if (++index_[i] < shape_[i]) return;
    index_[i] = 0;
  }
  done_ = true;
}

std::int64_t Odometer::dot(const std::vector<std::int64_t>& stride) const {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < index_.size(); ++i) sum += index_[i] * stride[i];
  return sum;
}

void copy_elements(const GraphTensor& source, std::int64_t from, std::int64_t count,
                   GraphTensor& target, std::int64_t to) {
  if (source.type == GraphElement::float32) {
    std::copy_n(source.floats.begin() + from, count, target.floats.begin() + to);
  } else {
    std::copy_n(source.ints.begin() + from, count, target.ints.begin() + to);
  }
}

std::vector<GraphTensor> only(GraphTensor result) {
  std::vector<GraphTensor> results;
  results.push_back(std::move(result));
  return results;
}

const std::vector<GraphOp>& graph_ops() {
  static const std::vector<GraphOp> ops = [] {
    // A graph's ends, which have no computation.
    std::vector<GraphOp> all = {{"Const", 0, 0, nullptr}, {"Placeholder", 0, 0, nullptr}};
    for (const auto* some : {&graph_math_ops(), &graph_shape_ops(), &graph_product_ops()}) {
      all.insert(all.end(), some->begin(), some->end());
    }
    std::sort(all.begin(), all.end(),
              [](const GraphOp& a, const GraphOp& b) { return a.name < b.name; });
    return all;
  }();
  return ops;
}

const GraphOp* find_graph_op(std::string_view name) {
  for (const GraphOp& op : graph_ops()) {
    if (op.name == name) return &op;
  }
  return nullptr;
}

}  // namespace tessera
