#include "sim/frontend/moe_layer.h"

#include <algorithm>

#include "sim/base/error.h"
#include "sim/frontend/kernel_gemm.h"
#include "sim/frontend/kernel_rowwise.h"

namespace tessera {
namespace {

/// Up to here the GEMM's producer gathers single rows of x itself, as decode kernels do.
constexpr std::int64_t max_gathered_rows = 512;

}  // namespace

void lower_moe(SectionBuilder& section) {
  const Op& op = section.op();
  if (op.experts < 1 || op.topk < 1 || op.tokens < 1) {
    throw InputError(op.name, "a mixture of experts without tokens, experts or choices",
                     "tokens, topk and experts are at least 1");
  }
  const std::int64_t routed =
      checked_product(op.name + ": tokens * topk", {op.tokens, op.topk}, max_tensor_elements);
  const std::int64_t used = std::min(op.experts, routed);
  const std::int64_t rows = ceil_div(routed, used);
  const Format operands = operand_format(op.precision);
  const Format wide = activation_format(op.precision);
  const std::int64_t up_cols = (op.gated ? 2 : 1) * op.inter;

  TensorIndex x = section.input(0);
  const bool permute = routed > max_gathered_rows;
  if (permute) {
    // Copy engines fetch boxes of neighbouring rows: each expert's rows are brought together first,
    // quantised on the way.
    RowwiseProblem together;
    together.name = "permute";
    together.rows = used * rows;
    together.cols = op.hidden;
    together.inputs.push_back({x});
    together.inputs.back().gather = true;
    if (op.quantise_input) {
      together.steps = {{VectorFunction::amax}, {quantiser(op.precision)}};
    } else {
      together.steps = {{VectorFunction::move}};
    }
    together.output = section.workspace("permute.out", op.quantise_input ? operands : wide,
                                        together.rows, op.hidden);
    lower_rowwise(section, together);
    x = together.output;
  } else if (op.quantise_input) {
    x = quantise(section, "quantise", x, op.tokens, op.hidden);
  }

  GemmProblem up;
  up.name = "up";
  up.m = rows;
  up.n = up_cols;
  up.k = op.hidden;
  up.groups = used;
  up.a = x;
  up.b = section.input(1);
  up.c = section.workspace("up.out", wide, used * rows, up_cols);
  up.operands = operands;
  up.promoted = promotes(op.precision);
  up.gather_a = !permute;
  lower_gemm(section, up);

  // The activation leaves in the format of the next GEMM's operands.
  RowwiseProblem act;
  act.name = "activation";
  act.rows = used * rows;
  act.cols = op.inter;
  act.inputs.push_back({up.c});
  if (op.gated) {
    act.inputs.push_back({up.c});
    act.inputs.back().first_col = op.inter;
    act.steps.push_back({VectorFunction::silu_mul});
  } else {
    act.steps.push_back({VectorFunction::gelu});
  }
  if (op.quantise_input) {
    act.steps.push_back({VectorFunction::amax});
    act.steps.push_back({quantiser(op.precision)});
  } else {
    act.steps.push_back({VectorFunction::convert});
  }
  act.output =
      section.workspace("activation.out", op.quantise_input ? operands : wide, act.rows, op.inter);
  lower_rowwise(section, act);

  GemmProblem down;
  down.name = "down";
  down.m = rows;
  down.n = op.hidden;
  down.k = op.inter;
  down.groups = used;
  down.a = act.output;
  down.b = section.input(2);
  down.c = section.workspace("down.out", wide, used * rows, op.hidden);
  down.operands = operands;
  down.promoted = up.promoted;
  lower_gemm(section, down);

  RowwiseProblem combine;
  combine.name = "combine";
  combine.rows = op.tokens;
  combine.cols = op.hidden;
  combine.inputs.push_back({down.c});
  combine.inputs.back().gather = true;
  combine.inputs.back().gathered = op.topk;
  combine.steps.push_back({VectorFunction::combine, static_cast<double>(op.topk)});
  if (op.epilogue.residual) {
    combine.inputs.push_back({section.input(op.inputs.size() - 1)});
    combine.steps.push_back({VectorFunction::residual});
  }
  combine.output = section.output(0);
  lower_rowwise(section, combine);
}

}  // namespace tessera
