#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "sim/base/error.h"
#include "sim/frontend/mapper.h"

namespace tessera {
namespace {

struct LibraryTile {
  std::int64_t consumers;  ///< of 64 rows of Q each
  std::int64_t kv_tile;
};

/// The tiles of FlashAttention-3 by head dimension and width of the operands, as published in its
/// source (tile_size_fwd_sm90), for caches in blocks; those of FlashAttention-2 for tensor cores
/// that take registers.
LibraryTile library_tile(const ChipConfig& chip, const AttentionProblem& p) {
  if (!chip.tensor_core.operands_from_scratchpad) {
    return {2, p.head_dim <= 64 ? 128 : 64};
  }
  if (bits(p.operands) == 8) {
    if (p.head_dim <= 64) return {3, 160};
    if (p.head_dim <= 96) return {3, 128};
    return {2, p.head_dim <= 192 ? 160 : 128};
  }
  if (p.head_dim <= 64) return {3, 128};
  if (p.head_dim <= 96) return {3, 144};
  if (p.head_dim <= 128) return {2, p.causal || p.q_len <= 64 ? 128 : 176};
  if (p.head_dim <= 192) return {2, 112};
  return {2, 80};
}

/// Splits of the KV sequence, as FlashAttention-3's published heuristic: none if the blocks fill 80
/// % of the places or the sequence has at most 4 tiles; else the fewest whose waves are at least 85
/// % as full as the fullest.
std::int64_t library_splits(std::int64_t blocks, std::int64_t places, std::int64_t kv_tiles) {
  if (5 * blocks >= 4 * places || kv_tiles <= 4) return 1;
  const std::int64_t most = std::min<std::int64_t>({128, places, kv_tiles});
  const auto fullness = [&](std::int64_t splits) {
    const std::int64_t waves = ceil_div(blocks * splits, places);
    return static_cast<double>(blocks * splits) / static_cast<double>(waves * places);
  };
  double fullest = 0;
  for (std::int64_t splits = 1; splits <= most; ++splits) {
    fullest = std::max(fullest, fullness(splits));
  }
  std::int64_t splits = 1;
  while (fullness(splits) < 0.85 * fullest) ++splits;
  return splits;
}

/// Heads of one group side by side: as many as share a block's rows.
void pack(AttentionTiling& t, const AttentionProblem& p) {
  t.packed_heads = 0;
  if (p.group() == 1 || p.q_len > consumer_tile_rows) return;
  for (std::int64_t heads = p.group(); heads > 1; --heads) {
    if (p.group() % heads != 0) continue;
    for (std::int64_t consumers = t.consumers; consumers >= 1; --consumers) {
      const std::int64_t own = ceil_div(heads, consumers);
      if (own * p.q_len > consumer_tile_rows || (consumers - 1) * own >= heads) continue;
      t.packed_heads = heads;
      t.consumers = consumers;
      return;
    }
  }
}

/// `t`, or where the core has no room for it narrower tiles of K and V, down to half, single
/// buffers, and fewer consumers, in this order.
std::optional<AttentionTiling> widest_that_fits(const SectionBuilder& section,
                                                const AttentionProblem& p,
                                                const AttentionTiling& t) {
  AttentionTiling tried = t;
  for (std::int64_t consumers = t.consumers; consumers >= 1; --consumers) {
    for (const std::int64_t stages : {2, 1}) {
      const std::int64_t least = stages == 2 ? ceil_div(t.kv_tile, 2) : 16;
      for (std::int64_t kv_tile = t.kv_tile; kv_tile >= least; kv_tile -= 16) {
        tried.consumers = consumers;
        tried.stages = stages;
        tried.kv_tile = kv_tile;
        pack(tried, p);
        if (fits(section, p, tried)) return tried;
      }
    }
  }
  return std::nullopt;
}

}  // namespace

AttentionTiling choose_attention(const SectionBuilder& section, const AttentionProblem& p) {
  const ChipConfig& chip = section.chip();
  if (chip.tensor_core.flops_per_cycle(p.operands) == 0) {
    throw InputError(section.op().name,
                     fmt::format("{} has no tensor-core rate for {}", chip.name, name(p.operands)),
                     "choose a precision the chip supports");
  }
  const LibraryTile tile = library_tile(chip, p);
  const bool packs = p.group() > 1 && p.q_len <= consumer_tile_rows;
  AttentionTiling t;
  t.consumers =
      std::min(tile.consumers, ceil_div(packs ? p.q_len * p.group() : p.q_len, consumer_tile_rows));
  t.kv_tile = tile.kv_tile;
  t.blocks_per_core = chip.tensor_core.operands_from_scratchpad != 0 ? 1 : 0;
  if (p.q_len * p.group() == 1) {
    // One query and nobody to share K and V with: tiles of 8 KiB, two blocks a core.
    const std::int64_t rows = std::max<std::int64_t>(1, 4096 / p.head_dim);
    t.kv_tile = std::min<std::int64_t>({t.kv_tile, 64, round_up(rows, 16)});
    if (t.blocks_per_core > 0) t.blocks_per_core = 2;
  } else if (t.blocks_per_core > 0 && packs && p.head_dim > 128) {
    // Beyond 128 elements a head the library has one size of block.
    t.padded_rows = tile.consumers * consumer_tile_rows / t.consumers;
  }
  std::optional<AttentionTiling> chosen = widest_that_fits(section, p, t);
  if (!chosen) {
    throw InputError(
        section.op().name,
        fmt::format("attention with heads of {} elements does not fit a core of {}", p.head_dim,
                    chip.name),
        "64 rows of Q, a tile of K and V and their accumulators share scratchpad and registers");
  }
  const AttentionShape whole(section, p, *chosen);
  const std::int64_t places = chip.core.count * resident_attention_blocks(whole, *chosen, chip);
  chosen->splits = library_splits(whole.units, places, whole.kv_tiles);
  chosen->splits = AttentionShape(section, p, *chosen).splits;  // none of them empty
  return *chosen;
}

}  // namespace tessera
