#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sim/frontend/lowering_section.h"
#include "sim/frontend/program_builder.h"

namespace tessera {

/// Where the columns of a fused QKV result go: queries stay in the output tensor, keys and values
/// are appended to theirs (layer_graph.h).
struct QkvOutput {
  std::int64_t q_cols = 0, kv_cols = 0;  ///< columns of the queries; of the keys, and of the values
  std::int64_t batch = 1, q_len = 0, kv_len = 0;
  TensorIndex k = 0, v = 0;

  std::int64_t past() const { return kv_len - q_len; }
  /// Rows of one box that go to consecutive cache rows, at most `rows`.
  std::int64_t rows_together(std::int64_t rows) const;
};

/// Whose kernels run a GEMM, and with them who chooses tiles (gemm_library.h).
enum class GemmLibrary : std::uint8_t {
  tuned,      ///< the vendor's: every form of kernel, the fastest by estimate
  cutlass,    ///< serving stacks' scaled fp8 GEMM: a few instances, chosen by the rows of A
  deep_gemm,  ///< block-scaled fp8: tiles of many widths, chosen by waves, K never split
};

/// C[m,n] = A[m,k] B[n,k]^T, `groups` times on consecutive rows of A, B and C.
struct GemmProblem {
  std::string name;  ///< suffix of the kernel's name
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t groups = 1;
  TensorIndex a = 0, b = 0, c = 0;
  std::optional<TensorIndex> residual;
  Format operands = Format::bf16;
  GemmLibrary library = GemmLibrary::tuned;
  Epilogue epilogue;
  bool promoted = false;  ///< FP32 accumulation by promotion every 128 k
  /// In FP32, with promoted: of each row and 128 k, [ceil(k/128), groups*m]; of each block of
  /// 128 x 128 weights, [ceil(n/128), ceil(k/128)].
  std::optional<TensorIndex> scales_a, scales_b;
  /// In FP32, [1, m] and [1, n]: the epilogue multiplies by them.
  std::optional<TensorIndex> row_scales, col_scales;
  bool gather_a = false;  ///< rows of A come through an index
  std::optional<QkvOutput> qkv;
};

/// How a GEMM kernel is cut up. The M side is the operand whose rows are rows of the tensor core's
/// result: A, or B when `swapped` (few rows of A: weights then fill the 64 rows a matrix
/// instruction has, activations its small N).
struct GemmTiling {
  std::int64_t tile_m = 128, tile_n = 128, tile_k = 64;  ///< M side, N side, K, in elements
  bool swapped = false;
  std::int64_t consumers = 1;     ///< warp groups; each works on tile_m / consumers rows
  std::int64_t stages = 4;        ///< of the operand ring
  std::int64_t cluster = 1;       ///< blocks on neighbouring M tiles that share the N side's loads
  bool along_n = false;           ///< the cluster's are neighbours along N, and share the M side's
  std::int64_t splits = 1;        ///< of K; > 1: FP32 partial sums, then a combine kernel
  std::int64_t raster_group = 8;  ///< clusters of rows walked together
  std::int64_t resident = 1;      ///< blocks a core is meant to hold
  /// The two consumers take turns at whole tiles, each with a ring of `stages` of its own: one
  /// multiplies while the other stores. Otherwise they share a tile.
  bool pingpong = false;
  /// Stream-K: the K steps of the first `streamed` cluster tiles are dealt out evenly, in one line,
  /// to `stream_clusters` clusters of blocks, all resident at once; the other tiles stay whole. The
  /// block that begins a tile adds what the others did of it. With all tiles streamed to `splits`
  /// times as many clusters this is split K without a second kernel.
  std::int64_t streamed = 0;
  std::int64_t stream_clusters = 0;
};

/// Sizes that follow from a tiling.
struct GemmShape {
  GemmShape(const GemmProblem& problem, const GemmTiling& tiling);

  std::int64_t m_side, n_side;    ///< rows of the two operands, of one group
  std::int64_t tiles_m, tiles_n;  ///< of one group
  std::int64_t cluster_rows;      ///< rows of clusters of one group
  std::int64_t cluster_cols;      ///< columns of them
  std::int64_t units;             ///< cluster tiles of all groups and splits
  std::int64_t k_span;            ///< k of one split, a multiple of tile_k
  std::int64_t k_steps;           ///< of a whole split
  std::int64_t sharers;           ///< consumers that share a tile
  std::int64_t parts;             ///< pipelines of a block: rings with their producer and consumers
  std::int64_t consumer_m;        ///< M rows of one consumer
  std::int64_t m_rows;            ///< M rows a stage holds
  std::int64_t m_box, n_box;      ///< rows of the loads (of one block of the cluster)
  std::int64_t stage_bytes;
  std::int64_t chunk_n;             ///< N rows of one epilogue step
  std::int64_t pieces, piece_rows;  ///< of a consumer's partial tile: pieces, their rows in memory
  std::int64_t scratchpad_bytes;    ///< of a block
  std::int64_t consumer_registers;  ///< per thread
};

/// Warps and registers of the roles that only issue loads.
constexpr std::int64_t producer_warps = 4;
constexpr std::int64_t producer_registers = 24;
constexpr std::int64_t consumer_warps = 4;
/// k, and rows of B, per scale of block-scaled fp8.
constexpr std::int64_t scale_block = 128;
/// FP32 columns of partial tiles in memory: a line.
constexpr std::int64_t partial_cols = 32;
/// Partial sums of an element that a thread of split K's second kernel has under way.
constexpr std::int64_t partials_at_once = 4;

/// Columns that an epilogue hands from registers to the copy engine at a time, and how long that
/// takes: all warps know that the buffer is free, write it, and know that all have.
constexpr std::int64_t hand_over_cols = 32;
std::int64_t hand_over_cycles(const ChipConfig& chip);

/// Clusters of blocks that the chip is meant to hold at a time.
std::int64_t cluster_places(const GemmTiling& tiling, const ChipConfig& chip);

/// Whether a tiling fits the chip (scratchpad, registers, warps, box sizes, cluster).
bool fits(const GemmProblem& problem, const GemmTiling& tiling, const ChipConfig& chip);

/// Adds the kernel, and for splits > 1 the one that combines, to the section.
void lower_gemm(SectionBuilder& section, const GemmProblem& problem, const GemmTiling& tiling);
/// The same with the tiling the mapper chooses.
void lower_gemm(SectionBuilder& section, const GemmProblem& problem);

/// The box [rows x cols] at (row, col) of a fused QKV result, from a consumer's scratchpad to
/// wherever its elements belong. `limit`: first row not of this box (for boxes clipped by the end).
void store_qkv(RoleBuilder& role, const QkvOutput& qkv, TensorIndex q, const Expr& row,
               const Expr& col, std::int64_t rows, std::int64_t cols);

}  // namespace tessera
