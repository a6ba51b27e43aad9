#include "sim/frontend/lowering_section.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/error.h"

namespace tessera {
namespace {

constexpr std::size_t max_tensors = 65536;
constexpr std::int64_t alignment = 8192;
constexpr std::int64_t max_address = std::int64_t{1} << 56;

TensorIndex operand(const std::vector<TensorId>& ids, std::size_t index, const Op& op,
                    const char* what) {
  if (index >= ids.size() || ids[index] < 0) {
    throw InputError(op.name, fmt::format("operation {} has no {} {}", name(op.kind), what, index),
                     "give the tensors listed for its kind in layer_graph.h");
  }
  return static_cast<TensorIndex>(ids[index]);
}

/// Bytes of inputs that were written before and yet must come from memory, because all of them
/// together exceed the L2. Only where the operation reads its first input once and whole.
Bytes beyond_l2(const GraphBlock& block, const Op& op, const ChipConfig& chip) {
  switch (op.kind) {
    case OpKind::gemm:
    case OpKind::linear:
    case OpKind::softmax:
    case OpKind::layernorm:
    case OpKind::rmsnorm:
    case OpKind::gelu:
    case OpKind::silu_mul:
    case OpKind::add:
    case OpKind::cast:
    case OpKind::quantise:
    case OpKind::transpose:
      break;
    default:
      return Bytes(0);
  }
  const std::int64_t width = op.k > 0 ? op.k : op.kind == OpKind::silu_mul ? 2 * op.cols : op.cols;
  std::int64_t hot = 0;
  std::vector<TensorId> seen;
  for (const TensorId id : op.inputs) {
    if (id < 0 || std::count(seen.begin(), seen.end(), id) > 0) continue;
    seen.push_back(id);
    const Tensor& tensor = block.tensors[static_cast<std::size_t>(id)];
    const bool whole = tensor.cols == width || tensor.cols == op.n;
    if (tensor.kind == TensorKind::activation && whole) hot += tensor.size().value;
  }
  // Inputs that compulsory_read counts already (cold activations) are not counted twice.
  std::int64_t cold = 0;
  for (const TensorId id : seen) {
    const Tensor& tensor = block.tensors[static_cast<std::size_t>(id)];
    if (tensor.kind != TensorKind::activation) cold += tensor.size().value;
  }
  const std::int64_t counted = std::max<std::int64_t>(0, compulsory_read(block, op).value - cold);
  const std::int64_t l2 = chip.l2.size_mib * (std::int64_t{1} << 20);
  return Bytes(std::max<std::int64_t>(0, hot - counted - l2));
}

}  // namespace

SectionBuilder::SectionBuilder(const GraphBlock& block, const ChipConfig& chip)
    : block_(block), chip_(chip) {
  if (block.tensors.size() >= max_tensors) {
    throw InputError(block.name, fmt::format("{} tensors", block.tensors.size()),
                     "a section has fewer than 65536");
  }
  section_.name = block.name;
  section_.repeat = block.repeat;
  section_.tensors = block.tensors;
  for (const Tensor& tensor : block.tensors) {
    if (tensor.rows < 1 || tensor.cols < 1 || tensor.rows > max_tensor_elements / tensor.cols) {
      throw InputError(tensor.name, fmt::format("{} x {} elements", tensor.rows, tensor.cols),
                       "rows and columns are positive, at most 2^48 elements");
    }
  }
  const auto tensors = static_cast<TensorId>(block.tensors.size());
  for (const Op& op : block.ops) {
    for (const auto* ids : {&op.inputs, &op.outputs}) {
      for (const TensorId id : *ids) {
        if (id >= tensors) {
          throw InputError(op.name, fmt::format("tensor {} does not exist", id),
                           fmt::format("the block has {}", tensors));
        }
      }
    }
    OpRecord record;
    record.name = op.name;
    record.kind = std::string(name(op.kind));
    record.precision = std::string(name(op.precision));
    record.format = operand_format(op.precision);
    record.tensor_flops = op.tensor_flops();
    record.vector_flops = op.vector_flops();
    record.compulsory_read = compulsory_read(block, op) + beyond_l2(block, op, chip);
    record.compulsory_write = compulsory_write(block, op);
    section_.ops.push_back(std::move(record));
  }
}

TensorIndex SectionBuilder::input(std::size_t index) const {
  return operand(op().inputs, index, op(), "input");
}

TensorIndex SectionBuilder::output(std::size_t index) const {
  return operand(op().outputs, index, op(), "output");
}

TensorIndex SectionBuilder::workspace(const std::string& suffix, Format format, std::int64_t rows,
                                      std::int64_t cols) {
  return add_tensor(suffix, format, rows, cols, TensorKind::workspace);
}

TensorIndex SectionBuilder::parameter(const std::string& suffix, Format format, std::int64_t rows,
                                      std::int64_t cols) {
  return add_tensor(suffix, format, rows, cols, TensorKind::weight);
}

TensorIndex SectionBuilder::add_tensor(const std::string& suffix, Format format, std::int64_t rows,
                                       std::int64_t cols, TensorKind kind) {
  if (section_.tensors.size() >= max_tensors) {
    throw InputError(block_.name, "too many tensors", "a section has fewer than 65536");
  }
  checked_product(op().name + "." + suffix, {rows, cols}, max_tensor_elements);
  Tensor tensor;
  tensor.name = op().name + "." + suffix;
  tensor.format = format;
  tensor.rows = rows;
  tensor.cols = cols;
  tensor.kind = kind;
  section_.tensors.push_back(std::move(tensor));
  return static_cast<TensorIndex>(section_.tensors.size() - 1);
}

Kernel SectionBuilder::kernel(const std::string& suffix) const {
  Kernel kernel;
  kernel.name = suffix.empty() ? op().name : op().name + "." + suffix;
  kernel.op = op_;
  return kernel;
}

Section SectionBuilder::take() {
  std::int64_t address = 0;
  for (Tensor& tensor : section_.tensors) {
    tensor.address = address;
    address = round_up(address + tensor.size().value, alignment);
    if (address > max_address) {
      throw InputError(section_.name, "its tensors take more than 2^56 bytes",
                       "make the sizes smaller");
    }
  }
  return std::move(section_);
}

std::int64_t resident_blocks(const Kernel& kernel, const ChipConfig& chip) {
  std::int64_t warps = 0;
  std::int64_t registers = 0;
  for (const Role& role : kernel.roles) {
    warps += role.copies * role.warps;
    registers += role.copies * role.warps * 32 * role.registers;
  }
  const std::int64_t scratchpad =
      kernel.scratchpad_bytes + chip.scratchpad.reserved_per_block_bytes;
  std::int64_t blocks = chip.core.max_blocks;
  if (scratchpad > 0) {
    blocks = std::min(blocks, std::int64_t{chip.scratchpad.size_kib} * 1024 / scratchpad);
  }
  if (registers > 0) blocks = std::min(blocks, chip.core.registers / registers);
  if (warps > 0) blocks = std::min(blocks, chip.core.max_warps / warps);
  return blocks;
}

}  // namespace tessera
