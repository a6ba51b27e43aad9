#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/base/error.h"
#include "sim/frontend/mapper.h"
#include "sim/frontend/mapper_machine.h"

namespace tessera {
namespace {

/// From the last product to the next tile's first, beside the epilogue's arithmetic: drain of the
/// tensor core, barriers, vector latencies.
constexpr double tile_overhead_cycles = 150;
constexpr std::int64_t max_stages = 8;
constexpr double odd_tile_penalty = 1.02;
/// Up to so many rows of A the weights always take the tensor core's rows: the other way round
/// more than half of its work would be padding.
constexpr std::int64_t always_swapped_rows = 32;

/// Operand bytes read from DRAM with tiles walked in groups of `group` cluster rows.
double operand_traffic(const GemmProblem& p, const GemmTiling& t, const GemmShape& s,
                       std::int64_t group, double clusters, double capacity) {
  const double element = bits(p.operands) / 8.0;
  const double k = static_cast<double>(p.k) * element;
  const double groups = static_cast<double>(p.groups);
  const double m_bytes = static_cast<double>(s.m_side) * k;
  const double n_bytes = static_cast<double>(s.n_side) * k;
  if (m_bytes + n_bytes <= capacity) return groups * (m_bytes + n_bytes);
  const double row_bytes = static_cast<double>(t.tile_m * t.cluster) * k;
  const double col_bytes = static_cast<double>(t.tile_n) * k;
  // What runs at the same time: `group` cluster rows, as many columns as that leaves, or more rows
  // if there are not so many columns.
  const double all_rows = static_cast<double>(s.cluster_rows);
  double rows = std::min(static_cast<double>(group), all_rows);
  const double cols = std::clamp(clusters / rows, 1.0, static_cast<double>(s.tiles_n));
  rows = std::clamp(clusters / cols, rows, all_rows);
  const double window = std::min(rows * row_bytes, m_bytes) + std::min(cols * col_bytes, n_bytes);
  double traffic = 0;
  if (window <= capacity) {
    // A strip's rows stay while its columns pass.
    const double strips = std::ceil(all_rows / rows);
    const double again = n_bytes + rows * row_bytes <= capacity ? 1 : strips;
    traffic = m_bytes + again * n_bytes;
  } else {
    // Not even one wave's operands stay: every wave reads its own.
    const double waves = all_rows * static_cast<double>(s.tiles_n) / std::max(1.0, clusters);
    traffic = std::max(1.0, waves) * window;
  }
  return groups * std::max(traffic, m_bytes + n_bytes);
}

std::int64_t best_group(const GemmProblem& p, const GemmTiling& t, const GemmShape& s,
                        double clusters, double capacity) {
  std::int64_t best = 8;
  double least = std::numeric_limits<double>::max();
  for (const std::int64_t group : {8, 4, 16, 2, 32, 1, 64}) {
    const double traffic = operand_traffic(p, t, s, group, clusters, capacity);
    if (traffic < least * 0.999) {
      least = traffic;
      best = group;
    }
  }
  return best;
}

double concurrent_clusters(const GemmTiling& t, const GemmShape& s, const ChipConfig& chip) {
  return static_cast<double>(
      std::min(s.units, std::max<std::int64_t>(1, chip.core.count * t.resident / t.cluster)));
}

}  // namespace

Estimate estimate_gemm(const SectionBuilder& section, const GemmProblem& p, const GemmTiling& t) {
  const ChipConfig& chip = section.chip();
  const MachineRates rates(chip);
  const GemmShape s(p, t);
  const double element = bits(p.operands) / 8.0;
  const double elements = static_cast<double>(t.tile_m * t.tile_n);
  const double clusters = concurrent_clusters(t, s, chip);
  const double active = std::min(rates.cores, clusters * static_cast<double>(t.cluster));

  // One K step of one block, everything in steady state.
  const double rate = std::max(1, chip.tensor_core.flops_per_cycle(p.operands));
  const double instruction_m = chip.tensor_core.operands_from_scratchpad
                                   ? static_cast<double>(std::min<std::int64_t>(64, s.consumer_m))
                                   : static_cast<double>(s.consumer_m);
  const double instructions = static_cast<double>(t.tile_m) / instruction_m;
  const double step_k = static_cast<double>(t.tile_k);
  const double multiply =
      instructions * (chip.tensor_core.issue_cycles +
                      std::max(2 * instruction_m * static_cast<double>(t.tile_n) * step_k / rate,
                               (instruction_m + static_cast<double>(t.tile_n)) * step_k * element /
                                   std::max(1, chip.scratchpad.bytes_per_cycle)));
  const double m_bytes = static_cast<double>(s.m_box) * step_k * element;
  const double n_bytes = static_cast<double>(s.n_box * t.cluster) * step_k * element;
  const double from_l2 = m_bytes + n_bytes / static_cast<double>(t.cluster);
  double step = multiply;
  if (p.promoted) {
    const double promote = elements * vector_cycles(VectorFunction::promote, chip.vector_unit);
    step = t.consumers * t.resident > 1 ? std::max(step, promote) + 40 : step + promote + 40;
  }
  step = std::max(step, (m_bytes + n_bytes) / rates.port_read_bytes);
  step = std::max(step, active * from_l2 / rates.l2_read_bytes);
  const double in_flight = std::min(
      static_cast<double>(t.resident * t.stages) * (m_bytes + n_bytes), rates.in_flight_bytes);
  step = std::max(step, (m_bytes + n_bytes) * rates.hbm_latency / in_flight);

  // The epilogue of one tile; a second resident block multiplies meanwhile.
  double epilogue = 0;
  if (t.splits > 1) {
    epilogue = elements * vector_cycles(VectorFunction::move, chip.vector_unit);
  } else {
    for (const VectorFunction f : epilogue_functions(p.epilogue)) {
      epilogue += elements * vector_cycles(f, chip.vector_unit);
    }
  }
  const double result = t.splits > 1 ? 4 : 2;
  const double useful = static_cast<double>(std::min(t.tile_m, s.m_side)) *
                        static_cast<double>(std::min(t.tile_n, s.n_side)) * result;
  epilogue =
      std::max({epilogue, useful / rates.port_write_bytes, active * useful / rates.l2_write_bytes});
  epilogue += tile_overhead_cycles;

  const double per_core = static_cast<double>(
      ceil_div(s.units, std::max<std::int64_t>(1, chip.core.count / t.cluster)));
  const double steps = static_cast<double>(s.k_steps);
  const double overlap = std::min(static_cast<double>(t.resident), per_core);
  const double fill = rates.hbm_latency + active * from_l2 / rates.l2_read_bytes;
  const double core_time =
      per_core * (steps * step + epilogue / overlap) + (t.cluster > 1 ? 200 : 0);

  Estimate estimate;
  estimate.hbm_bytes = operand_traffic(p, t, s, t.raster_group, clusters, rates.l2_capacity);
  const double memory_time = estimate.hbm_bytes / rates.hbm_bytes;
  estimate.cycles = rates.launch_gap + fill + std::max(core_time, memory_time) +
                    0.1 * std::min(core_time, memory_time) + rates.l2_latency;
  if (t.splits > 1) {
    const double outputs =
        static_cast<double>(p.groups) * static_cast<double>(p.m) * static_cast<double>(p.n);
    const double partial = 4 * static_cast<double>(t.splits) * outputs;
    estimate.cycles +=
        rates.launch_gap + 2 * rates.l2_latency +
        partial / std::min(rates.l2_read_bytes, rates.cores * rates.port_read_bytes) +
        outputs * 2 / rates.l2_write_bytes;
  }
  return estimate;
}

GemmTiling choose_gemm(const SectionBuilder& section, const GemmProblem& p) {
  const ChipConfig& chip = section.chip();
  if (chip.tensor_core.flops_per_cycle(p.operands) == 0) {
    throw InputError(section.op().name,
                     fmt::format("{} has no tensor-core rate for {}", chip.name, name(p.operands)),
                     "choose a precision the chip supports");
  }
  const std::int64_t element = bits(p.operands) / 8;
  const double capacity = MachineRates(chip).l2_capacity;
  GemmTiling best;
  double least = std::numeric_limits<double>::max();
  const auto consider = [&](GemmTiling t) {
    // As many stages as fit.
    GemmTiling deepest = t;
    for (deepest.stages = max_stages; deepest.stages >= 2; --deepest.stages) {
      if (fits(p, deepest, chip)) break;
    }
    if (deepest.stages < 2) return;
    const GemmShape shape(p, deepest);
    deepest.raster_group =
        best_group(p, deepest, shape, concurrent_clusters(deepest, shape, chip), capacity);
    double cycles = estimate_gemm(section, p, deepest).cycles;
    // Libraries tune tiles of powers of two best; others must be worth it.
    if ((deepest.tile_n & (deepest.tile_n - 1)) != 0) cycles *= odd_tile_penalty;
    if (cycles < least * 0.9999) {
      least = cycles;
      best = deepest;
    }
  };

  for (const bool swapped : {false, true}) {
    if (!swapped && p.m <= always_swapped_rows) continue;
    const std::int64_t m_side = swapped ? p.n : p.m;
    const std::int64_t n_side = swapped ? p.m : p.n;
    for (const std::int64_t tile_m : {128, 256, 64}) {
      if (tile_m > 64 && m_side <= tile_m / 2) continue;
      for (const std::int64_t consumers : {2, 1}) {
        if (tile_m / consumers < 64 || tile_m / consumers > 128) continue;
        for (const std::int64_t tile_n :
             {256, 128, 192, 224, 160, 96, 112, 80, 64, 48, 32, 24, 16, 8}) {
          if (tile_n >= 2 * round_up(n_side, 8)) continue;
          for (const std::int64_t cluster : {1, 2}) {
            if (cluster > 1 && m_side <= tile_m) continue;
            for (const std::int64_t resident : {1, 2, 3}) {
              GemmTiling t;
              t.tile_m = tile_m;
              t.tile_n = tile_n;
              t.tile_k = std::min<std::int64_t>(128 / element, chip.dma.max_box_rows);
              t.swapped = swapped;
              t.consumers = consumers;
              t.cluster = cluster;
              t.resident = resident;
              consider(t);
              const GemmShape shape(p, t);
              const std::int64_t blocks = shape.units * cluster;
              if (p.gather_a || blocks >= 2 * chip.core.count) continue;
              for (const std::int64_t splits : {2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32}) {
                if (splits * 4 > shape.k_steps || blocks * splits > 4 * chip.core.count) break;
                t.splits = splits;
                consider(t);
              }
            }
          }
        }
      }
    }
  }
  if (least == std::numeric_limits<double>::max()) {
    throw InputError(
        section.op().name,
        fmt::format("no GEMM tile of {} fits a core of {}", name(p.operands), chip.name),
        "a core needs scratchpad for two stages of a 64 x 8 tile");
  }
  return best;
}

}  // namespace tessera
