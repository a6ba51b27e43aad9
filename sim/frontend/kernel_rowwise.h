#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/frontend/kernel_gemm.h"
#include "sim/frontend/lowering_section.h"
#include "sim/frontend/program_builder.h"

namespace tessera {

/// What a tile of a row-wise kernel reads from one tensor: the tile's rows and columns, moved.
struct RowwiseInput {
  TensorIndex tensor = 0;
  std::int64_t first_col = 0;  ///< added to the tile's column
  std::int64_t slabs = 1;      ///< read `slabs` times, `slab_rows` rows apart (partial results)
  std::int64_t slab_rows = 0;
  std::int64_t slabs_at_once = 0;  ///< > 0: so many are under way, the next follow a latency later
  bool gather = false;             ///< rows come through an index ...
  std::int64_t gathered = 1;       ///< ... `gathered` of them for each row of the tile
};

/// Vector work on a tile: `per_element` times the tile's elements.
struct RowwiseStep {
  VectorFunction function = VectorFunction::move;
  double per_element = 1;
  std::int64_t from_col = 0;  ///< only tiles whose columns are in [from_col, to_col); 0: no end
  std::int64_t to_col = 0;
};

/// Read a tile of rows x cols, work on it, write it.
struct RowwiseProblem {
  std::string name;  ///< suffix of the kernel's name
  std::int64_t rows = 0, cols = 0;
  std::vector<RowwiseInput> inputs;
  std::vector<RowwiseStep> steps;
  TensorIndex output = 0;
  bool whole_row = false;             ///< a row's elements are needed together (norms, softmax)
  bool transposed = false;            ///< the output is [cols, rows]
  std::int64_t column_unit = 0;       ///< > 0: the width of a tile divides it (regions of columns)
  std::optional<QkvOutput> qkv;       ///< the output goes where a QKV result goes
  std::optional<TensorIndex> scales;  ///< [ceil(cols / scale_cols), rows]: one for each scale_cols
  std::int64_t scale_cols = 0;
};

/// How a row-wise kernel is cut up.
struct RowwiseTiling {
  std::int64_t tile_rows = 1,
               tile_cols = 256;  ///< tile_cols of one load; a whole row takes several
  std::int64_t stages = 2;
  std::int64_t warps = 4;     ///< of the worker
  std::int64_t resident = 4;  ///< blocks per core
  bool two_passes = false;    ///< whole_row: the row does not fit the scratchpad, it is read twice
};

std::int64_t rowwise_scratchpad_bytes(const SectionBuilder& section, const RowwiseProblem& problem,
                                      const RowwiseTiling& tiling);

void lower_rowwise(SectionBuilder& section, const RowwiseProblem& problem,
                   const RowwiseTiling& tiling);
/// The same with the tiling the mapper chooses.
void lower_rowwise(SectionBuilder& section, const RowwiseProblem& problem);

/// Adds a kernel that converts x[rows, cols] to e4m3 with a scale for each row, or with
/// fp8-block for each 128 of a row, and returns the result. `scales`, if given, receives the tensor
/// [scales of a row, rows] of FP32 scales.
TensorIndex quantise(SectionBuilder& section, const std::string& kernel, TensorIndex x,
                     std::int64_t rows, std::int64_t cols, TensorIndex* scales = nullptr);

/// Vector functions of a GEMM's epilogue, in order.
std::vector<VectorFunction> epilogue_functions(const Epilogue& epilogue);
void apply_epilogue(RoleBuilder& role, const Epilogue& epilogue, std::int64_t elements);

}  // namespace tessera
