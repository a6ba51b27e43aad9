#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sim/config/chip_config.h"
#include "sim/frontend/lowering.h"
#include "sim/frontend/op_text.h"
#include "sim/frontend/verify_limits.h"
#include "sim/trace/text.h"
#include "sim/trace/verify.h"

namespace tessera {

/// A chip of the H100's proportions. The numbers of the product are in configs/chips.
inline ChipConfig wide_chip() {
  ChipConfig chip;
  chip.name = "wide";
  chip.clock = {2000, 1000};
  chip.core.count = 132;
  chip.core.max_cluster = 8;
  chip.core.max_blocks = 32;
  chip.core.max_warps = 64;
  chip.core.registers = 65536;
  chip.tensor_core.fp16_flops_per_cycle = 4096;
  chip.tensor_core.bf16_flops_per_cycle = 4096;
  chip.tensor_core.tf32_flops_per_cycle = 2048;
  chip.tensor_core.fp8_flops_per_cycle = 8192;
  chip.tensor_core.issue_cycles = 16;
  chip.tensor_core.latency_cycles = 32;
  chip.tensor_core.operands_from_scratchpad = 1;
  chip.vector_unit.fma_per_cycle = 128;
  chip.vector_unit.special_per_cycle = 16;
  chip.vector_unit.convert_per_cycle = 64;
  chip.scratchpad.size_kib = 228;
  chip.scratchpad.bytes_per_cycle = 128;
  chip.scratchpad.reserved_per_block_bytes = 1024;
  chip.dma.latency_cycles = 140;
  chip.dma.issue_cycles = 4;
  chip.dma.max_outstanding_kib = 128;
  chip.dma.max_box_rows = 256;
  chip.dma.multicast = 1;
  chip.noc.core_read_bytes_per_cycle = 64;
  chip.noc.core_write_bytes_per_cycle = 64;
  chip.l2.size_mib = 50;
  chip.l2.partitions = 2;
  chip.l2.line_bytes = 128;
  chip.l2.read_bytes_per_cycle = 4900;
  chip.l2.write_bytes_per_cycle = 3800;
  chip.l2.near_latency_cycles = 260;
  chip.l2.far_latency_cycles = 470;
  chip.l2.replicate_far = 1;
  chip.hbm.size_gib = 80;
  chip.hbm.bandwidth_gbps = 3350;
  chip.hbm.trcd_ns = 15;
  chip.hbm.tcl_ns = 15;
  chip.hbm.controller_latency_cycles = 200;
  chip.launch.gap_us = 1.3;
  chip.launch.setup_cycles = 300;
  return chip;
}

/// One whose tensor core reads registers, without multicast and fp8: an A100's proportions.
inline ChipConfig plain_chip() {
  ChipConfig chip = wide_chip();
  chip.name = "plain";
  chip.clock = {1400, 1000};
  chip.core.count = 108;
  chip.core.max_cluster = 1;
  chip.tensor_core.fp16_flops_per_cycle = 2048;
  chip.tensor_core.bf16_flops_per_cycle = 2048;
  chip.tensor_core.tf32_flops_per_cycle = 1024;
  chip.tensor_core.fp8_flops_per_cycle = 0;
  chip.tensor_core.operands_from_scratchpad = 0;
  chip.scratchpad.size_kib = 164;
  chip.dma.multicast = 0;
  chip.l2.size_mib = 40;
  chip.hbm.bandwidth_gbps = 2039;
  return chip;
}

inline Trace lower_op_text(std::string_view op, const ChipConfig& chip) {
  return lower(op_graph(op), chip);
}

/// What the verifier finds, one per line; empty if the trace is sound.
inline std::string findings(const Trace& trace, const ChipConfig& chip) {
  std::string text;
  for (const Finding& finding : verify(trace, limits_of(chip))) text += to_text(finding) + "\n";
  return text;
}

template <class Kind>
std::vector<Kind> instructions(const Kernel& kernel) {
  std::vector<Kind> found;
  for (const Role& role : kernel.roles) {
    for (const Instruction& instruction : role.code) {
      if (const Kind* kind = std::get_if<Kind>(&instruction)) found.push_back(*kind);
    }
  }
  return found;
}

inline std::vector<std::string> kernel_names(const Section& section) {
  std::vector<std::string> names;
  for (const Kernel& kernel : section.kernels) names.push_back(kernel.name);
  return names;
}

}  // namespace tessera
