#include "sim/precision/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/base/error.h"
#include "sim/datapath/scaling.h"
#include "sim/precision/checkpoint_names.h"
#include "sim/precision/synthetic.h"

namespace tessera {
namespace {

/// Elements of a synthetic matrix up to which its largest is looked for; beyond, it is the median
/// of what it may be.
constexpr double max_generated = 1 << 22;

/// Our own names of a parameter, most specific first.
std::vector<std::string> own_names(const ParameterName& name, const std::string& parameter) {
  const std::string expert = name.expert < 0 ? "" : fmt::format(".{}", name.expert);
  std::vector<std::string> names = {
      fmt::format("{}.{}.{}{}.{}", name.block, name.copy, name.operation, expert, parameter),
      fmt::format("{}.{}{}.{}", name.block, name.operation, expert, parameter)};
  if (parameter == "weight" && name.expert < 0 && !name.tensor.empty())
    names.push_back(name.tensor);
  return names;
}

[[noreturn]] void wrong_shape(const StoredTensor& tensor, const std::string& expected) {
  throw InputError({tensor.file, 0}, tensor.name, fmt::format("has shape {}", tensor.shape_text()),
                   fmt::format("expected {}", expected));
}

}  // namespace

std::string ParameterName::text() const {
  return fmt::format("{}.{}.{}{}", block, copy, operation,
                     expert < 0 ? "" : fmt::format(".{}", expert));
}

Weights Weights::find(const TensorSource* source, std::uint64_t seed, const ParameterName& name,
                      std::int64_t rows, std::int64_t cols, std::int64_t head_dim) {
  Weights weights;
  weights.seed_ = seed;
  weights.name_ = name.text() + ".weight";
  weights.rows_ = rows;
  weights.cols_ = cols;
  if (source == nullptr) return weights;
  if (const StoredTensor* tensor = source->find_any(own_names(name, "weight"))) {
    if (tensor->shape != std::vector<std::int64_t>{rows, cols})
      wrong_shape(*tensor, fmt::format("[{}, {}]", rows, cols));
    weights.parts_ = {{tensor, 0, rows, false}};
    return weights;
  }
  for (const CheckpointNames& names : checkpoint_names(name.operation, name.copy, "weight",
                                                       std::max<std::int64_t>(name.expert, 0))) {
    std::vector<Part> parts;
    std::int64_t first = 0;
    for (const std::string& part : names.parts) {
      const StoredTensor* tensor = source->find(part);
      if (tensor == nullptr) break;
      const bool matrix = tensor->shape.size() == 2;
      const std::int64_t part_rows = matrix ? tensor->shape[names.transposed ? 1 : 0] : 0;
      if (!matrix || tensor->shape[names.transposed ? 0 : 1] != cols || first + part_rows > rows)
        wrong_shape(*tensor, names.transposed
                                 ? fmt::format("[{}, {}]", cols, rows)
                                 : fmt::format("rows of {} elements, {} in all", cols, rows));
      parts.push_back({tensor, first, part_rows, names.transposed});
      first += part_rows;
    }
    if (parts.size() != names.parts.size()) continue;
    if (first != rows)
      wrong_shape(*parts.back().tensor, fmt::format("{} rows of {} elements in all", rows, cols));
    weights.parts_ = parts;
    if (names.interleaved) weights.interleaved_head_ = head_dim;
    return weights;
  }
  return weights;
}

std::int64_t Weights::stored_row(std::int64_t row) const {
  if (interleaved_head_ == 0) return row;
  const std::int64_t segment = rows_ / 3, which = row / segment, within = row % segment;
  return (within / interleaved_head_ * 3 + which) * interleaved_head_ + within % interleaved_head_;
}

void Weights::read(const std::vector<std::int64_t>& chosen, std::int64_t begin, std::int64_t count,
                   float* values) const {
  if (synthetic()) {
    for (std::size_t i = 0; i < chosen.size(); ++i)
      synthetic_weights(seed_, name_, cols_, chosen[i] * cols_ + begin, count,
                        values + static_cast<std::int64_t>(i) * count);
    return;
  }
  for (const Part& part : parts_) {
    const auto in_part = [&](std::int64_t row) {
      return row >= part.first && row < part.first + part.rows;
    };
    std::size_t first = 0;
    while (first < chosen.size() && !in_part(stored_row(chosen[first]))) ++first;
    std::vector<std::int64_t> wanted;
    for (std::size_t i = first; i < chosen.size() && in_part(stored_row(chosen[i])); ++i)
      wanted.push_back(stored_row(chosen[i]) - part.first);
    read_part(part, wanted, begin, count, values + static_cast<std::int64_t>(first) * count);
  }
}

void Weights::read_part(const Part& part, const std::vector<std::int64_t>& wanted,
                        std::int64_t begin, std::int64_t count, float* values) const {
  if (!part.transposed) {
    for (std::size_t i = 0; i < wanted.size(); ++i)
      read_elements(*part.tensor, wanted[i] * cols_ + begin, count,
                    values + static_cast<std::int64_t>(i) * count);
    return;
  }
  std::vector<float> line(static_cast<std::size_t>(part.rows));
  for (std::int64_t k = 0; k < count && !wanted.empty(); ++k) {
    read_elements(*part.tensor, (begin + k) * part.rows, part.rows, line.data());
    for (std::size_t i = 0; i < wanted.size(); ++i)
      values[static_cast<std::int64_t>(i) * count + k] = line[static_cast<std::size_t>(wanted[i])];
  }
}

float Weights::amax() const {
  if (synthetic()) {
    const double elements = static_cast<double>(rows_) * static_cast<double>(cols_);
    if (elements <= max_generated) {
      std::vector<float> all(static_cast<std::size_t>(rows_ * cols_));
      synthetic_weights(seed_, name_, cols_, 0, rows_ * cols_, all.data());
      return amax_of(all.data(), rows_ * cols_);
    }
    return static_cast<float>(largest_of_normals(elements) / std::sqrt(static_cast<double>(cols_)));
  }
  float amax = 0;
  std::vector<float> some;
  for (const Part& part : parts_) {
    const std::int64_t elements = part.tensor->elements();
    constexpr std::int64_t chunk = std::int64_t{1} << 20;
    for (std::int64_t begin = 0; begin < elements; begin += chunk) {
      const std::int64_t count = std::min(chunk, elements - begin);
      some.resize(static_cast<std::size_t>(count));
      read_elements(*part.tensor, begin, count, some.data());
      for (const float value : some) amax = std::max(amax, std::abs(value));
    }
  }
  return amax;
}

std::optional<std::vector<float>> find_vector(const TensorSource* source, const ParameterName& name,
                                              const std::string& parameter, std::int64_t size) {
  if (source == nullptr) return std::nullopt;
  std::vector<const StoredTensor*> parts;
  if (const StoredTensor* tensor = source->find_any(
          own_names({name.block, name.copy, name.operation, "", name.expert}, parameter))) {
    parts = {tensor};
  } else {
    for (const CheckpointNames& names : checkpoint_names(name.operation, name.copy, parameter)) {
      if (names.interleaved) continue;
      parts.clear();
      for (const std::string& part : names.parts) {
        if (const StoredTensor* found = source->find(part)) parts.push_back(found);
      }
      if (parts.size() == names.parts.size()) break;
      parts.clear();
    }
  }
  if (parts.empty()) return std::nullopt;
  std::vector<float> values;
  for (const StoredTensor* part : parts) {
    const std::size_t begin = values.size();
    if (part->shape.size() != 1 || part->shape[0] > size - static_cast<std::int64_t>(begin))
      wrong_shape(*part, fmt::format("[{}]", size));
    values.resize(begin + static_cast<std::size_t>(part->shape[0]));
    read_elements(*part, 0, part->shape[0], values.data() + begin);
  }
  if (static_cast<std::int64_t>(values.size()) != size)
    wrong_shape(*parts.back(), fmt::format("[{}]", size));
  return values;
}

}  // namespace tessera
