#include <algorithm>
#include <limits>
#include <numeric>

#include "sim/frontend/mapper.h"
#include "sim/frontend/mapper_machine.h"

namespace tessera {
namespace {

constexpr std::int64_t worker_warps = 4;
constexpr std::int64_t block_warps = worker_warps + 1;
/// Barriers, vector latencies and the stores' way out, of one tile.
constexpr double tile_overhead_cycles = 120;
/// What the worker's threads load with an instruction each, of 16 bytes.
constexpr std::int64_t lanes_bytes = worker_warps * 32 * 16;
/// More than this in one stage only adds latency.
constexpr std::int64_t most_stage_bytes = 32768;

/// Widest tile up to `limit` that divides `unit`; a multiple of 64 where there is one, so that
/// boxes are whole lines.
std::int64_t widest_divisor(std::int64_t unit, std::int64_t limit) {
  std::int64_t widest = 1;
  std::int64_t lines = 0;
  for (std::int64_t width = 1; width <= std::min(unit, limit); ++width) {
    if (unit % width != 0) continue;
    widest = width;
    if (width % 64 == 0) lines = width;
  }
  return lines > 0 ? lines : widest;
}

}  // namespace

CostEstimate estimate_rowwise(const SectionBuilder& section, const RowwiseProblem& p,
                              const RowwiseTiling& t) {
  const ChipConfig& chip = section.chip();
  const MachineRates rates(chip);
  const std::int64_t width = p.whole_row ? p.cols : std::min(p.cols, t.tile_cols);
  const std::int64_t tiles = ceil_div(p.rows, t.tile_rows) * ceil_div(p.cols, width);
  const double loads_per_tile =
      static_cast<double>(p.whole_row ? ceil_div(p.cols, t.tile_cols) : 1) *
      static_cast<double>(p.inputs.size());
  const double elements = static_cast<double>(t.tile_rows * width);
  // Memory moves whole lines.
  const auto box_bytes = [&](TensorIndex tensor, std::int64_t rows, std::int64_t cols) {
    const std::int64_t line = std::max(1, chip.l2.line_bytes);
    return static_cast<double>(rows *
                               round_up(bytes(section.tensor(tensor).format, cols).value, line));
  };
  double read = 0;
  for (const RowwiseInput& input : p.inputs) {
    read += static_cast<double>(input.slabs) *
            box_bytes(input.tensor, t.tile_rows * input.gathered, width);
  }
  if (t.two_passes) read *= 2;
  const double written = p.transposed ? box_bytes(p.output, width, t.tile_rows)
                                      : box_bytes(p.output, t.tile_rows, width);
  double compute = 0;
  for (const RowwiseStep& step : p.steps) {
    compute += elements * step.per_element * vector_cycles(step.function, chip.vector_unit);
  }

  const double blocks =
      std::min(static_cast<double>(tiles), rates.cores * static_cast<double>(t.resident));
  const double active = std::min(rates.cores, blocks);
  const double per_core = static_cast<double>(ceil_div(tiles, chip.core.count));
  const double rounds = static_cast<double>(ceil_div(tiles, static_cast<std::int64_t>(blocks)));
  const double throughput =
      per_core *
      std::max({compute, read / rates.port_read_bytes, written / rates.port_write_bytes,
                active * read / rates.l2_read_bytes, active * written / rates.l2_write_bytes,
                loads_per_tile * chip.dma.issue_cycles});
  // A block holds its stages' tiles in flight.
  const double latency = rates.hbm_latency + compute + written / rates.port_write_bytes;
  const double serial = rounds * latency / static_cast<double>(t.stages);
  const double memory = static_cast<double>(tiles) * (read + written) / rates.hbm_bytes;
  const double worker = rounds * (tile_overhead_cycles + compute);

  CostEstimate estimate;
  estimate.hbm_bytes = static_cast<double>(tiles) * read;
  // What a block does between tiles is hidden only in part.
  estimate.cycles = rates.launch_gap + latency + std::max({throughput, serial, memory, worker}) +
                    0.3 * rounds * tile_overhead_cycles + rates.l2_latency;
  return estimate;
}

RowwiseTiling choose_rowwise(const SectionBuilder& section, const RowwiseProblem& p) {
  const ChipConfig& chip = section.chip();
  const std::int64_t box = std::min<std::int64_t>(256, std::max(1, chip.dma.max_box_rows));
  const std::int64_t size = std::int64_t{chip.scratchpad.size_kib} * 1024;
  const std::int64_t reserved = chip.scratchpad.reserved_per_block_bytes;
  std::int64_t gathered = 1;
  for (const RowwiseInput& input : p.inputs) gathered = std::max(gathered, input.gathered);

  std::int64_t width = std::min(box, round_up(p.cols, 8));
  if (p.transposed) width = std::min<std::int64_t>(64, width);
  if (p.scales && !p.whole_row && width > p.scale_cols) width -= width % p.scale_cols;
  if (p.column_unit > 0) width = widest_divisor(p.column_unit, box);

  RowwiseTiling best;
  double least = std::numeric_limits<double>::max();
  const auto consider = [&](RowwiseTiling t) {
    const std::int64_t need = rowwise_scratchpad_bytes(section, p, t) + reserved;
    t.resident = std::min({size / need, chip.core.max_warps / block_warps,
                           std::int64_t{chip.core.max_blocks}, std::int64_t{8}});
    if (t.resident < 1) return;
    const double cycles = estimate_rowwise(section, p, t).cycles;
    if (cycles < least * 0.9999) {
      least = cycles;
      best = t;
    }
  };
  const auto explore = [&](bool two_passes) {
    for (const std::int64_t rows : {64, 128, 256, 32, 16, 8, 4, 2, 1}) {
      if (rows * gathered > box || (rows > 1 && rows / 2 >= p.rows)) continue;
      if (p.qkv && p.qkv->past() > 0 && p.qkv->batch > 1 && rows > 1 && p.qkv->q_len % rows != 0 &&
          p.qkv->q_len != 1) {
        continue;
      }
      RowwiseTiling t;
      t.tile_rows = rows;
      t.tile_cols = width;
      t.warps = worker_warps;
      t.two_passes = two_passes;
      t.stages = 2;
      const bool large = rowwise_scratchpad_bytes(section, p, t) > 3 * most_stage_bytes;
      if (large && rows > 1) continue;
      consider(t);
      if (!large) {
        t.stages = 4;
        consider(t);
      }
    }
  };
  explore(false);
  if (least == std::numeric_limits<double>::max() && p.whole_row) {
    // The row streams by: whatever the lanes of the worker load at once.
    width = std::max(width,
                     lanes_bytes / bytes(section.tensor(p.inputs.front().tensor).format, 1).value);
    explore(true);
    // Each stage is one box of a row: enough of them to hide the latency.
    best.stages = std::clamp<std::int64_t>(most_stage_bytes / (2 * width * best.tile_rows), 4, 32);
  }
  if (least == std::numeric_limits<double>::max()) {
    // Many partial results of one element: fewer columns at a time.
    for (width /= 2; width >= 1 && least == std::numeric_limits<double>::max(); width /= 2) {
      explore(p.whole_row);
    }
  }
  return best;
}

}  // namespace tessera
