#pragma once

#include <cstdint>
#include <string>

#include "sim/frontend/lowering_section.h"

namespace tessera {

/// O = softmax(Q K^T) V for each sequence and head; query i stands at position kv_len - q_len + i.
struct AttentionProblem {
  std::int64_t batch = 1, q_len = 1, kv_len = 1, heads = 1, kv_heads = 1, head_dim = 64;
  bool causal = false;
  std::int64_t window = 0;
  TensorIndex q = 0, k = 0, v = 0, o = 0;
  Format operands = Format::bf16;  ///< of the tensor core

  std::int64_t group() const { return heads / kv_heads; }
  std::int64_t past() const { return kv_len - q_len; }
};

/// How attention is cut up. A block works on `consumers` x `consumer_rows` rows of Q of one KV head
/// and walks over tiles of K and V.
struct AttentionTiling {
  std::int64_t consumers = 2;     ///< warp groups, 64 rows of the tensor core each
  std::int64_t packed_heads = 0;  ///< > 0: heads of a KV group in the rows of one consumer, each
                                  ///< with all its q_len rows; 0: rows of one head
  std::int64_t kv_tile = 128;
  std::int64_t stages = 2;    ///< of the K ring, and of the V ring
  std::int64_t splits = 1;    ///< of the KV sequence; > 1: a combine kernel follows
  std::int64_t resident = 1;  ///< blocks a core is meant to hold
  bool persistent = false;    ///< one block a core loops over tiles; else a block a tile
};

/// Sizes that follow from a tiling.
struct AttentionShape {
  AttentionShape(const SectionBuilder& section, const AttentionProblem& problem,
                 const AttentionTiling& tiling);

  std::int64_t q_rows;          ///< rows of Q of one head in a block (its tile, or q_len if packed)
  std::int64_t q_tiles;         ///< tiles of one head
  std::int64_t head_tiles;      ///< heads, or bundles of packed heads, of one sequence
  std::int64_t units;           ///< blocks' tiles, splits included
  std::int64_t kv_blocks;       ///< tiles of the KV sequence
  std::int64_t split_blocks;    ///< of which one split has at most so many
  std::int64_t depth, value_n;  ///< head_dim as the tensor core sees it: K of QK^T, N of PV
  std::int64_t scratchpad_bytes;
  std::int64_t consumer_registers;
};

bool fits(const SectionBuilder& section, const AttentionProblem& problem,
          const AttentionTiling& tiling);

void lower_attention(SectionBuilder& section, const AttentionProblem& problem,
                     const AttentionTiling& tiling);
/// The same with the tiling the mapper chooses.
void lower_attention(SectionBuilder& section, const AttentionProblem& problem);

}  // namespace tessera
