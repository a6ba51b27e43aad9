#include "sim/frontend/roofline.h"

#include <algorithm>

namespace tessera {

RooflinePoint roofline(const OpRecord& op, const ChipConfig& chip, double clock_mhz,
                       double sent_bytes) {
  const auto cores = static_cast<double>(chip.core.count);
  const double rate = chip.tensor_core.flops_per_cycle(op.format);
  double cycles = 0;
  if (rate > 0) cycles = static_cast<double>(op.tensor_flops.value) / (cores * rate);
  if (chip.vector_unit.fma_per_cycle > 0) {
    cycles = std::max(cycles, static_cast<double>(op.vector_flops.value) /
                                  (2.0 * cores * chip.vector_unit.fma_per_cycle));
  }
  const std::int64_t kept = std::int64_t{chip.l2.size_mib} << 20;
  const std::int64_t written = std::max<std::int64_t>(0, op.compulsory_write.value - kept);
  const auto traffic = static_cast<double>(op.compulsory_read.value + written);

  RooflinePoint point;
  if (clock_mhz > 0) point.compute_us = cycles / clock_mhz;
  if (chip.hbm.bandwidth_gbps > 0) point.memory_us = traffic / (chip.hbm.bandwidth_gbps * 1e3);
  if (chip.link.bandwidth_gbps > 0) point.link_us = sent_bytes / (chip.link.bandwidth_gbps * 1e3);
  return point;
}

}  // namespace tessera
