#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "sim/base/error.h"
#include "sim/frontend/layer_graph.h"
#include "sim/frontend/mapper.h"
#include "sim/frontend/mapper_machine.h"

namespace tessera {
namespace {

constexpr double tile_m = 64;
/// Barriers and dependent latencies of one step over K and V.
constexpr double step_overhead_cycles = 100;
/// Q in, first K in, result out, of one tile.
constexpr double tile_overhead_cycles = 400;

double mma_cycles(double m, double n, double k, bool a_from_registers, Format format,
                  const ChipConfig& chip) {
  const double rate = std::max(1, chip.tensor_core.flops_per_cycle(format));
  const double operands = ((a_from_registers ? 0 : m) + n) * k * bits(format) / 8.0;
  return chip.tensor_core.issue_cycles +
         std::max(2 * m * n * k / rate, operands / std::max(1, chip.scratchpad.bytes_per_cycle));
}

}  // namespace

Estimate estimate_attention(const SectionBuilder& section, const AttentionProblem& p,
                            const AttentionTiling& t) {
  const ChipConfig& chip = section.chip();
  const MachineRates rates(chip);
  const AttentionShape s(section, p, t);
  const auto kv = static_cast<double>(t.kv_tile);
  const auto consumers = static_cast<double>(t.consumers);
  const double rows = std::min(tile_m, static_cast<double>(round_up(s.consumer_rows, 16)));

  const double scores =
      mma_cycles(tile_m, kv, static_cast<double>(s.depth), false, p.operands, chip);
  const double values =
      mma_cycles(tile_m, static_cast<double>(s.value_n), kv, true, p.operands, chip);
  const double softmax = rows * kv * vector_cycles(VectorFunction::softmax, chip.vector_unit);
  double rescale = rows * static_cast<double>(s.value_n) *
                   vector_cycles(VectorFunction::rescale, chip.vector_unit);
  for (const TensorIndex operand : {p.k, p.v}) {
    if (bits(section.tensor(operand).format) != bits(p.operands)) {
      rescale += kv * static_cast<double>(p.head_dim) / consumers *
                 vector_cycles(VectorFunction::convert, chip.vector_unit);
    }
  }
  // A row of one head is fetched in whole lines.
  const auto row_bytes = [&](TensorIndex tensor) {
    const std::int64_t line = std::max(1, chip.l2.line_bytes);
    return static_cast<double>(
        round_up(bytes(section.tensor(tensor).format, p.head_dim).value, line));
  };
  const double kv_bytes = kv * (row_bytes(p.k) + row_bytes(p.v));

  // One step over K and V of the blocks a core holds.
  const double units = static_cast<double>(s.units);
  const double per_core = static_cast<double>(ceil_div(s.units, chip.core.count));
  const double together = std::min(static_cast<double>(t.resident), per_core);
  const double active = std::min(rates.cores, units);
  const double chain = scores + std::max(softmax, values) + rescale + step_overhead_cycles;
  double step =
      std::max({consumers * (scores + values), consumers * (softmax + rescale), chain / together,
                kv_bytes / rates.port_read_bytes, active * kv_bytes / rates.l2_read_bytes});
  const double in_flight =
      std::min(together * static_cast<double>(t.stages) * kv_bytes, rates.in_flight_bytes);
  step = std::max(step, kv_bytes * rates.hbm_latency / in_flight);

  // A single buffer is refilled only when its tile has been multiplied.
  if (t.stages == 1) step += rates.l2_latency / together;

  // Steps of a tile: on average, of the longest, and of the shortest.
  double steps = static_cast<double>(s.split_tiles);
  double most = steps;
  double least = steps;
  if (p.causal && s.q_tiles > 1) {
    const double seen = static_cast<double>(attention_pairs(p.q_len, p.kv_len, true, p.window)) /
                        static_cast<double>(p.q_len);
    steps = std::min(most, seen / kv + static_cast<double>(s.block_rows) / (2 * kv) + 0.5);
    least = std::min(most, static_cast<double>(p.past() + s.block_rows) / kv + 0.5);
    if (p.window > 0) {
      most = std::min(most, static_cast<double>(p.window + s.block_rows) / kv + 1);
    }
  }
  const double overhead = (tile_overhead_cycles + rates.l2_latency) / together;
  const double tile = steps * step + overhead;
  double core_time = per_core * tile;
  if (!t.persistent) {
    // Blocks go to whichever core is free, the longest first: what ends unevenly is the shortest.
    core_time = std::max(core_time * units / (per_core * active), units / active * tile) +
                (per_core > 1 ? 0.5 * std::min(least, most) * step : 0) +
                per_core * rates.hbm_latency / together / 2;
    // One core begins with the longest block and the longest of each further round of places, and
    // the longest goes on at its own pace once those beside it have ended.
    double first = 0;
    for (double place = 0; place < together; ++place) {
      first += most - (most - std::min(least, most)) * place * rates.cores / units;
    }
    core_time = std::max({core_time, first * step + overhead * together,
                          most * std::max(step, chain) + overhead * together});
  }

  Estimate estimate;
  const double kv_heads = static_cast<double>(p.batch * p.kv_heads);
  const double rows_and_heads = static_cast<double>(p.batch * p.q_len * p.heads);
  estimate.hbm_bytes = kv_heads * kv_bytes * static_cast<double>(s.kv_tiles);
  const double streamed = rows_and_heads * (row_bytes(p.q) + row_bytes(p.o));
  if (streamed > rates.l2_capacity) estimate.hbm_bytes += streamed;
  const double memory_time = estimate.hbm_bytes / rates.hbm_bytes;
  estimate.cycles = rates.launch_gap + rates.hbm_latency + std::max(core_time, memory_time) +
                    0.1 * std::min(core_time, memory_time) + rates.l2_latency;
  if (s.splits > 1) {
    const double outputs =
        static_cast<double>(p.batch * p.q_len) * static_cast<double>(p.heads * p.head_dim);
    estimate.cycles += rates.launch_gap + 2 * rates.l2_latency + rates.hbm_latency +
                       8 * static_cast<double>(s.splits) * outputs / rates.l2_read_bytes;
  }
  return estimate;
}

AttentionTiling choose_attention(const SectionBuilder& section, const AttentionProblem& p) {
  const ChipConfig& chip = section.chip();
  if (chip.tensor_core.flops_per_cycle(p.operands) == 0) {
    throw InputError(section.op().name,
                     fmt::format("{} has no tensor-core rate for {}", chip.name, name(p.operands)),
                     "choose a precision the chip supports");
  }
  AttentionTiling best;
  double least = std::numeric_limits<double>::max();
  const auto consider = [&](const AttentionTiling& t) {
    if (!fits(section, p, t)) return false;
    const double cycles = estimate_attention(section, p, t).cycles;
    if (cycles < least * 0.9999) {
      least = cycles;
      best = t;
    }
    return true;
  };

  std::vector<std::int64_t> packings;
  if (p.q_len <= 64 && p.group() > 1) {
    for (std::int64_t heads = p.group(); heads > 1; --heads) {
      if (p.group() % heads == 0) packings.push_back(heads);
    }
  }
  packings.push_back(0);
  for (const std::int64_t packed : packings) {
    for (const std::int64_t consumers : {2, 1, 3}) {
      const std::int64_t heads = std::max<std::int64_t>(1, packed);
      if (packed > 0 && ceil_div(heads, consumers) * p.q_len > 64) continue;
      if (packed == 0 && consumers > 1 && p.q_len <= (consumers - 1) * 64) continue;
      for (const std::int64_t kv_tile :
           {128, 176, 160, 144, 112, 96, 80, 64, 224, 192, 48, 32, 16}) {
        // Wider scores leave too few registers for the rest in 16 bits, as the libraries found.
        if (kv_tile > (bits(p.operands) > 8 ? 176 : 224)) continue;
        if (kv_tile > 16 && kv_tile / 2 >= round_up(p.kv_len, 16)) continue;
        for (const std::int64_t stages : {2, 3, 4, 1}) {
          for (const std::int64_t resident : {1, 2, 3, 4}) {
            AttentionTiling t;
            t.packed_heads = packed;
            t.consumers = consumers;
            t.kv_tile = kv_tile;
            t.stages = stages;
            t.resident = resident;
            t.persistent = !p.causal || packed > 0 || p.q_len <= consumers * 64;
            if (!t.persistent && resident < 4) {
              // Cores take as many blocks as they can hold.
              AttentionTiling more = t;
              ++more.resident;
              if (fits(section, p, more)) continue;
            }
            if (!consider(t)) break;
            const AttentionShape shape(section, p, t);
            if (shape.q_tiles > 1) continue;
            for (const std::int64_t splits :
                 {2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 128}) {
              if (splits > shape.kv_tiles ||
                  shape.units * splits > 4 * chip.core.count * resident) {
                break;
              }
              t.splits = splits;
              consider(t);
            }
          }
        }
      }
    }
  }
  if (least == std::numeric_limits<double>::max()) {
    throw InputError(
        section.op().name,
        fmt::format("attention with heads of {} elements does not fit a core of {}", p.head_dim,
                    chip.name),
        "64 rows of Q, a tile of K and V and their accumulators share scratchpad and registers");
  }
  return best;
}

}  // namespace tessera
