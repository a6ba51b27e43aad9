#include "sim/frontend/kernel_rowwise.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "sim/frontend/mapper.h"

namespace tessera {
namespace {

constexpr std::int64_t loader_warps = 1;
constexpr std::int64_t loader_registers = 32;
constexpr std::int64_t worker_registers = 64;
constexpr std::int64_t barrier_bytes = 256;

class RowwiseKernel {
 public:
  RowwiseKernel(SectionBuilder& section, const RowwiseProblem& problem, const RowwiseTiling& tiling)
      : section_(section), p_(problem), t_(tiling) {
    row_tiles_ = ceil_div(p_.rows, t_.tile_rows);
    col_tiles_ = p_.whole_row ? 1 : ceil_div(p_.cols, t_.tile_cols);
    // Boxes a tile is loaded and stored in; in two passes each is a stage of its own.
    boxes_ = p_.whole_row ? ceil_div(p_.cols, t_.tile_cols) : 1;
  }

  Kernel build() {
    const ChipConfig& chip = section_.chip();
    Kernel kernel = section_.kernel(p_.name);
    kernel.scratchpad_bytes = rowwise_scratchpad_bytes(section_, p_, t_);
    full_ = add_barrier(kernel, "full", t_.stages, 1);
    empty_ = add_empty_barrier(kernel, "empty", t_.stages, 1);
    kernel.grid = std::min(row_tiles_ * col_tiles_, chip.core.count * t_.resident);
    kernel.roles.push_back(loader(kernel.grid));
    kernel.roles.push_back(worker(kernel.grid));
    return kernel;
  }

 private:
  template <class Body>
  void for_each_tile(RoleBuilder& role, std::int64_t grid, Body&& body) {
    role.loop("tile", RoleBuilder::cluster(), row_tiles_ * col_tiles_, grid, [&](const Expr& tile) {
      // Along a row first: what blocks read at the same time lies together.
      const Expr row = role.quotient("row", tile, col_tiles_) * t_.tile_rows;
      const Expr col = role.remainder("col", tile, col_tiles_) * t_.tile_cols;
      body(row, col);
    });
  }

  template <class Body>
  void for_each_box(RoleBuilder& role, const Expr& col, Body&& body) {
    if (boxes_ == 1) return body(col);
    role.loop("box", 0, p_.cols, t_.tile_cols, body);
  }

  Role loader(std::int64_t grid) {
    RoleBuilder role("loader", 1, loader_warps, loader_registers);
    for_each_tile(role, grid, [&](const Expr& row, const Expr& col) {
      if (t_.two_passes) {
        role.loop("pass", 0, 2, 1, [&](const Expr&) {
          role.loop("box", 0, p_.cols, t_.tile_cols, [&](const Expr& box) {
            role.wait(empty_);
            role.expect(full_, load_bytes(1));
            load(role, row, box);
          });
        });
        return;
      }
      role.wait(empty_);
      role.expect(full_, load_bytes(boxes_));
      for_each_box(role, col, [&](const Expr& box) { load(role, row, box); });
    });
    return role.take();
  }

  std::int64_t load_bytes(std::int64_t boxes) const {
    std::int64_t total = 0;
    for (const RowwiseInput& input : p_.inputs) {
      total +=
          boxes * input.slabs *
          bytes(section_.tensor(input.tensor).format, t_.tile_rows * input.gathered * t_.tile_cols)
              .value;
    }
    return total;
  }

  void load(RoleBuilder& role, const Expr& row, const Expr& col) {
    for (const RowwiseInput& input : p_.inputs) {
      const std::int64_t rows = t_.tile_rows * input.gathered;
      if (input.gather) {
        const std::int64_t last =
            std::max<std::int64_t>(0, section_.tensor(input.tensor).rows - rows);
        role.gather(input.tensor, role.minimum("from", row, last), col + input.first_col, rows,
                    t_.tile_cols);
        continue;
      }
      const std::int64_t pitch = std::max<std::int64_t>(1, input.slab_rows);
      const std::int64_t at_once = input.slabs_at_once > 0 ? input.slabs_at_once : input.slabs;
      for (std::int64_t first = 0; first < input.slabs; first += at_once) {
        if (first > 0) role.setup(section_.chip().l2.near_latency_cycles);
        const std::int64_t end = std::min(first + at_once, input.slabs);
        role.loop("slab", first * pitch, end * pitch, pitch, [&](const Expr& slab) {
          role.load(input.tensor, row + slab, col + input.first_col, rows, t_.tile_cols);
        });
      }
    }
  }

  Role worker(std::int64_t grid) {
    RoleBuilder role("worker", 1, t_.warps, worker_registers);
    for_each_tile(role, grid, [&](const Expr& row, const Expr& col) {
      if (t_.two_passes) {
        role.loop("box", 0, p_.cols, t_.tile_cols, [&](const Expr&) {
          role.wait(full_);
          compute(role, p_.steps.front(), t_.tile_cols, 0);
          role.arrive(empty_);
        });
        role.loop("box", 0, p_.cols, t_.tile_cols, [&](const Expr& box) {
          role.wait(full_);
          for (std::size_t i = 1; i < p_.steps.size(); ++i) {
            compute(role, p_.steps[i], t_.tile_cols, box);
          }
          role.arrive(empty_);
          // Warps store a part from their registers: as many are on their way as are read ahead.
          role.store_wait(t_.stages - 1);
          store(role, row, box);
        });
        return;
      }
      role.wait(full_);
      for (const RowwiseStep& step : p_.steps) {
        compute(role, step, p_.whole_row ? p_.cols : std::min(t_.tile_cols, p_.cols), col);
      }
      role.arrive(empty_);
      role.store_wait(0);
      for_each_box(role, col, [&](const Expr& box) { store(role, row, box); });
      if (p_.scales) {
        const std::int64_t width = p_.whole_row ? p_.cols : t_.tile_cols;
        const Expr first = p_.whole_row ? Expr(0) : role.quotient("scale", col, p_.scale_cols);
        role.store(*p_.scales, first, row, ceil_div(width, p_.scale_cols), t_.tile_rows);
      }
    });
    return role.take();
  }

  void compute(RoleBuilder& role, const RowwiseStep& step, std::int64_t width, const Expr& col) {
    const auto elements = static_cast<std::int64_t>(
        std::ceil(step.per_element * static_cast<double>(t_.tile_rows * width)));
    const auto work = [&] { role.vector(step.function, elements); };
    if (step.from_col > 0) return role.when_less(step.from_col - 1, col, work);
    if (step.to_col > 0) return role.when_less(col, step.to_col, work);
    work();
  }

  void store(RoleBuilder& role, const Expr& row, const Expr& col) {
    if (p_.transposed) {
      role.store(p_.output, col, row, t_.tile_cols, t_.tile_rows);
    } else if (p_.qkv) {
      store_qkv(role, *p_.qkv, p_.output, row, col, t_.tile_rows, t_.tile_cols);
    } else {
      role.store(p_.output, row, col, t_.tile_rows, t_.tile_cols);
    }
  }

  SectionBuilder& section_;
  const RowwiseProblem& p_;
  const RowwiseTiling& t_;
  std::int64_t row_tiles_ = 1, col_tiles_ = 1, boxes_ = 1;
  std::uint16_t full_ = 0, empty_ = 0;
};

}  // namespace

std::int64_t rowwise_scratchpad_bytes(const SectionBuilder& section, const RowwiseProblem& problem,
                                      const RowwiseTiling& tiling) {
  const bool whole = problem.whole_row && !tiling.two_passes;
  const std::int64_t width = whole ? round_up(problem.cols, tiling.tile_cols) : tiling.tile_cols;
  std::int64_t stage = 0;
  for (const RowwiseInput& input : problem.inputs) {
    stage +=
        input.slabs *
        bytes(section.tensor(input.tensor).format, tiling.tile_rows * input.gathered * width).value;
  }
  const std::int64_t out =
      bytes(section.tensor(problem.output).format, tiling.tile_rows * width).value;
  return tiling.stages * stage + out + barrier_bytes;
}

void lower_rowwise(SectionBuilder& section, const RowwiseProblem& problem,
                   const RowwiseTiling& tiling) {
  section.add(RowwiseKernel(section, problem, tiling).build());
}

void lower_rowwise(SectionBuilder& section, const RowwiseProblem& problem) {
  lower_rowwise(section, problem, choose_rowwise(section, problem));
}

TensorIndex quantise(SectionBuilder& section, const std::string& kernel, TensorIndex x,
                     std::int64_t rows, std::int64_t cols, TensorIndex* scales) {
  const bool blocks = section.op().precision == Precision::fp8_block;
  RowwiseProblem problem;
  problem.name = kernel;
  problem.rows = rows;
  problem.cols = cols;
  problem.inputs.push_back({x});
  problem.steps = {{VectorFunction::amax}, {quantiser(section.op().precision)}};
  problem.output = section.workspace(kernel + ".out", Format::e4m3, rows, cols);
  problem.whole_row = !blocks;
  problem.scale_cols = blocks ? 128 : cols;
  problem.scales =
      section.workspace(kernel + ".scales", Format::fp32, ceil_div(cols, problem.scale_cols), rows);
  if (scales != nullptr) *scales = *problem.scales;
  lower_rowwise(section, problem);
  return problem.output;
}

std::vector<VectorFunction> epilogue_functions(const Epilogue& epilogue) {
  std::vector<VectorFunction> functions;
  if (epilogue.bias) functions.push_back(VectorFunction::bias);
  if (epilogue.activation == Activation::relu) functions.push_back(VectorFunction::relu);
  if (epilogue.activation == Activation::gelu) functions.push_back(VectorFunction::gelu);
  if (epilogue.residual) functions.push_back(VectorFunction::residual);
  functions.push_back(VectorFunction::epilogue);
  return functions;
}

void apply_epilogue(RoleBuilder& role, const Epilogue& epilogue, std::int64_t elements) {
  for (const VectorFunction function : epilogue_functions(epilogue)) {
    role.vector(function, elements);
  }
}

}  // namespace tessera
