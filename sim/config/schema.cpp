#include "sim/config/schema.h"

#include <fmt/format.h>

#include <algorithm>

namespace tessera {
namespace {

using C = ChipConfig;

KeyInfo integer(const char* name, const char* unit, double min, double max, KeyBinding member,
                const char* meaning, const char* source) {
  return {name, KeyType::integer, true, unit, min, max, meaning, source, member};
}

KeyInfo real(const char* name, const char* unit, double min, double max, KeyBinding member,
             const char* meaning, const char* source) {
  return {name, KeyType::real, true, unit, min, max, meaning, source, member};
}

KeyInfo flag(const char* name, KeyBinding member, const char* meaning, const char* source) {
  return {name, KeyType::boolean, false, "", 0, 1, meaning, source, member};
}

KeyInfo text(const char* name, KeyBinding member, const char* meaning) {
  return {name, KeyType::text, false, "", 0, 0, meaning, "", member};
}

KeyInfo optional(KeyInfo key) {
  key.required = false;
  return key;
}

/// A key that calibration may change.
KeyInfo plausible(double min, double max, KeyInfo key) {
  key.plausible_min = min;
  key.plausible_max = max;
  return key;
}

// Upper limits are far above any chip and low enough that the products the simulator forms
// (bytes, FLOPs, picoseconds) stay below 2^62.
constexpr double kMaxCycles = 1e6;
constexpr double kMaxRate = 1 << 20;  // bytes or operations a cycle
constexpr double kMaxNs = 1e6;

const char* const kDatasheet = "vendor datasheet or architecture whitepaper";
const char* const kQuery = "device query of the vendor's runtime";
const char* const kPointerChase = "pointer-chase microbenchmark";
const char* const kBandwidthTest = "bandwidth microbenchmark";
const char* const kDramSpec = "JEDEC standard or DRAM datasheet";
const char* const kEnergy = "power measured while one unit is busy, or published energy per access";
const char* const kTrace = "timeline of a profiler, or differences of measured kernel times";

template <UnitConfig ChipConfig::*unit, auto member>
auto* unit_member(C& c) {
  return &(c.*unit.*member);
}

/// The keys of one UnitConfig.
template <UnitConfig ChipConfig::*unit>
std::vector<KeyInfo> unit_keys(const std::string& section, const std::string& formats) {
  const char* const source = "published model of the unit, or rows measured on it";
  const auto limited = [&](const char* name, const char* in, double min, double max,
                           KeyBinding member, const char* meaning) {
    return integer(name, in, min, max, member, meaning, source);
  };
  std::vector<KeyInfo> keys = {
      text("like", unit_member<unit, &UnitConfig::like>, ""),
      limited("products", "products", 0, 1024, unit_member<unit, &UnitConfig::products>,
              "Products fused with the accumulator in one rounding; 0 = as in `like`."),
      limited("fraction_bits", "bits", 0, 40, unit_member<unit, &UnitConfig::fraction_bits>,
              "Fraction bits kept when the terms are aligned to the largest exponent; 0 = as in "
              "`like`."),
      limited("output_fraction_bits", "bits", 0, 23,
              unit_member<unit, &UnitConfig::output_fraction_bits>,
              "Fraction bits of the FP32 accumulator; 0 = as in `like`."),
      text("output_rounding", unit_member<unit, &UnitConfig::output_rounding>,
           "Rounding of the sum to the FP32 accumulator, toward_zero or nearest_even; by default "
           "as in `like`."),
      limited("fp16_accumulator", "", -1, 1, unit_member<unit, &UnitConfig::fp16_accumulator>,
              "1: the unit can also accumulate in FP16; -1 = as in `like`."),
      limited("floor_fp32", "exponent", UnitConfig::no_floor, 1,
              unit_member<unit, &UnitConfig::floor_fp32>,
              "Least exponent that terms are aligned to in FP32 sums; -300 = none, 1 = as in "
              "`like`."),
      limited("floor_fp16", "exponent", UnitConfig::no_floor, 1,
              unit_member<unit, &UnitConfig::floor_fp16>, "The same in FP16 sums."),
  };
  keys[0].meaning = "Built-in unit (`tessera list units`) that multiplies " + formats +
                    ", with the changes below; by default that of tensor_core.arithmetic.";
  for (KeyInfo& key : keys) {
    key.name = section + "." + key.name;
    key.required = false;
  }
  return keys;
}

void append(std::vector<KeyInfo>& keys, const std::vector<KeyInfo>& more) {
  keys.insert(keys.end(), more.begin(), more.end());
}

std::vector<KeyInfo> core_keys() {
  return {
      text(
          "name", [](C& c) { return &c.name; },
          "Name shown in reports and recorded in traces; the file's name if not given."),
      text(
          "description", [](C& c) { return &c.description; }, "One line for `tessera list chips`."),

      real(
          "clock.core_mhz", "MHz", 1, 100000, [](C& c) { return &c.clock.core_mhz; },
          "Boost clock of cores, network and L2: the clock of every count of cycles.", kQuery),
      real(
          "clock.min_mhz", "MHz", 1, 100000, [](C& c) { return &c.clock.min_mhz; },
          "Lowest clock the power governor may choose; at most clock.core_mhz.",
          "lowest clock seen under the power cap"),

      integer(
          "core.count", "", 1, 65536, [](C& c) { return &c.core.count; },
          "Cores (streaming multiprocessors) enabled.", kDatasheet),
      optional(integer(
          "core.max_cluster", "blocks", 1, 64, [](C& c) { return &c.core.max_cluster; },
          "Largest cluster of blocks that run at the same time on neighbouring cores; "
          "1 = no clusters.",
          kDatasheet)),
      integer(
          "core.max_blocks", "blocks", 1, 1024, [](C& c) { return &c.core.max_blocks; },
          "Most blocks resident on one core; at most core.max_warps.", kQuery),
      integer(
          "core.max_warps", "warps", 1, 1024, [](C& c) { return &c.core.max_warps; },
          "Most warps of 32 threads resident on one core.", kQuery),
      integer(
          "core.registers", "registers", 1024, 1 << 24, [](C& c) { return &c.core.registers; },
          "32-bit registers of one core.", kQuery),

      optional(integer(
          "tensor_core.fp16_flops_per_cycle", "FLOP/cycle", 0, kMaxRate,
          [](C& c) { return &c.tensor_core.fp16_flops_per_cycle; },
          "Dense FP16 rate of one core, a multiply-add counting two; 0 = not "
          "supported.",
          kDatasheet)),
      optional(integer(
          "tensor_core.bf16_flops_per_cycle", "FLOP/cycle", 0, kMaxRate,
          [](C& c) { return &c.tensor_core.bf16_flops_per_cycle; },
          "Dense BF16 rate of one core; 0 = not supported.", kDatasheet)),
      optional(integer(
          "tensor_core.tf32_flops_per_cycle", "FLOP/cycle", 0, kMaxRate,
          [](C& c) { return &c.tensor_core.tf32_flops_per_cycle; },
          "Dense TF32 rate of one core; 0 = not supported.", kDatasheet)),
      optional(integer(
          "tensor_core.fp8_flops_per_cycle", "FLOP/cycle", 0, kMaxRate,
          [](C& c) { return &c.tensor_core.fp8_flops_per_cycle; },
          "Dense rate of one core for e4m3 and e5m2; 0 = not supported.", kDatasheet)),
      plausible(
          8, 96,
          integer(
              "tensor_core.issue_cycles", "cycles", 0, kMaxCycles,
              [](C& c) { return &c.tensor_core.issue_cycles; },
              "Occupancy of one multiply of a trace beyond its arithmetic: fence, descriptors, "
              "pipeline "
              "fill.",
              "derived from profiled cycles of large vendor-library GEMMs")),
      plausible(16, 128,
                integer(
                    "tensor_core.latency_cycles", "cycles", 0, kMaxCycles,
                    [](C& c) { return &c.tensor_core.latency_cycles; },
                    "Last operand to usable result of one matrix instruction.",
                    "microbenchmark of dependent matrix instructions")),
      flag(
          "tensor_core.operands_from_scratchpad",
          [](C& c) { return &c.tensor_core.operands_from_scratchpad; },
          "1: matrix operands stream from the scratchpad (wgmma, tcgen05); 0: they come from "
          "registers (mma.sync).",
          "vendor instruction set manual"),
      text(
          "tensor_core.arithmetic", [](C& c) { return &c.tensor_core.arithmetic; },
          "GPU generation whose units (`tessera list units`) do the arithmetic, to the bit; no "
          "influence on time. The sections fp16_unit to fp8_unit change it."),
  };
}

std::vector<KeyInfo> memory_keys() {
  return {
      integer(
          "vector_unit.fma_per_cycle", "lanes", 1, kMaxRate,
          [](C& c) { return &c.vector_unit.fma_per_cycle; },
          "FP32 multiply-adds (or additions, or maxima) a cycle in one core.", kDatasheet),
      integer(
          "vector_unit.special_per_cycle", "lanes", 1, kMaxRate,
          [](C& c) { return &c.vector_unit.special_per_cycle; },
          "Special functions (exp2, reciprocal, rsqrt, tanh) a cycle in one core.",
          "vendor programming guide, throughput of arithmetic instructions"),
      integer(
          "vector_unit.convert_per_cycle", "lanes", 1, kMaxRate,
          [](C& c) { return &c.vector_unit.convert_per_cycle; },
          "Number-format conversions a cycle in one core.",
          "vendor programming guide, throughput of arithmetic instructions"),
      plausible(2, 32,
                integer(
                    "vector_unit.latency_cycles", "cycles", 0, kMaxCycles,
                    [](C& c) { return &c.vector_unit.latency_cycles; },
                    "Issue of an FP32 operation to that of one that needs its result.",
                    "microbenchmark of dependent instructions")),
      plausible(
          50, 100,
          optional(integer(
              "vector_unit.tensor_stall_percent", "%", 0, 100,
              [](C& c) { return &c.vector_unit.tensor_stall_percent; },
              "Share of the time of softmax and rescaling in which multiplies of the core stand "
              "still.",
              "throughput of fused attention over head dimensions"))),

      integer(
          "scratchpad.size_kib", "KiB", 1, 1 << 20, [](C& c) { return &c.scratchpad.size_kib; },
          "Scratchpad (shared memory) that the blocks of one core may use together.", kQuery),
      integer(
          "scratchpad.bytes_per_cycle", "B/cycle", 1, kMaxRate,
          [](C& c) { return &c.scratchpad.bytes_per_cycle; },
          "Bytes one core's scratchpad reads or writes a cycle.", kBandwidthTest),
      integer(
          "scratchpad.latency_cycles", "cycles", 0, kMaxCycles,
          [](C& c) { return &c.scratchpad.latency_cycles; }, "Load to use of scratchpad data.",
          kPointerChase),
      optional(integer(
          "scratchpad.reserved_per_block_bytes", "B", 0, 1 << 20,
          [](C& c) { return &c.scratchpad.reserved_per_block_bytes; },
          "Part of the scratchpad each resident block loses to the system.", kQuery)),

      plausible(
          0, 400,
          integer(
              "dma.latency_cycles", "cycles", 0, kMaxCycles,
              [](C& c) { return &c.dma.latency_cycles; },
              "What a copy-engine (TMA) load takes longer than a plain load of the same data.",
              "microbenchmark of copy-engine against plain loads")),
      plausible(
          1, 32,
          integer(
              "dma.issue_cycles", "cycles", 0, kMaxCycles, [](C& c) { return &c.dma.issue_cycles; },
              "Interval between two requests that one core's copy engine accepts.",
              kBandwidthTest)),
      plausible(
          0, 1500,
          optional(integer(
              "dma.prologue_cycles", "cycles", 0, kMaxCycles,
              [](C& c) { return &c.dma.prologue_cycles; },
              "Start of a persistent kernel's block to its first request: descriptors and "
              "instructions fetched, barriers initialised.",
              "shortest GEMM in a CUDA graph, less the gap and one pass through the memory"))),
      plausible(16, 256,
                integer(
                    "dma.max_outstanding_kib", "KiB", 1, 1 << 20,
                    [](C& c) { return &c.dma.max_outstanding_kib; },
                    "Bytes one core's copy engine has in flight before further requests wait.",
                    kBandwidthTest)),
      optional(integer(
          "dma.max_box_rows", "elements", 1, 1 << 20, [](C& c) { return &c.dma.max_box_rows; },
          "Largest box dimension of one request.", "vendor instruction set manual")),
      flag(
          "dma.multicast", [](C& c) { return &c.dma.multicast; },
          "1: one L2 read may feed every block of a cluster.", "vendor instruction set manual"),

      plausible(
          5, 100,
          integer(
              "barrier.latency_cycles", "cycles", 0, kMaxCycles,
              [](C& c) { return &c.barrier.latency_cycles; },
              "Last arrival to the waiter running, on the same core.", "barrier microbenchmark")),
      integer(
          "barrier.remote_latency_cycles", "cycles", 0, kMaxCycles,
          [](C& c) { return &c.barrier.remote_latency_cycles; },
          "Last arrival to the waiter running, across the cores of a cluster.",
          "microbenchmark of distributed shared memory"),

      integer(
          "noc.core_read_bytes_per_cycle", "B/cycle", 1, kMaxRate,
          [](C& c) { return &c.noc.core_read_bytes_per_cycle; },
          "Width of one core's port, L2 to core.", kBandwidthTest),
      integer(
          "noc.core_write_bytes_per_cycle", "B/cycle", 1, kMaxRate,
          [](C& c) { return &c.noc.core_write_bytes_per_cycle; },
          "Width of one core's port, core to L2.", kBandwidthTest),

      integer(
          "l2.size_mib", "MiB", 1, 1 << 20, [](C& c) { return &c.l2.size_mib; },
          "Capacity of all partitions together.", kQuery),
      optional(integer(
          "l2.partitions", "", 1, 64, [](C& c) { return &c.l2.partitions; },
          "Partitions, each near an equal share of the cores; must divide l2.size_mib "
          "and both rates.",
          kDatasheet)),
      optional(integer(
          "l2.line_bytes", "B", 32, 4096, [](C& c) { return &c.l2.line_bytes; },
          "Bytes of one line; a power of two.", kQuery)),
      plausible(2000, 6000,
                integer(
                    "l2.read_bytes_per_cycle", "B/cycle", 1, kMaxRate,
                    [](C& c) { return &c.l2.read_bytes_per_cycle; },
                    "Read rate of all partitions together.", kBandwidthTest)),
      plausible(1500, 6000,
                integer(
                    "l2.write_bytes_per_cycle", "B/cycle", 1, kMaxRate,
                    [](C& c) { return &c.l2.write_bytes_per_cycle; },
                    "Write rate of all partitions together.", kBandwidthTest)),
      plausible(300, 3000,
                optional(integer(
                    "l2.link_bytes_per_cycle", "B/cycle", 0, kMaxRate,
                    [](C& c) { return &c.l2.link_bytes_per_cycle; },
                    "Rate between partitions, each direction; needed with two partitions or "
                    "more.",
                    kBandwidthTest))),
      plausible(180, 320,
                integer(
                    "l2.near_latency_cycles", "cycles", 0, kMaxCycles,
                    [](C& c) { return &c.l2.near_latency_cycles; },
                    "Load to use of a hit in the core's own partition.", kPointerChase)),
      plausible(300, 600,
                integer(
                    "l2.far_latency_cycles", "cycles", 0, kMaxCycles,
                    [](C& c) { return &c.l2.far_latency_cycles; },
                    "Load to use of a hit in another partition; at least l2.near_latency_cycles.",
                    kPointerChase)),
      flag(
          "l2.replicate_far", [](C& c) { return &c.l2.replicate_far; },
          "1: data homed in the far partition is also kept near, which halves the capacity for "
          "data that all cores share.",
          "microbenchmark of latency against working-set size"),
      optional(plausible(
          20, 100,
          integer(
              "l2.max_dirty_percent", "%", 1, 100, [](C& c) { return &c.l2.max_dirty_percent; },
              "Share of the lines that may be dirty; beyond it the oldest are written to memory.",
              "kernels that write and hardly read: the size of result from which on they take the "
              "memory's time"))),

      integer(
          "hbm.size_gib", "GiB", 1, 1 << 16, [](C& c) { return &c.hbm.size_gib; },
          "Capacity of all stacks.", kDatasheet),
      real(
          "hbm.bandwidth_gbps", "GB/s", 0.001, 1e7, [](C& c) { return &c.hbm.bandwidth_gbps; },
          "Peak of all stacks, in units of 10^9 bytes a second.", kDatasheet),
      integer(
          "hbm.stacks", "", 1, 256, [](C& c) { return &c.hbm.stacks; }, "Memory stacks.",
          kDatasheet),
      integer(
          "hbm.pseudo_channels_per_stack", "", 1, 256,
          [](C& c) { return &c.hbm.pseudo_channels_per_stack; },
          "Independent channels of one stack.", kDramSpec),
      integer(
          "hbm.banks", "", 1, 1024, [](C& c) { return &c.hbm.banks; },
          "Banks of one pseudo-channel; a power of two and a multiple of hbm.bank_groups.",
          kDramSpec),
      integer(
          "hbm.bank_groups", "", 1, 1024, [](C& c) { return &c.hbm.bank_groups; },
          "Bank groups of one pseudo-channel; a power of two.", kDramSpec),
      integer(
          "hbm.row_bytes", "B", 32, 1 << 20, [](C& c) { return &c.hbm.row_bytes; },
          "Open page of one bank of one pseudo-channel; a power of two.", kDramSpec),
      integer(
          "hbm.burst_bytes", "B", 1, 4096, [](C& c) { return &c.hbm.burst_bytes; },
          "Bytes of one column access; a power of two.", kDramSpec),
      integer(
          "hbm.interleave_bytes", "B", 1, 1 << 20, [](C& c) { return &c.hbm.interleave_bytes; },
          "Consecutive bytes on one pseudo-channel before the next; a power of two from "
          "hbm.burst_bytes to hbm.row_bytes.",
          "assumption: vendors do not publish address maps"),
      real(
          "hbm.trcd_ns", "ns", 0, kMaxNs, [](C& c) { return &c.hbm.trcd_ns; },
          "Activate to read or write of the same bank.", kDramSpec),
      real(
          "hbm.trp_ns", "ns", 0, kMaxNs, [](C& c) { return &c.hbm.trp_ns; },
          "Precharge to activate of the same bank.", kDramSpec),
      real(
          "hbm.tras_ns", "ns", 0, kMaxNs, [](C& c) { return &c.hbm.tras_ns; },
          "Activate to precharge of the same bank; at least hbm.trcd_ns.", kDramSpec),
      real(
          "hbm.tcl_ns", "ns", 0, kMaxNs, [](C& c) { return &c.hbm.tcl_ns; },
          "Read command to first data.", kDramSpec),
      real(
          "hbm.tcwl_ns", "ns", 0, kMaxNs, [](C& c) { return &c.hbm.tcwl_ns; },
          "Write command to first data.", kDramSpec),
      real(
          "hbm.trrd_ns", "ns", 0, kMaxNs, [](C& c) { return &c.hbm.trrd_ns; },
          "Activate to activate of different banks; a quarter of the four-activate window where "
          "that "
          "is longer.",
          kDramSpec),
      real(
          "hbm.tccd_l_bursts", "bursts", 1, 64, [](C& c) { return &c.hbm.tccd_l_bursts; },
          "Column command to column command of the same bank group, in burst times; different "
          "groups follow after one burst time.",
          kDramSpec),
      real(
          "hbm.twr_ns", "ns", 0, kMaxNs, [](C& c) { return &c.hbm.twr_ns; },
          "End of write data to precharge of the bank.", kDramSpec),
      real(
          "hbm.twtr_ns", "ns", 0, kMaxNs, [](C& c) { return &c.hbm.twtr_ns; },
          "End of write data to the next read command.", kDramSpec),
      real(
          "hbm.trtw_ns", "ns", 0, kMaxNs, [](C& c) { return &c.hbm.trtw_ns; },
          "Idle time of the data bus between a read and the write after it.", kDramSpec),
      plausible(0, 2,
                optional(real(
                    "hbm.row_switch_ns", "ns", 0, kMaxNs, [](C& c) { return &c.hbm.row_switch_ns; },
                    "Time the data bus loses, on average, where data of one row of a matrix is "
                    "followed by that of another row that lies elsewhere.",
                    "bandwidth of a matrix read in narrow boxes against that of a stream"))),
      real(
          "hbm.trtp_ns", "ns", 0, kMaxNs, [](C& c) { return &c.hbm.trtp_ns; },
          "Read command to precharge of the bank.", kDramSpec),
      real(
          "hbm.trefi_ns", "ns", 1, 1e9, [](C& c) { return &c.hbm.trefi_ns; },
          "Average interval between two refreshes of a pseudo-channel.", kDramSpec),
      plausible(100, 500,
                real(
                    "hbm.trfc_ns", "ns", 0, kMaxNs, [](C& c) { return &c.hbm.trfc_ns; },
                    "Time a refresh blocks a pseudo-channel, below hbm.trefi_ns; 0 = no refresh.",
                    kDramSpec)),
      plausible(50, 500,
                integer(
                    "hbm.controller_latency_cycles", "cycles", 0, kMaxCycles,
                    [](C& c) { return &c.hbm.controller_latency_cycles; },
                    "L2 miss to memory controller and back, without the device's own time.",
                    "difference of memory and L2 latency in a pointer-chase microbenchmark")),

      plausible(0.5, 3,
                real(
                    "launch.gap_us", "us", 0, 1e6, [](C& c) { return &c.launch.gap_us; },
                    "End of a kernel to the start of the next in a graph.", kTrace)),
      plausible(
          0, 1.5,
          real(
              "launch.overlap_us", "us", 0, 1e6, [](C& c) { return &c.launch.overlap_us; },
              "Part of the gap that programmatic dependent launch hides; at most launch.gap_us.",
              kTrace)),
      plausible(0, 200,
                integer(
                    "launch.block_cycles", "cycles", 0, kMaxCycles,
                    [](C& c) { return &c.launch.block_cycles; },
                    "Interval between two block starts on one core.", kTrace)),
      plausible(50, 2000,
                integer(
                    "launch.setup_cycles", "cycles", 0, kMaxCycles,
                    [](C& c) { return &c.launch.setup_cycles; },
                    "Start of a block to its first instruction.", kTrace)),

      optional(real(
          "link.bandwidth_gbps", "GB/s", 0, 1e6, [](C& c) { return &c.link.bandwidth_gbps; },
          "All links to other chips together, each direction; 0 = none.", kDatasheet)),
      plausible(0.4, 1.2,
                optional(real(
                    "link.latency_us", "us", 0, 1e6, [](C& c) { return &c.link.latency_us; },
                    "A word written on one chip until a thread of another has seen it.",
                    "smallest message of a ring collective against the number of ranks"))),
  };
}

std::vector<KeyInfo> power_keys() {
  return {
      real(
          "power.cap_w", "W", 0.001, 1e6, [](C& c) { return &c.power.cap_w; },
          "Power the governor holds by lowering the clock.", kDatasheet),
      plausible(
          100, 1500,
          optional(real(
              "power.peak_w", "W", 0, 1e6, [](C& c) { return &c.power.peak_w; },
              "Power a burst may draw until the controller's filter reaches the cap; 0 = "
              "power.cap_w.",
              "rate of a large GEMM in bursts of a few milliseconds against a sustained one"))),
      plausible(
          1, 100,
          optional(real(
              "power.window_ms", "ms", 0, 1e6, [](C& c) { return &c.power.window_ms; },
              "Time constant of the filter through which the power controller sees power.",
              "rate of a large GEMM against the length of the burst; window of the power sensor"))),
      real(
          "power.idle_w", "W", 0, 1e6, [](C& c) { return &c.power.idle_w; },
          "Power that does not depend on the work; below power.cap_w.", kEnergy),
      plausible(0.1, 2,
                real(
                    "power.fp16_pj_per_flop", "pJ/FLOP", 0, 1e6,
                    [](C& c) { return &c.power.fp16_pj_per_flop; },
                    "Tensor-core energy in fp16 and bf16, at the boost clock.", kEnergy)),
      plausible(0.2, 4,
                real(
                    "power.tf32_pj_per_flop", "pJ/FLOP", 0, 1e6,
                    [](C& c) { return &c.power.tf32_pj_per_flop; },
                    "Tensor-core energy in tf32, at the boost clock.", kEnergy)),
      plausible(0.05, 1,
                real(
                    "power.fp8_pj_per_flop", "pJ/FLOP", 0, 1e6,
                    [](C& c) { return &c.power.fp8_pj_per_flop; },
                    "Tensor-core energy in e4m3 and e5m2, at the boost clock.", kEnergy)),
      real(
          "power.vector_pj_per_flop", "pJ/FLOP", 0, 1e6,
          [](C& c) { return &c.power.vector_pj_per_flop; },
          "Vector-unit energy, instruction issue and registers included, at the boost clock.",
          kEnergy),
      plausible(2, 20,
                real(
                    "power.scratchpad_pj_per_byte", "pJ/B", 0, 1e6,
                    [](C& c) { return &c.power.scratchpad_pj_per_byte; },
                    "Energy of a scratchpad access, at the boost clock.", kEnergy)),
      plausible(
          8, 60,
          real(
              "power.l2_pj_per_byte", "pJ/B", 0, 1e6, [](C& c) { return &c.power.l2_pj_per_byte; },
              "Energy of an L2 access and its way over the network, at the boost clock.", kEnergy)),
      plausible(
          30, 150,
          real(
              "power.hbm_pj_per_byte", "pJ/B", 0, 1e6,
              [](C& c) { return &c.power.hbm_pj_per_byte; },
              "Energy of a memory access: device, interface, controller and way to L2.", kEnergy)),
      plausible(
          10, 80,
          optional(real(
              "power.link_pj_per_byte", "pJ/B", 0, 1e6,
              [](C& c) { return &c.power.link_pj_per_byte; },
              "Energy of a byte sent to another chip: this chip's sender, and its receiver for as "
              "much that comes in.",
              "published energy per bit of the links' transceivers"))),
      real(
          "power.voltage_exponent", "", 0, 4, [](C& c) { return &c.power.voltage_exponent; },
          "Dynamic energy of an operation grows as (clock / boost clock) to this power.",
          "fit to clocks held at the power cap; 2 = voltage proportional to clock"),
      optional(real(
          "power.zero_operand_activity", "", 0, 1,
          [](C& c) { return &c.power.zero_operand_activity; },
          "Energy of tensor cores, scratchpads and L2 on operands of zeros, relative to random "
          "ones.",
          "rate of a power-limited GEMM on zeros against random data")),
  };
}

const char* const kCollectives = "benchmark of collectives against ranks and bytes";

std::vector<KeyInfo> collective_keys() {
  return {
      plausible(
          1, 8,
          optional(real(
              "collective.start_us", "us", 0, 1e6, [](C& c) { return &c.collective.start_us; },
              "What a collective kernel takes beyond any kernel: meeting the other ranks.",
              kCollectives))),
      plausible(0.005, 0.5,
                optional(real(
                    "collective.flagged_word_share", "", 0.0001, 1,
                    [](C& c) { return &c.collective.flagged_word_share; },
                    "Share of link.bandwidth_gbps where each word carries a flag (NCCL's LL).",
                    kCollectives))),
      plausible(0, 1,
                optional(real(
                    "collective.flagged_line_step_us", "us", 0, 1e6,
                    [](C& c) { return &c.collective.flagged_line_step_us; },
                    "What a step takes beyond link.latency_us where each line carries a flag "
                    "(NCCL's LL128).",
                    kCollectives))),
      plausible(0.15, 0.92,
                optional(real(
                    "collective.flagged_line_share", "", 0.0001, 1,
                    [](C& c) { return &c.collective.flagged_line_share; },
                    "Share of link.bandwidth_gbps where each line carries a flag.", kCollectives))),
      plausible(4, 25,
                optional(real(
                    "collective.buffered_start_us", "us", 0, 1e6,
                    [](C& c) { return &c.collective.buffered_start_us; },
                    "Filling the pipeline of buffers that are handed over whole (NCCL's Simple).",
                    kCollectives))),
      plausible(0.6, 0.95,
                optional(real(
                    "collective.buffered_share", "", 0.0001, 1,
                    [](C& c) { return &c.collective.buffered_share; },
                    "Share of link.bandwidth_gbps in a ring of buffers.", kCollectives))),
      plausible(
          400, 3000,
          optional(real(
              "collective.copy_gbps", "GB/s", 0, 1e7, [](C& c) { return &c.collective.copy_gbps; },
              "Rate at which a rank's own part moves in or out of the buffers; 0 = free.",
              kCollectives))),
      plausible(
          0, 1,
          optional(real(
              "collective.peer_us", "us", 0, 1e6, [](C& c) { return &c.collective.peer_us; },
              "Start of an exchange for each peer that a rank sends to directly.", kCollectives))),
      plausible(2, 15,
                optional(real(
                    "collective.direct_start_us", "us", 0, 1e6,
                    [](C& c) { return &c.collective.direct_start_us; },
                    "As collective.buffered_start_us, for direct sends.", kCollectives))),
      plausible(
          0.6, 0.95,
          optional(real(
              "collective.direct_share", "", 0.0001, 1,
              [](C& c) { return &c.collective.direct_share; },
              "Share of link.bandwidth_gbps in direct sends to all peers at once.", kCollectives))),
      optional(real(
          "collective.flagged_word_max_kib", "KiB", 0, 1e6,
          [](C& c) { return &c.collective.flagged_word_max_kib; },
          "Largest part that is sent directly with flagged words; larger ones are buffered.",
          "documentation of the collective library")),
      flag(
          "collective.in_switch", [](C& c) { return &c.collective.in_switch; },
          "1: the switch adds and replicates (NVLink SHARP), used by all-reduce of three ranks or "
          "more.",
          kDatasheet),
      plausible(5, 40,
                optional(real(
                    "collective.in_switch_start_us", "us", 0, 1e6,
                    [](C& c) { return &c.collective.in_switch_start_us; },
                    "As collective.buffered_start_us, for sums in the switch.", kCollectives))),
      plausible(0.5, 0.95,
                optional(real(
                    "collective.in_switch_share", "", 0.0001, 1,
                    [](C& c) { return &c.collective.in_switch_share; },
                    "Share of link.bandwidth_gbps of sums in the switch.", kCollectives))),
      optional(real(
          "collective.in_switch_chunk_kib", "KiB", 0, 1e9,
          [](C& c) { return &c.collective.in_switch_chunk_kib; },
          "What is under way between two stages of a sum in the switch: channels x buffer.",
          "documentation of the collective library")),
  };
}

std::vector<KeyInfo> build() {
  std::vector<KeyInfo> keys = core_keys();
  append(keys, unit_keys<&C::fp16_unit>("fp16_unit", "fp16"));
  append(keys, unit_keys<&C::bf16_unit>("bf16_unit", "bf16"));
  append(keys, unit_keys<&C::tf32_unit>("tf32_unit", "tf32"));
  append(keys, unit_keys<&C::fp8_unit>("fp8_unit", "e4m3 and e5m2"));
  append(keys, memory_keys());
  append(keys, collective_keys());
  append(keys, power_keys());
  return keys;
}

// A member through its binding. The accessors only form an address, so reading through a
// const_cast of a const chip modifies nothing.
template <class Function>
auto with_member(const KeyInfo& key, const ChipConfig& chip, Function&& function) {
  return std::visit(
      [&](auto accessor) { return function(*accessor(const_cast<ChipConfig&>(chip))); },
      key.member);
}

std::string spelled(double value) {
  if (value == 0) return "0";  // also -0
  return fmt::format("{}", value);
}

std::string spelled(int value) { return std::to_string(value); }
std::string spelled(std::int64_t value) { return std::to_string(value); }
std::string spelled(const std::string& value) { return value; }

double number(const std::string&) { return 0; }
template <class T>
double number(T value) {
  return static_cast<double>(value);
}

std::string section_of(const std::string& key) {
  const std::size_t dot = key.find('.');
  return dot == std::string::npos ? std::string() : key.substr(0, dot);
}

}  // namespace

std::string_view name(KeyType type) {
  switch (type) {
    case KeyType::integer:
      return "integer";
    case KeyType::real:
      return "number";
    case KeyType::boolean:
      return "0 or 1";
    case KeyType::text:
      return "text";
  }
  return "";
}

const std::vector<KeyInfo>& chip_schema() {
  static const std::vector<KeyInfo> schema = build();
  return schema;
}

const KeyInfo* find_key(std::string_view name) {
  const std::vector<KeyInfo>& schema = chip_schema();
  const auto found = std::find_if(schema.begin(), schema.end(),
                                  [&](const KeyInfo& key) { return key.name == name; });
  return found == schema.end() ? nullptr : &*found;
}

const std::vector<std::string>& chip_sections() {
  static const std::vector<std::string> sections = [] {
    std::vector<std::string> names;
    for (const KeyInfo& key : chip_schema()) {
      const std::string section = section_of(key.name);
      if (!section.empty() && (names.empty() || names.back() != section)) names.push_back(section);
    }
    return names;
  }();
  return sections;
}

std::string value_text(const KeyInfo& key, const ChipConfig& chip) {
  return with_member(key, chip, [](const auto& value) { return spelled(value); });
}

double value_number(const KeyInfo& key, const ChipConfig& chip) {
  return with_member(key, chip, [](const auto& value) { return number(value); });
}

std::string default_text(const KeyInfo& key) {
  return key.required ? std::string() : value_text(key, ChipConfig{});
}

std::string plausible_text(const KeyInfo& key) {
  if (!key.is_calibratable()) return "";
  return fmt::format("{} to {}", key.plausible_min, key.plausible_max);
}

std::string range_text(const KeyInfo& key) {
  switch (key.type) {
    case KeyType::text:
      return "";
    case KeyType::boolean:
      return "0 or 1";
    case KeyType::integer:
      return fmt::format("{} to {}", static_cast<std::int64_t>(key.min),
                         static_cast<std::int64_t>(key.max));
    case KeyType::real:
      return fmt::format("{} to {}", key.min,
                         key.max == static_cast<double>(static_cast<std::int64_t>(key.max))
                             ? std::to_string(static_cast<std::int64_t>(key.max))
                             : fmt::format("{}", key.max));
  }
  return "";
}

}  // namespace tessera
