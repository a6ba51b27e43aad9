#include "sim/frontend/verify_limits.h"

namespace tessera {

VerifyLimits limits_of(const ChipConfig& chip) {
  VerifyLimits limits;
  limits.scratchpad_bytes = std::int64_t{chip.scratchpad.size_kib} * 1024;
  limits.scratchpad_reserved_bytes = chip.scratchpad.reserved_per_block_bytes;
  limits.registers = chip.core.registers;
  limits.warps = chip.core.max_warps;
  limits.blocks = chip.core.max_blocks;
  limits.cores = chip.core.count;
  limits.max_cluster = chip.core.max_cluster;
  limits.max_box_rows = chip.dma.max_box_rows;
  limits.multicast = chip.dma.multicast != 0;
  for (const Format format : all_formats())
    if (chip.tensor_core.flops_per_cycle(format) > 0) limits.tensor_core_formats.push_back(format);
  return limits;
}

}  // namespace tessera
