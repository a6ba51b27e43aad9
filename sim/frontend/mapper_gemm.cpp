#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <utility>

#include "sim/base/error.h"
#include "sim/base/overfull_sets.h"
#include "sim/frontend/gemm_library.h"
#include "sim/frontend/mapper.h"
#include "sim/frontend/mapper_machine.h"

namespace tessera {
namespace {

/// From the last product to the next tile's first, beside the epilogue's arithmetic: drain of the
/// tensor core, barriers, vector latencies.
constexpr double tile_overhead_cycles = 150;
/// The deepest ring in the names of cuBLAS's kernels (64x16_64x16: a tile, then K and stages).
constexpr std::int64_t max_stages = 16;
constexpr std::int64_t widest_tile = 256;
/// K steps of a block's share that make it worth the fix-up (CUTLASS's min_iters_per_sk_unit).
constexpr std::int64_t min_share = 8;
/// Libraries tune tiles of powers of two best, and share K only where it pays: what is more
/// unusual must be this much better.
constexpr double unusual_penalty = 1.02;
/// Up to so many rows of A the weights always take the tensor core's rows: the other way round
/// more than half of its work would be padding.
constexpr std::int64_t always_swapped_rows = 32;

/// Time of work that keeps several units busy at once, each for one of `times`: the longest, and
/// more where others are close to it, for they do not always have work for one another.
double overlapped(std::initializer_list<double> times) {
  double sum = 0;
  for (const double time : times) {
    const double cube = time * time * time;
    sum += cube * cube;
  }
  return std::cbrt(std::sqrt(sum));
}

/// Whether clusters of more than two hold so many blocks at once: a cluster lies within a group of
/// cores (H100's GPCs have 16 or 18), which leaves up to a sixteenth of the cores without one.
bool hold_clusters(const ChipConfig& chip, std::int64_t blocks) {
  return blocks <= chip.core.count - chip.core.count / 16;
}

bool is_power_of_two(std::int64_t n) { return (n & (n - 1)) == 0; }

/// Operand bytes read from DRAM.
struct Traffic {
  double whole = 0;     ///< for whole tiles
  double streamed = 0;  ///< for tiles whose K steps are shared out

  double all() const { return whole + streamed; }
};

/// With tiles walked in groups of `group` cluster rows.
Traffic operand_traffic(const SectionBuilder& section, const GemmProblem& p, const GemmTiling& t,
                        const GemmShape& s, std::int64_t group, double clusters, double capacity) {
  const double element = bits(p.operands) / 8.0;
  const double k = static_cast<double>(p.k) * element;
  const double groups = static_cast<double>(p.groups);
  const double m_bytes = static_cast<double>(s.m_side) * k;
  const double n_bytes = static_cast<double>(s.n_side) * k;
  const double row_bytes = static_cast<double>(t.tile_m * t.cluster) * k;
  const double col_bytes = static_cast<double>(t.tile_n) * k;
  const double all_rows = static_cast<double>(s.cluster_rows);
  const double share =
      static_cast<double>(t.streamed) / static_cast<double>(s.cluster_rows * s.tiles_n);
  // What the kernel before has just written is still there, unless it is too much: then reading its
  // beginning evicts its end.
  double warm = 0;
  for (const TensorIndex operand : {p.a, p.b}) {
    const Tensor& tensor = section.tensor(operand);
    if (tensor.warm) warm += static_cast<double>(tensor.size().value);
  }
  warm *= std::clamp(2 - warm / capacity, 0.0, 1.0);
  Traffic traffic;
  if (m_bytes + n_bytes <= capacity) {
    const double bytes = std::max(0.0, groups * (m_bytes + n_bytes) - warm);
    traffic.streamed = share * bytes;
    traffic.whole = bytes - traffic.streamed;
    return traffic;
  }
  // What runs at the same time: `group` cluster rows, as many columns as that leaves, or more rows
  // if there are not so many columns.
  double rows = std::min(static_cast<double>(group), all_rows);
  const double cols = std::clamp(clusters / rows, 1.0, static_cast<double>(s.tiles_n));
  rows = std::clamp(clusters / cols, rows, all_rows);
  const double window = std::min(rows * row_bytes, m_bytes) + std::min(cols * col_bytes, n_bytes);
  if (window <= capacity) {
    // A strip's rows stay while its columns pass.
    const double strips = std::ceil(all_rows / rows);
    const double again = n_bytes + rows * row_bytes <= capacity ? 1 : strips;
    traffic.whole = m_bytes + again * n_bytes;
  } else {
    // Not even one wave's operands stay: every wave reads its own.
    const double waves = all_rows * static_cast<double>(s.tiles_n) / std::max(1.0, clusters);
    traffic.whole = std::max(1.0, waves) * window;
  }
  traffic.whole = std::max(0.0, groups * std::max(traffic.whole, m_bytes + n_bytes) - warm);
  if (t.streamed == 0) return traffic;
  traffic.streamed = share * traffic.whole;
  traffic.whole -= traffic.streamed;
  if (t.stream_clusters % t.streamed == 0) return traffic;
  // Shares begin anywhere in K, so clusters that need the same rows come to them at different
  // times, unless their tiles' shares begin alike: what the L2 cannot hold of all of them is read
  // once for each of these phases. Least recently used is what is needed next, so little of twice
  // the capacity survives.
  const std::int64_t strip = std::min({group, s.cluster_rows, t.streamed});
  const std::int64_t wide = std::min(ceil_div(t.streamed, strip), s.tiles_n);
  const std::int64_t strips = ceil_div(t.streamed, strip * wide);
  // Tile i of the line begins where i * clusters / streamed has its fraction.
  const auto phases = [&](std::int64_t stride, std::int64_t tiles) {
    const std::int64_t period = t.streamed / std::gcd(stride * t.stream_clusters, t.streamed);
    return static_cast<double>(std::min(period, tiles));
  };
  const double rows_once = std::min(static_cast<double>(strip * strips) * row_bytes, m_bytes);
  const double cols_once = std::min(static_cast<double>(wide) * col_bytes, n_bytes);
  const double kept = std::clamp(2 * capacity / (rows_once + cols_once) - 1, 0.0, 1.0);
  const double apart = rows_once * phases(strip, wide) +
                       cols_once * phases(1, strip) * phases(strip * s.tiles_n, strips);
  traffic.streamed =
      std::max(traffic.streamed, kept * (rows_once + cols_once) + (1 - kept) * apart - warm);
  return traffic;
}

/// Partial sums, and what becomes of dirty lines, in bytes.
struct WriteBack {
  double partial = 0;     ///< written to be added up later
  double written = 0;     ///< to DRAM, in a run like those before it
  double read_again = 0;  ///< partial sums that did not stay until they were added up
};

/// Results that stay in the L2 until they are written again never leave (L2::begin_full).
WriteBack write_back(const SectionBuilder& section, const GemmProblem& p, const GemmTiling& t,
                     const GemmShape& s, double outputs) {
  const ChipConfig& chip = section.chip();
  const double capacity = chip.l2.size_mib * 1048576.0;
  const double copies = chip.l2.replicate_far ? chip.l2.partitions : 1;
  WriteBack w;
  if (t.splits > 1) {
    w.partial = 4 * static_cast<double>(t.splits) * outputs;
  } else if (t.streamed > 0) {
    const std::int64_t whole_tiles = t.stream_clusters % t.streamed == 0 ? t.streamed : 1;
    w.partial = 4 * static_cast<double>((t.stream_clusters - whole_tiles) * t.cluster * t.tile_m *
                                        t.tile_n);
  }
  const double dirty = 2 * outputs + w.partial;
  double taken = dirty;
  for (const TensorIndex operand : {p.a, p.b}) {
    const Tensor& tensor = section.tensor(operand);
    taken += static_cast<double>(tensor.size().value) * (tensor.warm ? copies : (1 + copies) / 2);
  }
  const double beyond = overfull_share(taken / capacity);
  const bool all_leave = dirty > capacity * chip.l2.max_dirty_percent / 100;
  w.written = (all_leave ? 1 : beyond) * dirty;
  const auto clusters = static_cast<double>(cluster_places(t, chip));
  const double waves = std::ceil(static_cast<double>(s.units) / clusters);
  if (t.splits > 1) w.read_again = beyond * w.partial * (waves - 1) / waves;
  return w;
}

std::int64_t best_group(const SectionBuilder& section, const GemmProblem& p, const GemmTiling& t,
                        const GemmShape& s, double clusters, double capacity) {
  std::int64_t best = 8;
  double least = std::numeric_limits<double>::max();
  for (const std::int64_t most : {8, 4, 16, 2, 32, 1, 64}) {
    // Strips of equal height.
    const std::int64_t group = ceil_div(s.cluster_rows, ceil_div(s.cluster_rows, most));
    const double traffic = operand_traffic(section, p, t, s, group, clusters, capacity).all();
    if (traffic < least * 0.999) {
      least = traffic;
      best = group;
    }
  }
  return best;
}

double concurrent_clusters(const GemmTiling& t, const GemmShape& s, const ChipConfig& chip) {
  return static_cast<double>(
      t.streamed > 0
          ? t.stream_clusters
          : std::min(s.units, std::max<std::int64_t>(1, chip.core.count * t.resident / t.cluster)));
}

/// Work of a core between the K steps of two tiles, in cycles.
struct TileEnd {
  double exposed = 0;   ///< until the next tile's first product
  double last = 0;      ///< after the last product of all, when all cores store at once
  double l2_share = 0;  ///< of the L2's write pipes, with all cores storing
};

TileEnd tile_end(const GemmProblem& p, const GemmTiling& t, const GemmShape& s,
                 const ChipConfig& chip, const MachineRates& rates, double active) {
  const auto elements = static_cast<double>(t.tile_m * t.tile_n);
  double vector = 0;
  if (t.splits > 1) {
    vector = elements * vector_cycles(VectorFunction::move, chip.vector_unit);
  } else {
    for (const VectorFunction f : epilogue_functions(p.epilogue)) {
      vector += elements * vector_cycles(f, chip.vector_unit);
    }
  }
  vector += static_cast<double>(hand_over_cycles(chip) * ceil_div(t.tile_n, hand_over_cols));
  // Stores move whole lines.
  const std::int64_t result = t.splits > 1 ? 4 : 2;
  const std::int64_t along = (t.swapped ? std::min(s.consumer_m, s.m_side) : s.chunk_n) * result;
  const double lines = static_cast<double>(round_up(along, std::max(1, chip.l2.line_bytes))) /
                       static_cast<double>(along);
  const double bytes = lines * static_cast<double>(std::min(t.tile_m, s.m_side)) *
                       static_cast<double>(std::min(t.tile_n, s.n_side)) *
                       static_cast<double>(result);
  const double port = bytes / rates.port_write_bytes;
  TileEnd e;
  e.l2_share = active * bytes / rates.l2_write_bytes;
  // The last buffers leave while the next tile begins.
  const auto chunks = static_cast<double>(t.tile_n / s.chunk_n);
  const double waits = std::max(0.0, 1 - static_cast<double>(s.consumer_m <= 64 ? 2 : 1) / chunks);
  e.exposed = std::max(vector, port * waits) + tile_overhead_cycles;
  e.last = std::max({vector, port, e.l2_share}) + tile_overhead_cycles;
  return e;
}

/// What one core does, without waiting for the memory.
struct CoreTime {
  double whole = 0;     ///< whole tiles
  double streamed = 0;  ///< its share of the others
};

/// K steps of `step` cycles are shared by all blocks of a core; the work between tiles goes on
/// beside another block's multiplications.
CoreTime core_time(const GemmTiling& t, const GemmShape& s, const ChipConfig& chip,
                   const MachineRates& rates, double active, double step, const TileEnd& end) {
  const std::int64_t places = std::max<std::int64_t>(1, chip.core.count / t.cluster);
  const auto steps = static_cast<double>(s.k_steps);
  // Consumers of one tile drift apart as far as the ring is deep, those that take turns by a whole
  // tile: so long one multiplies in the other's epilogue.
  double hidden = 0;
  if (t.pingpong) {
    hidden = steps * step;
  } else if (s.sharers > 1) {
    hidden = static_cast<double>(t.stages) * step / static_cast<double>(s.sharers);
  }
  const double exposed = std::max(0.0, end.exposed - hidden);
  CoreTime time;
  if (t.streamed > 0) {
    // A cluster leaves the first tile of its share to another and finishes the last one with what
    // others have left.
    const auto clusters = static_cast<double>(t.stream_clusters);
    const double share = std::ceil(static_cast<double>(t.streamed) * steps / clusters);
    const auto whole = static_cast<double>((s.units - t.streamed) / t.stream_clusters);
    const auto together = static_cast<double>(ceil_div(t.stream_clusters, places));
    const bool even = t.stream_clusters % t.streamed == 0;
    const double helpers = std::ceil(steps / share) - (even ? 1 : 0);
    const auto elements = static_cast<double>(t.tile_m * t.tile_n);
    const double leave = std::max({elements * vector_cycles(VectorFunction::move, chip.vector_unit),
                                   4 * elements / rates.port_write_bytes,
                                   active * 4 * elements / rates.l2_write_bytes});
    const double add = std::max(elements * vector_cycles(VectorFunction::combine, chip.vector_unit),
                                4 * elements / rates.port_read_bytes);
    // A part is stored, seen and read; the next one's flag is read behind its pieces.
    time.streamed = together * share * step + leave + helpers * (add + rates.l2_latency) +
                    3 * rates.l2_latency + (whole > 0 ? exposed : end.last);
    if (whole > 0) {
      time.whole =
          (whole - 1) * std::max(together * steps * step + exposed, together * end.l2_share) +
          together * steps * step + end.last;
    }
    return time;
  }
  const auto per_core = static_cast<double>(ceil_div(s.units, places));
  const double beside = std::min(static_cast<double>(t.resident), per_core);
  time.whole = (per_core - 1) * std::max(steps * step + exposed / beside, end.l2_share) +
               steps * step + end.last;
  return time;
}

}  // namespace

CostEstimate estimate_gemm(const SectionBuilder& section, const GemmProblem& p,
                           const GemmTiling& t) {
  const ChipConfig& chip = section.chip();
  const MachineRates rates(chip);
  const GemmShape s(p, t);
  const double element = bits(p.operands) / 8.0;
  const double clusters = concurrent_clusters(t, s, chip);
  const double active = std::min(rates.cores, clusters * static_cast<double>(t.cluster));

  // One K step of one block, everything in steady state.
  const double rate = std::max(1, chip.tensor_core.flops_per_cycle(p.operands));
  const double instruction_m = chip.tensor_core.operands_from_scratchpad
                                   ? static_cast<double>(std::min<std::int64_t>(64, s.consumer_m))
                                   : static_cast<double>(s.consumer_m);
  const double instructions = static_cast<double>(t.tile_m) / instruction_m;
  const double step_k = static_cast<double>(t.tile_k);
  const double operand_reads = chip.tensor_core.operands_from_scratchpad ? 1 : 2;
  const double multiply =
      instructions *
      (chip.tensor_core.issue_cycles +
       std::max(2 * instruction_m * static_cast<double>(t.tile_n) * step_k / rate,
                ((instruction_m + static_cast<double>(t.tile_n)) * operand_reads +
                 static_cast<double>(t.tile_m + t.tile_n) / instructions) *
                    step_k * element / std::max(1, chip.scratchpad.bytes_per_cycle)));
  const double m_bytes = static_cast<double>(s.m_box) * step_k * element;
  const double n_bytes = static_cast<double>(s.n_box * t.cluster) * step_k * element;
  const double from_l2 = m_bytes + n_bytes / static_cast<double>(t.cluster);
  double arithmetic = multiply;
  if (p.promoted) {
    const double promote = static_cast<double>(t.tile_m * t.tile_n) *
                           vector_cycles(VectorFunction::promote, chip.vector_unit);
    arithmetic =
        40 + (t.consumers * t.resident > 1 ? std::max(multiply, promote) : multiply + promote);
  }
  double step = overlapped({arithmetic, (m_bytes + n_bytes) / rates.port_read_bytes,
                            active * from_l2 / rates.l2_read_bytes});
  const double in_flight =
      std::min(static_cast<double>(t.resident * s.parts * t.stages) * (m_bytes + n_bytes),
               rates.in_flight_bytes);
  step = std::max(step, (m_bytes + n_bytes) * rates.hbm_latency / in_flight);

  const TileEnd end = tile_end(p, t, s, chip, rates, active);
  const double fill = rates.hbm_latency + active * from_l2 / rates.l2_read_bytes;
  const double outputs =
      static_cast<double>(p.groups) * static_cast<double>(p.m) * static_cast<double>(p.n);
  const WriteBack back = write_back(section, p, t, s, outputs);
  const CoreTime core = core_time(t, s, chip, rates, active, step, end);
  const Traffic traffic =
      operand_traffic(section, p, t, s, t.raster_group, clusters, rates.l2_capacity);

  CostEstimate estimate;
  estimate.hbm_bytes = traffic.all();
  estimate.cycles = rates.launch_gap + chip.dma.prologue_cycles + fill + rates.l2_latency +
                    (t.cluster > 1 ? 200 : 0);
  for (const auto& [busy, bytes] :
       {std::pair(core.whole, traffic.whole + back.written), {core.streamed, traffic.streamed}}) {
    estimate.cycles += overlapped({busy, bytes / rates.hbm_bytes});
  }
  if (t.splits > 1) {
    estimate.cycles +=
        rates.launch_gap +
        (1 + std::ceil(static_cast<double>(t.splits) / static_cast<double>(partials_at_once))) *
            rates.l2_latency +
        std::max(back.partial / std::min(rates.l2_read_bytes, rates.cores * rates.port_read_bytes),
                 back.read_again / rates.hbm_bytes) +
        outputs * 2 / rates.l2_write_bytes;
  }
  return estimate;
}

std::vector<GemmTiling> gemm_candidates(const SectionBuilder& section, const GemmProblem& p) {
  const ChipConfig& chip = section.chip();
  const std::int64_t element = bits(p.operands) / 8;
  const double capacity = MachineRates(chip).l2_capacity;
  std::vector<GemmTiling> candidates;
  // With as many stages as fit, and the raster that suits the L2 best.
  const auto add = [&](GemmTiling t) {
    for (t.stages = max_stages; t.stages >= 2; --t.stages) {
      if (fits(p, t, chip)) break;
    }
    if (t.stages < 2) return;
    const GemmShape shape(p, t);
    t.raster_group =
        best_group(section, p, t, shape, concurrent_clusters(t, shape, chip), capacity);
    candidates.push_back(t);
  };
  // Ways to share the K steps of too few tiles, or of the last, partial wave.
  const auto add_shared = [&](GemmTiling t) {
    if (p.gather_a) return;
    const GemmShape shape(p, t);
    const std::int64_t places = cluster_places(t, chip);
    const std::int64_t blocks = shape.units * t.cluster;
    // CUTLASS has stream-K in its cooperative kernels.
    const bool streams = t.resident == 1 && t.consumers > 1;
    if (blocks < 2 * chip.core.count) {
      for (const std::int64_t splits : {2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32}) {
        if (splits * 4 > shape.k_steps || blocks * splits > 4 * chip.core.count) break;
        t.splits = splits;
        add(t);
        if (!streams || shape.units * splits > places || splits * min_share > shape.k_steps) {
          continue;
        }
        GemmTiling fixed = t;
        fixed.splits = 1;
        fixed.streamed = shape.units;
        fixed.stream_clusters = shape.units * splits;
        add(fixed);
      }
      t.splits = 1;
    }
    const std::int64_t rest = shape.units % places;
    if (rest == 0 || !streams) return;
    t.stream_clusters = places;
    for (const std::int64_t streamed : {rest, rest + places}) {
      if (streamed > shape.units || streamed * shape.k_steps < min_share * places) continue;
      t.streamed = streamed;
      add(t);
    }
  };

  for (const bool swapped : {false, true}) {
    if (!swapped && p.m <= always_swapped_rows) continue;
    const std::int64_t m_side = swapped ? p.n : p.m;
    const std::int64_t n_side = swapped ? p.m : p.n;
    for (const std::int64_t tile_m : {128, 256, 64}) {
      if (tile_m > 64 && m_side <= tile_m / 2) continue;
      for (const std::int64_t cluster : {1, 2, 4}) {
        if (cluster > 1 && m_side <= tile_m * cluster / 2) continue;
        const std::int64_t step = 8 * cluster;
        for (std::int64_t tile_n = widest_tile; tile_n >= step; tile_n -= step) {
          if (tile_n >= 2 * round_up(n_side, 8)) continue;
          // A narrower one makes as many tiles.
          if (tile_n > step && !is_power_of_two(tile_n) &&
              ceil_div(n_side, tile_n) == ceil_div(n_side, tile_n - step)) {
            continue;
          }
          if (cluster > 2) {
            const std::int64_t rows = round_up(ceil_div(m_side, tile_m), cluster);
            if (!hold_clusters(chip, rows * ceil_div(n_side, tile_n) * p.groups)) continue;
          }
          for (const std::int64_t resident : {1, 2, 3}) {
            GemmTiling t;
            t.tile_m = tile_m;
            t.tile_n = tile_n;
            t.tile_k = std::min<std::int64_t>(128 / element, chip.dma.max_box_rows);
            t.swapped = swapped;
            t.cluster = cluster;
            t.resident = resident;
            for (const std::int64_t consumers : {2, 1}) {
              if (tile_m / consumers < 64 || tile_m / consumers > 128) continue;
              t.consumers = consumers;
              add(t);
              add_shared(t);
            }
            if (tile_m > 128 || resident > 1) continue;
            t.consumers = 2;
            t.pingpong = true;
            add(t);
          }
        }
      }
    }
  }
  return candidates;
}

GemmTiling choose_gemm(const SectionBuilder& section, const GemmProblem& p) {
  const ChipConfig& chip = section.chip();
  if (chip.tensor_core.flops_per_cycle(p.operands) == 0) {
    throw InputError(section.op().name,
                     fmt::format("{} has no tensor-core rate for {}", chip.name, name(p.operands)),
                     "choose a precision the chip supports");
  }
  if (const auto fixed = library_tiling(p, chip)) return *fixed;
  GemmTiling best;
  double least = std::numeric_limits<double>::max();
  for (const GemmTiling& t : gemm_candidates(section, p)) {
    double cycles = estimate_gemm(section, p, t).cycles;
    if (!is_power_of_two(t.tile_n)) cycles *= unusual_penalty;
    if (t.streamed > 0) cycles *= unusual_penalty;
    if (cycles < least * 0.9999) {
      least = cycles;
      best = t;
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
