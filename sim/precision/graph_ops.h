#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/precision/graph_model.h"

namespace tessera {

/// One matrix product of a graph, or `batch` of them side by side: D = A B^T.
struct GraphProduct {
  std::string node;      ///< whose product it is
  bool weights = false;  ///< B is a constant of the model; else both are activations
  std::int64_t batch = 1, m = 0, n = 0, k = 0;
  const float* a = nullptr;  ///< [batch][m][k]
  const float* b = nullptr;  ///< [batch][n][k]
  float* d = nullptr;        ///< [batch][m][n]
};

/// The arithmetic of a graph's matrix products.
class GraphArithmetic {
 public:
  virtual ~GraphArithmetic() = default;
  /// Fills product.d.
  virtual void multiply(const GraphProduct& product) = 0;
};

/// Products of FP32 values summed in FP64 and rounded to FP32 once.
class ReferenceArithmetic : public GraphArithmetic {
 public:
  void multiply(const GraphProduct& product) override;
};

/// What an operation works on: its node, the model's file (for errors), its inputs.
struct GraphCall {
  const GraphNode& node;
  const std::string& file;
  const std::vector<GraphValue>& inputs;
  bool constant_weights = false;  ///< the second input is a Const
  GraphArithmetic& arithmetic;
};

/// An operation, as TensorFlow's op of that name defines it, over float32, int32 and bool.
/// MatMul, BatchMatMul and Conv2D (of 1x1 kernels) multiply by the arithmetic; the rest computes in
/// FP32, with sums of Mean, Sum, Prod and Softmax in FP64 rounded once.
struct GraphOp {
  std::string_view name;
  int min_inputs;
  int max_inputs;
  /// Throws InputError naming the node: ranks, shapes or element types that do not fit, indices out
  /// of range, attributes of which only some values are supported.
  std::vector<GraphTensor> (*compute)(const GraphCall&);
};

/// Every operation, in alphabetical order.
const std::vector<GraphOp>& graph_ops();
/// Null if it is not supported.
const GraphOp* find_graph_op(std::string_view name);

}  // namespace tessera
