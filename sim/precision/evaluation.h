#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/config/chip_config.h"
#include "sim/frontend/layer_graph.h"
#include "sim/precision/arithmetic.h"
#include "sim/report/result.h"

namespace tessera {

class TensorSource;

/// How the numbers of a layer graph are studied.
struct EvaluationOptions {
  std::uint64_t seed = 1;
  std::int64_t tokens = 16;   ///< sampled rows of every activation
  std::int64_t columns = 64;  ///< sampled outputs of each row of a matrix product
  bool exact = false;         ///< every row and every output
  /// Copies of a repeated block (decoder layers) that are computed one after the other, each with
  /// weights of its own and with the error of the one before in its input.
  std::int64_t layers = 2;
  std::int64_t first_layer = 0;  ///< number of the first of them among the model's layers
  /// How operands of 8 bits are scaled; nullopt: as each operation's precision says.
  std::optional<Recipe> recipe;
  const TensorSource* tensors = nullptr;  ///< nullptr: synthetic
};

/// Errors of a graph: of every operation of every block (`errors[block][op]`, of the block's first
/// copy), and the residual stream's.
struct Evaluation {
  std::vector<std::vector<OpError>> errors;
  PrecisionResult summary;
};

/// Computes `graph` on sampled rows twice, exactly and through the arithmetic of `chip`, each
/// operation in its own precision (Op::precision), errors flowing from one operation into the next.
/// A pure function of its arguments. docs/precision.md has the method. Throws InputError: the chip
/// lacks an arithmetic, `exact` is too large, a tensor does not fit.
Evaluation evaluate(const LayerGraph& graph, const ChipConfig& chip,
                    const EvaluationOptions& options);

/// Puts the errors beside the cycles: each operation of `run` takes that of its name
/// ("layer.mlp.up", "layer[7].mlp.up" of one simulated several times).
void attach(const LayerGraph& graph, const Evaluation& evaluation, RunResult& run);

}  // namespace tessera
