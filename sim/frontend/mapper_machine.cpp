#include "sim/frontend/mapper_machine.h"

#include <algorithm>

namespace tessera {
namespace {

/// Share of the peak that reads of matrices in boxes of one line's width reach: refresh and
/// switches between rows take the rest.
double box_share(const HbmConfig& hbm, int line_bytes) {
  const double channels = std::max(
      1.0, static_cast<double>(hbm.stacks) * static_cast<double>(hbm.pseudo_channels_per_stack));
  const double line_ns = line_bytes * channels / std::max(1.0, hbm.bandwidth_gbps);
  return (1 - hbm.trfc_ns / std::max(1.0, hbm.trefi_ns)) / (1 + hbm.row_switch_ns / line_ns);
}

/// Of a DRAM access, row activation and column read, in nanoseconds, with a short queue.
constexpr double dram_queue_ns = 30;

double at_least_one(double value) { return std::max(value, 1.0); }

}  // namespace

MachineRates::MachineRates(const ChipConfig& chip) {
  const double mhz = at_least_one(chip.clock.core_mhz);
  cores = at_least_one(chip.core.count);
  const double far =
      chip.l2.partitions > 1 ? chip.l2.far_latency_cycles : chip.l2.near_latency_cycles;
  l2_latency = chip.dma.latency_cycles + (chip.l2.near_latency_cycles + far) / 2;
  hbm_latency = chip.dma.latency_cycles + chip.l2.near_latency_cycles +
                chip.hbm.controller_latency_cycles +
                (chip.hbm.trcd_ns + chip.hbm.tcl_ns + dram_queue_ns) * mhz / 1000;
  hbm_bytes =
      at_least_one(chip.hbm.bandwidth_gbps * 1000 / mhz * box_share(chip.hbm, chip.l2.line_bytes));
  l2_read_bytes = at_least_one(chip.l2.read_bytes_per_cycle);
  l2_write_bytes = at_least_one(chip.l2.write_bytes_per_cycle);
  port_read_bytes = at_least_one(chip.noc.core_read_bytes_per_cycle);
  port_write_bytes = at_least_one(chip.noc.core_write_bytes_per_cycle);
  in_flight_bytes = at_least_one(chip.dma.max_outstanding_kib * 1024.0);
  l2_capacity = chip.l2.size_mib * 1048576.0 / (chip.l2.replicate_far ? 2 : 1);
  launch_gap = chip.launch.gap_us * mhz + chip.launch.setup_cycles + chip.launch.block_cycles;
}

double vector_cycles(VectorFunction function, const VectorUnitConfig& unit) {
  const VectorCost& cost = vector_cost(function);
  const double lanes = cost.fma / at_least_one(unit.fma_per_cycle) +
                       cost.convert / at_least_one(unit.convert_per_cycle);
  return std::max(lanes, cost.special / at_least_one(unit.special_per_cycle));
}

}  // namespace tessera
