#pragma once

#include <cstdint>
#include <string>

#include "sim/config/chip_config.h"
#include "sim/frontend/layer_graph.h"
#include "sim/trace/trace.h"

namespace tessera {

/// Index of a tensor of a section, as instructions hold it.
using TensorIndex = std::uint16_t;

/// A section while its operations are lowered: the block's tensors and operation records are there,
/// kernels and workspaces are added.
class SectionBuilder {
 public:
  /// Throws InputError if the block has more tensors than a trace can name.
  SectionBuilder(const GraphBlock& block, const ChipConfig& chip);

  const GraphBlock& block() const { return block_; }
  const ChipConfig& chip() const { return chip_; }
  const Tensor& tensor(TensorIndex index) const { return section_.tensors[index]; }

  /// The operation the kernels that follow work for.
  void start_op(std::size_t index) { op_ = static_cast<std::int64_t>(index); }
  const Op& op() const { return block_.ops[static_cast<std::size_t>(op_)]; }
  /// The operation's input or output as a tensor of the section; throws InputError if it has none.
  TensorIndex input(std::size_t index) const;
  TensorIndex output(std::size_t index) const;

  /// A scratch tensor in memory, named after the operation.
  TensorIndex workspace(const std::string& suffix, Format format, std::int64_t rows,
                        std::int64_t cols);
  /// A weight that is no input of the operation, such as the scales that belong to one.
  TensorIndex parameter(const std::string& suffix, Format format, std::int64_t rows,
                        std::int64_t cols);
  /// A kernel of the current operation, to be filled and passed to add().
  Kernel kernel(const std::string& suffix) const;
  void add(Kernel kernel) { section_.kernels.push_back(std::move(kernel)); }

  /// Assigns addresses and hands the section over.
  Section take();

 private:
  TensorIndex add_tensor(const std::string& suffix, Format format, std::int64_t rows,
                         std::int64_t cols, TensorKind kind);

  const GraphBlock& block_;
  const ChipConfig& chip_;
  Section section_;
  std::int64_t op_ = 0;
};

/// Blocks of `kernel` that one core of `chip` holds at a time; 0 if not even one fits.
std::int64_t resident_blocks(const Kernel& kernel, const ChipConfig& chip);

}  // namespace tessera
