#include "sim/frontend/lowering.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "sim/base/error.h"
#include "sim/frontend/kernel_attention.h"
#include "sim/frontend/kernel_gemm.h"
#include "sim/frontend/kernel_rowwise.h"
#include "sim/frontend/lowering_section.h"
#include "sim/frontend/moe_layer.h"

namespace tessera {
namespace {

void require_positive(const Op& op, std::initializer_list<std::int64_t> sizes) {
  for (const std::int64_t size : sizes) {
    if (size >= 1) continue;
    throw InputError(op.name, fmt::format("{} with a size of {}", name(op.kind), size),
                     "sizes are at least 1");
  }
}

/// Where a fused QKV result goes when the operation appends to the caches; the attention that
/// reads them says how many sequences there are.
std::optional<QkvOutput> qkv_output(const SectionBuilder& section, std::int64_t rows,
                                    std::int64_t cols) {
  const Op& op = section.op();
  if (op.outputs.size() < 3) return std::nullopt;
  QkvOutput out;
  out.k = section.output(1);
  out.v = section.output(2);
  out.kv_cols = section.tensor(out.k).cols;
  out.q_cols = cols - 2 * out.kv_cols;
  const std::int64_t kv_rows = section.tensor(out.k).rows;
  out.batch = std::max<std::int64_t>(1, op.batch);
  if (op.batch == 0) {
    for (const Op& other : section.block().ops) {
      const bool reads =
          std::find(other.inputs.begin(), other.inputs.end(), op.outputs[1]) != other.inputs.end();
      if (other.kind == OpKind::attention && reads)
        out.batch = std::max<std::int64_t>(1, other.batch);
    }
  }
  out.q_len = rows / out.batch;
  out.kv_len = kv_rows / out.batch;
  if (out.q_cols < 1 || out.q_len * out.batch != rows || out.kv_len < out.q_len) {
    throw InputError(op.name,
                     fmt::format("a {} x {} result does not fit a cache of {} x {} and its values",
                                 rows, cols, kv_rows, out.kv_cols),
                     "the columns are queries, keys and values; the cache holds the new rows");
  }
  return out;
}

/// Whose kernel serving stacks run: CUTLASS's for layers with a scale for each token, DeepGEMM's
/// for block scales and for operands that arrive quantised.
GemmLibrary gemm_library(const Op& op) {
  if (bits(operand_format(op.precision)) != 8) return GemmLibrary::tuned;
  return op.precision != Precision::fp8_block && op.quantise_input ? GemmLibrary::cutlass
                                                                   : GemmLibrary::deep_gemm;
}

void lower_matmul(SectionBuilder& section) {
  const Op& op = section.op();
  require_positive(op, {op.m, op.n, op.k});
  GemmProblem problem;
  problem.m = op.m;
  problem.n = op.n;
  problem.k = op.k;
  problem.a = section.input(0);
  problem.b = section.input(1);
  problem.c = section.output(0);
  problem.operands = operand_format(op.precision);
  problem.epilogue = op.epilogue;
  if (op.epilogue.residual) problem.residual = section.input(op.inputs.size() - 1);
  problem.promoted = promotes(op.precision);
  problem.library = gemm_library(op);
  if (op.kind == OpKind::linear) problem.qkv = qkv_output(section, op.m, op.n);
  if (op.quantise_input) {
    TensorIndex scales = 0;
    problem.a = quantise(section, "quantise", problem.a, op.m, op.k, &scales);
    if (op.precision == Precision::fp8_block) {
      problem.scales_a = scales;
      problem.scales_b = section.parameter(
          "weight_scales", Format::fp32, ceil_div(op.n, scale_block), ceil_div(op.k, scale_block));
    } else if (!problem.promoted) {
      problem.row_scales = scales;
      problem.col_scales = section.parameter("weight_scales", Format::fp32, 1, op.n);
    }
  }
  lower_gemm(section, problem);
  if (op.kind == OpKind::moe_router) {
    // Choosing the experts: a softmax over the logits, in place.
    RowwiseProblem choose;
    choose.name = "choose";
    choose.rows = op.m;
    choose.cols = op.n;
    choose.inputs.push_back({problem.c});
    choose.steps.push_back({VectorFunction::softmax});
    choose.whole_row = true;
    choose.output = section.workspace("weights", section.tensor(problem.c).format, op.m, op.n);
    lower_rowwise(section, choose);
  }
}

void lower_attention_op(SectionBuilder& section) {
  const Op& op = section.op();
  require_positive(op, {op.batch, op.q_len, op.kv_len, op.heads, op.kv_heads, op.head_dim});
  if (op.heads % op.kv_heads != 0) {
    throw InputError(op.name, fmt::format("{} heads share {} KV heads", op.heads, op.kv_heads),
                     "kv_heads divides heads");
  }
  AttentionProblem problem;
  problem.batch = op.batch;
  problem.q_len = op.q_len;
  problem.kv_len = op.kv_len;
  problem.heads = op.heads;
  problem.kv_heads = op.kv_heads;
  problem.head_dim = op.head_dim;
  problem.causal = op.causal;
  problem.window = op.window;
  problem.q = section.input(0);
  problem.k = section.input(1);
  problem.v = section.input(2);
  problem.o = section.output(0);
  problem.operands = operand_format(op.precision);
  problem.paged = op.paged_cache;
  if (op.library_call) begin_attention_call(section, problem);
  lower_attention(section, problem);
}

void lower_elementwise(SectionBuilder& section) {
  const Op& op = section.op();
  require_positive(op, {op.rows, op.cols});
  RowwiseProblem problem;
  problem.rows = op.rows;
  problem.cols = op.cols;
  problem.output = section.output(0);
  problem.inputs.push_back({section.input(0)});
  const std::int64_t input_cols = section.tensor(problem.inputs.front().tensor).cols;
  switch (op.kind) {
    case OpKind::softmax:
      problem.whole_row = true;
      problem.steps = {{VectorFunction::softmax}};
      break;
    case OpKind::layernorm:
    case OpKind::rmsnorm:
      problem.steps = {{VectorFunction::norm_statistics}, {VectorFunction::norm_apply}};
      // A norm of each head needs one head's elements, not the row's.
      problem.whole_row = op.head_dim == 0;
      if (!problem.whole_row || op.cols != section.tensor(problem.output).cols) {
        problem.column_unit = op.cols;
      }
      break;
    case OpKind::gelu:
      problem.steps = {{VectorFunction::gelu}, {VectorFunction::convert}};
      break;
    case OpKind::silu_mul:
      problem.inputs.push_back(problem.inputs.front());
      problem.inputs.back().first_col = op.cols;
      problem.steps = {{VectorFunction::silu_mul}, {VectorFunction::convert}};
      break;
    case OpKind::add:
      problem.inputs.push_back({section.input(1)});
      problem.steps = {{VectorFunction::add}};
      break;
    case OpKind::cast:
      problem.steps = {{VectorFunction::convert}};
      break;
    case OpKind::transpose:
      problem.transposed = true;
      problem.steps = {{VectorFunction::move}};
      break;
    case OpKind::embedding:
      problem.inputs.front().gather = true;
      problem.steps = {{VectorFunction::move}};
      break;
    case OpKind::quantise:
      problem.whole_row = op.precision != Precision::fp8_block;
      problem.steps = {{VectorFunction::amax}, {VectorFunction::quantise}};
      break;
    case OpKind::rotary: {
      problem.qkv = qkv_output(section, op.rows, op.cols);
      const double rotated = op.head_dim > 0 ? static_cast<double>(std::min(op.k, op.head_dim)) /
                                                   static_cast<double>(op.head_dim)
                                             : 1;
      const std::int64_t heads = std::max<std::int64_t>(1, op.heads + op.kv_heads);
      const std::int64_t to =
          problem.qkv ? problem.qkv->q_cols + problem.qkv->kv_cols : heads * op.head_dim;
      problem.column_unit =
          problem.qkv ? std::gcd(problem.qkv->q_cols, problem.qkv->kv_cols) : op.cols;
      problem.steps = {{VectorFunction::rotary, rotated, 0, to}};
      if (to < op.cols) problem.steps.push_back({VectorFunction::move, 1, to, 0});
      break;
    }
    default:
      break;
  }
  const std::int64_t read = problem.inputs.back().first_col + op.cols;
  if (input_cols < read) {
    throw InputError(op.name, fmt::format("reads {} columns of {}", read, input_cols),
                     "the input has the columns layer_graph.h lists");
  }
  lower_rowwise(section, problem);
}

void lower_collective(SectionBuilder& section) {
  const Op& op = section.op();
  require_positive(op, {op.ranks, op.bytes});
  CollectiveKind kind = CollectiveKind::allreduce;
  switch (op.kind) {
    case OpKind::allgather:
      kind = CollectiveKind::allgather;
      break;
    case OpKind::reducescatter:
      kind = CollectiveKind::reducescatter;
      break;
    case OpKind::alltoall:
      kind = CollectiveKind::alltoall;
      break;
    case OpKind::p2p:
      kind = CollectiveKind::p2p;
      break;
    default:
      break;
  }
  Kernel kernel = section.kernel("");
  RoleBuilder role("exchange", 1, 4, 32);
  role.collective(kind, op.ranks, op.bytes);
  kernel.roles.push_back(role.take());
  section.add(std::move(kernel));
}

void lower_op(SectionBuilder& section) {
  switch (section.op().kind) {
    case OpKind::gemm:
    case OpKind::linear:
    case OpKind::moe_router:
      return lower_matmul(section);
    case OpKind::attention:
      return lower_attention_op(section);
    case OpKind::moe:
      return lower_moe(section);
    case OpKind::allreduce:
    case OpKind::allgather:
    case OpKind::reducescatter:
    case OpKind::alltoall:
    case OpKind::p2p:
      return lower_collective(section);
    default:
      return lower_elementwise(section);
  }
}

}  // namespace

Trace lower(const LayerGraph& graph, const ChipConfig& chip, const LoweringOptions& options) {
  Trace trace;
  trace.tool_version = options.tool_version;
  trace.chip = chip.name;
  trace.chip_digest = options.chip_digest;
  trace.workload = graph.workload;
  for (const GraphBlock& block : graph.blocks) {
    if (block.ops.empty()) continue;
    SectionBuilder section(block, chip);
    for (std::size_t i = 0; i < block.ops.size(); ++i) {
      section.start_op(i);
      lower_op(section);
    }
    trace.sections.push_back(section.take());
    if (!options.early_launch) continue;
    bool first = true;
    for (Kernel& kernel : trace.sections.back().kernels) {
      kernel.early_launch = !first;
      first = false;
    }
  }
  return trace;
}

}  // namespace tessera
