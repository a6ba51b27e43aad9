#pragma once

#include <cstdint>
#include <string>

#include "sim/base/units.h"
#include "sim/datapath/format.h"

namespace tessera {

// What a chip is: plain values, read from configs/chips/*.yaml by the loader (loader.h) through
// the schema (schema.h), which holds each key's unit, range, meaning and source. YAML keys are the
// member names, nested as here: `l2.size_mib`, `tensor_core.bf16_flops_per_cycle`.

/// Clock domains.
struct ClockConfig {
  double core_mhz = 0;  ///< boost clock of cores, NoC and L2; the governor may lower it
  double min_mhz = 0;   ///< lowest clock the governor may choose
};

/// The cores (SMs) and what a block may use of one.
struct CoreConfig {
  int count = 0;
  int max_cluster = 1;         ///< largest number of blocks of a cluster
  int max_blocks = 0;          ///< resident blocks per core
  int max_warps = 0;           ///< resident warps per core
  std::int64_t registers = 0;  ///< 32-bit registers per core
};

/// Dense matrix unit of one core. Rate 0 = the format is not supported.
struct TensorCoreConfig {
  int fp16_flops_per_cycle = 0;
  int bf16_flops_per_cycle = 0;
  int tf32_flops_per_cycle = 0;
  int fp8_flops_per_cycle = 0;  ///< e4m3 and e5m2
  int issue_cycles =
      0;  ///< occupancy of one multiply beyond its arithmetic: fence, descriptors, fill
  int latency_cycles = 0;  ///< last operand to usable result of one instruction
  int operands_from_scratchpad =
      0;  ///< 1: B (and A) stream from the scratchpad (wgmma, tcgen05); 0: registers
  std::string arithmetic = "h100";  ///< GPU generation whose units compute (sim/datapath/unit.h)

  /// FLOP per cycle for operands of `format`; 0 if unsupported.
  int flops_per_cycle(Format format) const;
};

/// What the tensor core computes for one group of formats, to the bit: a built-in unit and what
/// differs from it. sim/config/chip_unit.h makes the Unit. Members as in sim/datapath/unit.h.
struct UnitConfig {
  /// No bound: below the exponent of any product.
  static constexpr int no_floor = -300;

  std::string like;              ///< built-in unit, "" = the arithmetic's own
  int products = 0;              ///< 0 = as in `like`
  int fraction_bits = 0;         ///< 0 = as in `like`
  int output_fraction_bits = 0;  ///< 0 = as in `like`
  std::string output_rounding;   ///< toward_zero or nearest_even, "" = as in `like`
  int fp16_accumulator = -1;     ///< 0 or 1, -1 = as in `like`
  int floor_fp32 = 1;            ///< exponent, no_floor = none, 1 = as in `like`
  int floor_fp16 = 1;            ///< the same for FP16 results
};

/// FP32 lanes and special-function units of one core.
struct VectorUnitConfig {
  int fma_per_cycle = 0;         ///< FP32 multiply-adds (or adds, maxima) a cycle
  int special_per_cycle = 0;     ///< exp2, reciprocal, rsqrt, tanh a cycle
  int convert_per_cycle = 0;     ///< format conversions a cycle
  int latency_cycles = 0;        ///< dependent-operation latency
  int tensor_stall_percent = 0;  ///< of softmax's time in which the tensor core stands still
};

/// Software-managed memory of one core (shared memory).
struct ScratchpadConfig {
  int size_kib = 0;  ///< usable by blocks of one core
  int bytes_per_cycle = 0;
  int latency_cycles = 0;
  int reserved_per_block_bytes = 0;
};

/// Copy engine of one core (TMA).
struct DmaConfig {
  int latency_cycles = 0;       ///< added to a plain load's latency
  int issue_cycles = 0;         ///< interval between two requests
  int prologue_cycles = 0;      ///< start of a block to its first request
  int max_outstanding_kib = 0;  ///< bytes in flight per core; beyond it requests wait
  int max_box_rows = 256;       ///< largest box dimension in elements
  int multicast = 0;            ///< 1: one L2 read may feed all blocks of a cluster
};

/// Arrival/wait objects in the scratchpad (mbarrier).
struct BarrierConfig {
  int latency_cycles = 0;         ///< last arrival to waiter running, same core
  int remote_latency_cycles = 0;  ///< the same across cores of a cluster
};

/// Network between cores and L2.
struct NocConfig {
  int core_read_bytes_per_cycle = 0;   ///< port of one core, L2 to core
  int core_write_bytes_per_cycle = 0;  ///< port of one core, core to L2
};

/// Second-level cache, split in partitions each near one half of the cores.
struct L2Config {
  int size_mib = 0;
  int partitions = 1;
  int line_bytes = 128;
  int read_bytes_per_cycle = 0;  ///< all partitions together
  int write_bytes_per_cycle = 0;
  int link_bytes_per_cycle = 0;  ///< between partitions, each direction
  int near_latency_cycles = 0;   ///< load to use, hit in the core's own partition
  int far_latency_cycles = 0;    ///< load to use, hit in another partition
  int replicate_far = 0;  ///< 1: data homed far is also kept near (halves capacity for shared data)
  int max_dirty_percent = 100;  ///< of the lines; beyond it the oldest dirty ones go to memory
};

/// DRAM stacks. Timings in nanoseconds; a command on a pseudo-channel sees its bank's state.
struct HbmConfig {
  int size_gib = 0;
  double bandwidth_gbps = 0;  ///< peak of all stacks, GB/s (10^9)
  int stacks = 0;
  int pseudo_channels_per_stack = 0;
  int banks = 0;  ///< per pseudo-channel
  int bank_groups = 0;
  int row_bytes = 0;  ///< page of one bank of one pseudo-channel
  int burst_bytes = 0;
  int interleave_bytes = 0;  ///< consecutive bytes on one pseudo-channel
  double trcd_ns = 0, trp_ns = 0, tras_ns = 0, tcl_ns = 0, tcwl_ns = 0;
  double trrd_ns = 0;        ///< activate to activate, different banks
  double tccd_l_bursts = 0;  ///< column to column, same bank group, in burst times
  double twr_ns = 0, twtr_ns = 0, trtw_ns = 0, trtp_ns = 0;
  double row_switch_ns = 0;  ///< bus time lost where data of another row follows
  double trefi_ns = 0, trfc_ns = 0;
  int controller_latency_cycles = 0;  ///< L2 miss to memory controller and back, without the device
};

/// Host and command processor.
struct LaunchConfig {
  double gap_us = 0;      ///< end of a kernel to the start of the next in a graph
  double overlap_us = 0;  ///< part of the gap hidden by programmatic dependent launch
  int block_cycles = 0;   ///< between two block starts on one core
  int setup_cycles = 0;   ///< block start to its first instruction
};

/// Links to other chips.
struct LinkConfig {
  double bandwidth_gbps = 0;  ///< each direction
  double latency_us = 0;      ///< a word written here, seen there
};

/// The collective library: its protocols, the kernels it runs them with, and sums in the switch. A
/// chip without this section exchanges in a plain ring at the link's full rate.
struct CollectiveConfig {
  double start_us = 0;              ///< meeting the other ranks, beyond launching a kernel
  double flagged_word_share = 1;    ///< of the link's bandwidth: a flag beside each word (LL)
  double flagged_line_step_us = 0;  ///< a step beyond link.latency_us: a flag in each line (LL128)
  double flagged_line_share = 1;    ///< of the link's bandwidth
  double buffered_start_us = 0;     ///< handing out buffers, once (Simple)
  double buffered_share = 1;        ///< of the link's bandwidth
  double copy_gbps = 0;             ///< taking the own part in or out of a buffer; 0 = free
  double peer_us = 0;               ///< for each peer that a rank sends to directly
  double direct_start_us = 0;       ///< handing out buffers of all peers, once
  double direct_share = 1;          ///< of the link's bandwidth, all peers at once
  double flagged_word_max_kib = 0;  ///< largest part that goes to a peer with flagged words
  int in_switch = 0;                ///< 1: the switch adds and replicates (NVLink SHARP)
  double in_switch_start_us = 0;
  double in_switch_share = 1;      ///< of the link's bandwidth
  double in_switch_chunk_kib = 0;  ///< what is under way between two stages, all channels together
};

/// Energy and power cap; the governor lowers the clock until the cap holds.
struct PowerConfig {
  double cap_w = 0;      ///< over the controller's window
  double peak_w = 0;     ///< for less than the window; 0 = as cap_w
  double window_ms = 0;  ///< time constant of the power controller's filter
  double idle_w = 0;
  double fp16_pj_per_flop = 0;  ///< fp16 and bf16
  double tf32_pj_per_flop = 0;
  double fp8_pj_per_flop = 0;
  double vector_pj_per_flop = 0;
  double scratchpad_pj_per_byte = 0;
  double l2_pj_per_byte = 0;
  double hbm_pj_per_byte = 0;
  double link_pj_per_byte = 0;  ///< sent to another chip, and as much received
  double voltage_exponent = 0;  ///< dynamic energy per operation grows as (clock/boost)^exponent
  double zero_operand_activity = 1;  ///< energy with operands of zeros, relative to random ones
};

struct ChipConfig {
  std::string name;
  std::string description;
  ClockConfig clock;
  CoreConfig core;
  TensorCoreConfig tensor_core;
  UnitConfig fp16_unit, bf16_unit, tf32_unit;
  UnitConfig fp8_unit;  ///< e4m3 and e5m2
  VectorUnitConfig vector_unit;
  ScratchpadConfig scratchpad;
  DmaConfig dma;
  BarrierConfig barrier;
  NocConfig noc;
  L2Config l2;
  HbmConfig hbm;
  LaunchConfig launch;
  LinkConfig link;
  CollectiveConfig collective;
  PowerConfig power;
};

}  // namespace tessera
