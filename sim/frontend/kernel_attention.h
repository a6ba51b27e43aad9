#pragma once

#include <cstdint>
#include <string>

#include "sim/frontend/lowering_section.h"

namespace tessera {

/// Rows of Q of one consumer: the M of a matrix instruction of four warps.
constexpr std::int64_t consumer_tile_rows = 64;

/// O = softmax(Q K^T) V for each sequence and head; query i stands at position kv_len - q_len + i.
struct AttentionProblem {
  std::int64_t batch = 1, q_len = 1, kv_len = 1, heads = 1, kv_heads = 1, head_dim = 64;
  bool causal = false;
  std::int64_t window = 0;
  TensorIndex q = 0, k = 0, v = 0, o = 0;
  Format operands = Format::bf16;  ///< of the tensor core
  bool paged = false;              ///< K and V lie in pages of a cache, not one behind the other

  std::int64_t group() const { return heads / kv_heads; }
  std::int64_t past() const { return kv_len - q_len; }
};

/// How attention is cut up. A block works on rows of Q that share a KV head and walks over tiles of
/// K and V; each consumer has 64 of the rows.
struct AttentionTiling {
  std::int64_t consumers = 2;  ///< warp groups
  /// > 0: a block holds so many heads of one KV head, each with all its q_len rows, side by side in
  /// the tensor core's rows (a divisor of the group); 0: 64 rows of one head for each consumer.
  std::int64_t packed_heads = 0;
  /// Rows a consumer multiplies, softens and rescales: more than 64 where it stands for consumers
  /// of the library's block that have none of the rows in use.
  std::int64_t padded_rows = consumer_tile_rows;
  std::int64_t kv_tile = 128;
  std::int64_t stages = 2;  ///< of the K ring, and of the V ring
  std::int64_t splits = 1;  ///< of the KV sequence; > 1: a combine kernel follows
  /// Blocks among which the core's registers are dealt out, all of them: 1, or 2 where a query has
  /// K and V of its own; 0: no more registers than a block's accumulators need.
  int blocks_per_core = 0;
};

/// Sizes that follow from a tiling.
struct AttentionShape {
  AttentionShape(const SectionBuilder& section, const AttentionProblem& problem,
                 const AttentionTiling& tiling);

  std::int64_t block_heads;     ///< heads of a block
  std::int64_t consumer_heads;  ///< of which one consumer has at most so many
  std::int64_t block_rows;      ///< rows of Q of each of these heads
  std::int64_t consumer_rows;   ///< of the 64, in use
  std::int64_t q_tiles;         ///< of one head
  std::int64_t head_tiles;      ///< of one sequence
  std::int64_t pairs;           ///< batch * head_tiles
  std::int64_t section_pairs;   ///< whose K and V fit the L2 together; they run side by side
  std::int64_t kv_first;        ///< first KV tile anybody sees
  std::int64_t kv_tiles;        ///< from there to the end
  std::int64_t split_tiles;     ///< of one split, at most
  std::int64_t splits;          ///< none of them empty
  std::int64_t units;           ///< q_tiles * pairs * splits
  std::int64_t depth, value_n;  ///< head_dim as the tensor core sees it: K of QK^T, N of PV
  std::int64_t q_bytes, k_bytes, v_bytes;  ///< of a tile in the scratchpad
  std::int64_t scratchpad_bytes;
  std::int64_t consumer_registers;
};

/// Blocks a core holds.
std::int64_t resident_attention_blocks(const AttentionShape& shape, const AttentionTiling& tiling,
                                       const ChipConfig& chip);
bool fits(const SectionBuilder& section, const AttentionProblem& problem,
          const AttentionTiling& tiling);

/// The kernels that a serving library's call begins with: the new tokens' keys and values go to the
/// cache (converted to its format), and with them, if the tensor core multiplies 8 bits, quantised
/// queries to a tensor of their own; counters are cleared, and one block reads the lengths of the
/// sequences and lists the tiles.
void begin_attention_call(SectionBuilder& section, AttentionProblem& problem);

void lower_attention(SectionBuilder& section, const AttentionProblem& problem,
                     const AttentionTiling& tiling);
/// The same with the tiling the mapper chooses.
void lower_attention(SectionBuilder& section, const AttentionProblem& problem);

}  // namespace tessera
