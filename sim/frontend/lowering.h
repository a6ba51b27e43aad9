#pragma once

#include <string>

#include "sim/config/chip_config.h"
#include "sim/frontend/layer_graph.h"
#include "sim/trace/trace.h"

namespace tessera {

struct LoweringOptions {
  std::string tool_version;
  std::string chip_digest;
  /// Kernels start by programmatic dependent launch: part of the gap between them is hidden.
  bool early_launch = false;
};

/// The kernels that run `graph` on `chip`: a section for each block, an OpRecord for each
/// operation, and for each operation one kernel or a few, as docs/lowering.md describes. Tensors
/// get addresses that are multiples of 8 KiB and do not overlap.
/// Throws InputError naming the operation if the chip cannot run it.
Trace lower(const LayerGraph& graph, const ChipConfig& chip, const LoweringOptions& options = {});

}  // namespace tessera
