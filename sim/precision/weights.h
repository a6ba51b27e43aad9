#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/precision/tensor_source.h"

namespace tessera {

/// Which parameters of the graph are meant.
struct ParameterName {
  std::string block;      ///< "layer"
  std::int64_t copy = 0;  ///< of a repeated block: 0, 1, ...
  std::string operation;  ///< "attention.qkv"; "moe.up" and "moe.down" for experts
  std::string tensor;     ///< its name in the graph, e.g. "attention.qkv.weight"; may be empty
  std::int64_t expert = -1;

  /// "layer.0.attention.qkv"
  std::string text() const;
};

/// A weight matrix [rows][cols] of the user's, or a synthetic one.
class Weights {
 public:
  /// Finds the matrix in `source` (nullptr: nowhere) under, in this order: BLOCK.COPY.OPERATION,
  /// BLOCK.OPERATION (for every copy), each with ".weight", the graph's own name of the tensor, and
  /// the names of checkpoint_names(). If it is nowhere it is synthetic. Experts are named
  /// OPERATION.EXPERT. `head_dim` unravels interleaved heads. Throws InputError naming file, tensor
  /// and the expected shape if a tensor of that name has another.
  static Weights find(const TensorSource* source, std::uint64_t seed, const ParameterName& name,
                      std::int64_t rows, std::int64_t cols, std::int64_t head_dim);

  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }
  bool synthetic() const { return parts_.empty(); }

  /// values[i] = elements [begin, begin + count) of row chosen[i]; `chosen` ascends. Throws
  /// InputError from read_elements().
  void read(const std::vector<std::int64_t>& chosen, std::int64_t begin, std::int64_t count,
            float* values) const;
  /// The largest magnitude of the whole matrix; of a large synthetic one the median of what
  /// it may be.
  float amax() const;

 private:
  struct Part {
    const StoredTensor* tensor = nullptr;
    std::int64_t first = 0, rows = 0;  ///< of the matrix
    bool transposed = false;
  };

  void read_part(const Part& part, const std::vector<std::int64_t>& wanted, std::int64_t begin,
                 std::int64_t count, float* values) const;
  std::int64_t stored_row(std::int64_t row) const;

  std::uint64_t seed_ = 0;
  std::string name_;
  std::int64_t rows_ = 0, cols_ = 0;
  std::int64_t interleaved_head_ = 0;  ///< head dimension, 0: rows stand in order
  std::vector<Part> parts_;
};

/// A bias or a norm's gain of `size` elements, if the source has it (as Weights::find, with
/// ".bias" or ".weight"). Throws InputError if it has another shape.
std::optional<std::vector<float>> find_vector(const TensorSource* source, const ParameterName& name,
                                              const std::string& parameter, std::int64_t size);

}  // namespace tessera
