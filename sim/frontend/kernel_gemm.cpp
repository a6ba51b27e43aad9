#include "sim/frontend/kernel_gemm.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "sim/base/error.h"
#include "sim/frontend/kernel_rowwise.h"
#include "sim/frontend/mapper.h"

namespace tessera {
namespace {

/// Rows of one matrix instruction where operands stream from the scratchpad (wgmma: M = 64).
constexpr std::int64_t instruction_m = 64;
/// Addresses, pointers and the like beside the accumulators.
constexpr std::int64_t overhead_registers = 40;
constexpr std::int64_t max_consumer_registers = 255;
/// Accumulators per thread that kernel libraries go up to (cuBLAS has tiles of 320 x 128 for two
/// consumers); what is left feeds the instruction.
constexpr std::int64_t max_accumulators = 160;
/// Barriers, scheduling words.
constexpr std::int64_t barrier_bytes = 1024;

std::int64_t element_bytes(Format format) { return bits(format) / 8; }

/// Output buffers of one consumer: one is written while the other is stored.
std::int64_t output_buffers(const GemmShape& shape) { return shape.consumer_m <= 64 ? 2 : 1; }

/// A ring that hides the memory's latency; chips whose operands pass through registers have the
/// registers as one more stage.
std::int64_t min_stages(const ChipConfig& chip) {
  return chip.tensor_core.operands_from_scratchpad ? 3 : 2;
}

/// Calls body(rows) for the box of rows [unit * size, ...) of a matrix of `rows` rows. With
/// `exact` the rows behind it belong to somebody else, so the last, partial box is a smaller one;
/// without, the tensor ends there and clips it. `beyond`: units may lie past the end, and then
/// nothing is done.
template <class Body>
void for_row_box(RoleBuilder& role, const Expr& unit, std::int64_t size, std::int64_t rows,
                 bool exact, bool beyond, Body&& body) {
  const std::int64_t full = rows / size;
  const std::int64_t rest = rows % size;
  const auto guarded = [&](std::int64_t end, std::int64_t box) {
    if (beyond) {
      role.when_less(unit, end, [&] { body(box); });
    } else {
      body(box);
    }
  };
  if (rest == 0) return guarded(full, size);
  if (!exact) return guarded(full + 1, size);
  if (full > 0) role.when_less(unit, full, [&] { body(size); });
  role.when_less(full - 1, unit, [&] { guarded(full + 1, rest); });
}

/// The parts of a GEMM kernel that its roles share.
class GemmKernel {
 public:
  /// `output`: C, or the partial sums of split K. `partial`: the tiles that blocks of a streamed
  /// GEMM leave to others.
  GemmKernel(SectionBuilder& section, const GemmProblem& problem, const GemmTiling& tiling,
             TensorIndex output, TensorIndex partial = 0)
      : section_(section),
        p_(problem),
        t_(tiling),
        s_(problem, tiling),
        output_(output),
        partial_(partial) {}

  Kernel build() {
    kernel_ = section_.kernel(p_.name);
    kernel_.cluster = t_.cluster;
    kernel_.scratchpad_bytes = s_.scratchpad_bytes;
    const std::int64_t places =
        std::max<std::int64_t>(1, section_.chip().core.count * t_.resident / t_.cluster);
    clusters_ = streams() ? t_.stream_clusters : std::min(s_.units, places);
    kernel_.grid = clusters_ * t_.cluster;
    if (streams()) {
      kernel_.flags = kernel_.grid;
      seen_ = add_barrier(kernel_, "seen", 1, 1);
    }
    for (std::int64_t part = 0; part < s_.parts; ++part) rings_.push_back(rings(part));
    for (part_ = 0; part_ < s_.parts; ++part_) kernel_.roles.push_back(producer());
    if (has_residual()) {
      for (part_ = 0; part_ < s_.parts; ++part_) kernel_.roles.push_back(residual_producer());
    }
    for (part_ = 0; part_ < s_.parts; ++part_) kernel_.roles.push_back(consumer());
    return std::move(kernel_);
  }

 private:
  /// One output tile, or part of it, of the loop over tiles.
  struct Tile {
    Expr group, split;  ///< which GEMM, which part of K
    Expr row, col;      ///< M side in blocks' tiles, N side in tiles
    Expr k_begin, k_end;
    Expr helpers_end;  ///< if streamed: the clusters after this one, up to here, work on it too
  };
  /// Barriers of one pipeline.
  struct Rings {
    std::uint16_t full = 0, empty = 0, residual_full = 0, residual_empty = 0, turn = 0, scales = 0;
    std::uint16_t store_turn = 0;
  };

  std::int64_t prologue() const { return section_.chip().dma.prologue_cycles; }
  bool shares_loads() const { return t_.cluster > 1; }
  bool streams() const { return t_.streamed > 0; }
  bool has_residual() const { return p_.residual.has_value() && t_.splits == 1; }
  /// One consumer to a tile then fetches them itself.
  bool has_output_scales() const { return p_.row_scales && s_.sharers == 1; }
  /// Rows of C behind a tile belong to another group or split.
  bool exact_rows() const { return p_.groups > 1 || t_.splits > 1; }
  bool rows_beyond() const { return !t_.along_n && s_.cluster_rows * t_.cluster != s_.tiles_m; }

  std::string named(const char* what, std::int64_t part) const {
    return s_.parts > 1 ? what + std::to_string(part) : what;
  }

  Rings rings(std::int64_t part) {
    Rings r;
    r.full = add_barrier(kernel_, named("full", part), t_.stages, 1);
    r.empty = add_empty_barrier(kernel_, named("empty", part), t_.stages,
                                s_.sharers * (shares_loads() ? t_.cluster : 1));
    if (has_residual()) {
      r.residual_full = add_barrier(kernel_, named("residual_full", part), output_buffers(s_), 1);
      r.residual_empty =
          add_empty_barrier(kernel_, named("residual_empty", part), output_buffers(s_), s_.sharers);
    }
    if (has_output_scales() || p_.scales_b) {
      r.scales = add_barrier(kernel_, named("scales", part), 1, s_.sharers);
    }
    if (s_.parts > 1) {
      const auto turn = [&](const char* what) {
        return part == 0 ? add_empty_barrier(kernel_, named(what, part), 1, 1)
                         : add_barrier(kernel_, named(what, part), 1, 1);
      };
      r.turn = turn("turn");
      r.store_turn = turn("store_turn");
    }
    return r;
  }
  const Rings& next_part() const {
    return rings_[static_cast<std::size_t>((part_ + 1) % s_.parts)];
  }
  const Rings& ring() const { return rings_[static_cast<std::size_t>(part_)]; }

  template <class Body>
  void for_each_tile(RoleBuilder& role, Body&& body) {
    if (streams()) return for_each_streamed_tile(role, body);
    role.loop("tile", RoleBuilder::cluster() + part_ * clusters_, s_.units, clusters_ * s_.parts,
              [&](const Expr& unit) {
                Tile tile;
                Expr index = unit;
                if (t_.splits > 1) {
                  const std::int64_t per_split = s_.cluster_rows * s_.cluster_cols * p_.groups;
                  tile.split = role.quotient("split", index, per_split);
                  index = role.remainder("index", index, per_split);
                }
                place(role, tile, index);
                tile.k_begin = tile.split * s_.k_span;
                tile.k_end = t_.splits > 1 ? role.minimum("k_end", tile.k_begin + s_.k_span, p_.k)
                                           : Expr(p_.k);
                body(tile);
              });
  }

  /// First the cluster's share of the streamed tiles' K steps, tile by tile, then its whole tiles.
  template <class Body>
  void for_each_streamed_tile(RoleBuilder& role, Body&& body) {
    const std::int64_t steps = s_.k_steps, all = t_.streamed * steps;
    const std::int64_t whole = (s_.units - t_.streamed) / clusters_;
    const Expr from = role.quotient("from", RoleBuilder::cluster() * all, clusters_);
    const Expr to = role.quotient("to", RoleBuilder::cluster() * all + all, clusters_);
    const Expr first = role.quotient("first", from, steps);
    const Expr past = role.quotient("past", to + (steps - 1), steps);
    role.loop("tile", first, past + whole, 1, [&](const Expr& unit) {
      Expr begin = role.maximum("begin", from + unit * -steps, 0);
      Expr end = role.minimum("end", to + unit * -steps, steps);
      // Who does the tile's last step: the last cluster whose share begins at or before it.
      Expr last = role.quotient("last", unit * (steps * clusters_) + (steps * clusters_ - 1), all);
      Expr index = unit;
      if (whole > 0) {
        index = role.variable("index", unit);
        role.when_less(past + -1, unit, [&] {
          role.assign(index, (unit + past * -1) * clusters_ + RoleBuilder::cluster() + t_.streamed);
          role.assign(begin, 0);
          role.assign(end, steps);
          role.assign(last, RoleBuilder::cluster());
        });
      }
      Tile tile;
      place(role, tile, index);
      tile.k_begin = begin * t_.tile_k;
      tile.k_end = end * t_.tile_k;
      tile.helpers_end = last + 1;
      body(tile);
    });
  }

  /// Group, row and column of cluster tile `index`.
  void place(RoleBuilder& role, Tile& tile, Expr index) {
    if (p_.groups > 1) {
      const std::int64_t per_group = s_.cluster_rows * s_.cluster_cols;
      tile.group = role.quotient("group", index, per_group);
      index = role.remainder("in_group", index, per_group);
    }
    const auto [row, col] = role.raster(index, s_.cluster_rows, s_.cluster_cols, t_.raster_group);
    const auto of_rank = [&](const Expr& place, bool along) {
      return along && t_.cluster > 1 ? place * t_.cluster + RoleBuilder::rank() : place;
    };
    tile.row = of_rank(row, !t_.along_n);
    tile.col = of_rank(col, t_.along_n);
  }

  /// The block that begins a tile finishes it.
  template <class Body>
  void if_owner(RoleBuilder& role, const Tile& tile, Body&& body) {
    if (streams()) {
      role.when_less(tile.k_begin, 1, body);
    } else {
      body();
    }
  }

  /// Origin of a load's rows: inside the tensor even for tiles beyond it, whose result is dropped.
  Expr load_row(RoleBuilder& role, const Tile& tile) const {
    const Expr row = rows_beyond() ? role.minimum("load_row", tile.row, s_.tiles_m - 1) : tile.row;
    return row * t_.tile_m;
  }

  Role producer() {
    const std::int64_t warps = producer_warps / s_.parts;
    RoleBuilder role(named("producer", part_), 1, has_residual() ? warps - 1 : warps,
                     producer_registers);
    role.setup(prologue());
    const TensorIndex m_tensor = t_.swapped ? p_.b : p_.a;
    const TensorIndex n_tensor = t_.swapped ? p_.a : p_.b;
    const bool m_gathers = p_.gather_a && !t_.swapped;
    const bool n_gathers = p_.gather_a && t_.swapped;
    // The last tile's share of a block may begin beyond the tensor.
    const bool shares_n = shares_loads() && !t_.along_n, shares_m = shares_loads() && t_.along_n;
    const bool clamp_n =
        shares_n && s_.n_side - (s_.tiles_n - 1) * t_.tile_n <= (t_.cluster - 1) * s_.n_box;
    const bool clamp_m =
        shares_m && s_.m_side - (s_.tiles_m - 1) * t_.tile_m <= (t_.cluster - 1) * s_.m_box;
    for_each_tile(role, [&](const Tile& tile) {
      const Expr m_tile = load_row(role, tile);
      Expr m_row = m_tile + (m_gathers ? Expr(0) : tile.group * s_.m_side);
      if (shares_m) m_row = m_row + RoleBuilder::rank() * s_.m_box;
      if (clamp_m) m_row = role.minimum("m_row", m_row, p_.groups * s_.m_side - 1);
      Expr n_row = tile.col * t_.tile_n + (n_gathers ? Expr(0) : tile.group * s_.n_side);
      if (shares_n) n_row = n_row + RoleBuilder::rank() * s_.n_box;
      if (clamp_n) n_row = role.minimum("n_row", n_row, p_.groups * s_.n_side - 1);
      role.loop("k", tile.k_begin, tile.k_end, t_.tile_k, [&](const Expr& k) {
        role.wait(ring().empty);
        role.expect(ring().full, s_.stage_bytes);
        load(role, m_tensor, m_row, k, s_.m_box, m_gathers, shares_m);
        load(role, n_tensor, n_row, k, s_.n_box, n_gathers, shares_n);
        if (p_.scales_a) {
          const Expr block = role.quotient("block", k, scale_block);
          const Expr token = t_.swapped ? tile.col * t_.tile_n : m_tile;
          role.load(*p_.scales_a, block, token + tile.group * p_.m, 1, scale_cols());
        }
      });
      if (streams()) if_owner(role, tile, [&] { load_partial(role, tile); });
    });
    return role.take();
  }

  // --- streamed tiles ---

  /// Where a cluster's block leaves its part of a tile.
  Expr slot(const Expr& cluster) const {
    return t_.cluster > 1 ? cluster * t_.cluster + RoleBuilder::rank() : cluster;
  }
  std::int64_t piece_rows() const { return s_.sharers * s_.piece_rows; }
  Expr partial_row(const Expr& cluster, const Expr& piece) const {
    return slot(cluster) * (s_.pieces * piece_rows()) + piece * piece_rows();
  }

  /// What other clusters did of the tile comes through the ring of the operands.
  void load_partial(RoleBuilder& role, const Tile& tile) {
    role.loop("helper", RoleBuilder::cluster() + 1, tile.helpers_end, 1, [&](const Expr& helper) {
      role.await_signal(slot(helper), s_.sharers);
      // Polling sees the flag with a read of its own, and what it guards is read after that.
      role.expect(seen_, partial_cols * 4);
      role.load(partial_, partial_row(helper, 0), 0, 1, partial_cols);
      role.wait(seen_);
      role.loop("piece", 0, s_.pieces, 1, [&](const Expr& piece) {
        role.wait(ring().empty);
        role.expect(ring().full, piece_rows() * partial_cols * 4);
        role.load(partial_, partial_row(helper, piece), 0, piece_rows(), partial_cols);
      });
    });
  }

  void add_partial(RoleBuilder& role, const Tile& tile) {
    role.loop("helper", RoleBuilder::cluster() + 1, tile.helpers_end, 1, [&](const Expr&) {
      role.loop("piece", 0, s_.pieces, 1, [&](const Expr&) {
        role.wait(ring().full);
        role.vector(VectorFunction::combine, s_.piece_rows * partial_cols);
        role.arrive(ring().empty, shares_loads());
      });
    });
  }

  /// From the registers, through no buffer that would have to be free.
  void store_partial(RoleBuilder& role) {
    const Expr copy = s_.sharers > 1 ? RoleBuilder::copy() * s_.piece_rows : Expr(0);
    role.loop("piece", 0, s_.pieces, 1, [&](const Expr& piece) {
      role.vector(VectorFunction::move, s_.piece_rows * partial_cols);
      role.store(partial_, partial_row(RoleBuilder::cluster(), piece) + copy, 0, s_.piece_rows,
                 partial_cols);
    });
    role.signal(slot(RoleBuilder::cluster()));
  }

  std::int64_t scale_cols() const { return t_.swapped ? s_.n_box : s_.m_rows; }

  void load(RoleBuilder& role, TensorIndex tensor, const Expr& row, const Expr& k,
            std::int64_t rows, bool gathers, bool shared) {
    if (gathers) {
      // A gathered box has no place of its own; any row of the tensor says which tensor.
      const std::int64_t last = section_.tensor(tensor).rows - 1;
      const Expr origin =
          p_.groups > 1 || s_.tiles_m > 1 || s_.tiles_n > 1
              ? role.minimum("from", row, std::max<std::int64_t>(0, last + 1 - rows))
              : row;
      role.gather(tensor, origin, k, rows, t_.tile_k, shared);
    } else if (shared) {
      role.multicast(tensor, row, k, rows, t_.tile_k);
    } else {
      role.load(tensor, row, k, rows, t_.tile_k);
    }
  }

  /// Loops over the epilogue's steps of a tile: body(N unit index in steps of chunk_n).
  template <class Body>
  void for_each_chunk(RoleBuilder& role, const Tile& tile, Body&& body) {
    const std::int64_t per_tile = t_.tile_n / s_.chunk_n;
    const std::int64_t all = ceil_div(s_.n_side, s_.chunk_n);
    const Expr first = tile.col * per_tile;
    const Expr end = s_.tiles_n * per_tile == all ? first + per_tile
                                                  : role.minimum("end", first + per_tile, all);
    role.loop("chunk", first, end, 1, body);
  }

  Role residual_producer() {
    RoleBuilder role(named("residual", part_), 1, 1, producer_registers);
    role.setup(prologue());
    for_each_tile(
        role, [&](const Tile& tile) { if_owner(role, tile, [&] { load_residual(role, tile); }); });
    return role.take();
  }

  void load_residual(RoleBuilder& role, const Tile& tile) {
    const Expr m_row = load_row(role, tile);
    for_each_chunk(role, tile, [&](const Expr& chunk) {
      role.wait(ring().residual_empty);
      const std::int64_t size = element_bytes(section_.tensor(*p_.residual).format);
      role.expect(ring().residual_full, s_.m_rows * s_.chunk_n * size);
      if (t_.swapped) {
        role.load(*p_.residual, chunk * s_.chunk_n, m_row, s_.chunk_n, s_.m_rows);
      } else {
        role.load(*p_.residual, m_row, chunk * s_.chunk_n, s_.m_rows, s_.chunk_n);
      }
    });
  }

  Role consumer() {
    RoleBuilder role(named("consumer", part_), s_.sharers, consumer_warps, s_.consumer_registers);
    role.setup(prologue());
    for_each_tile(role, [&](const Tile& tile) {
      if (p_.promoted) {
        promoted_main_loop(role, tile);
      } else {
        main_loop(role, tile);
      }
      if (streams()) role.when_less(0, tile.k_begin, [&] { store_partial(role); });
      if_owner(role, tile, [&] {
        if (streams()) add_partial(role, tile);
        epilogue(role, tile);
      });
    });
    return role.take();
  }

  void multiply(RoleBuilder& role) {
    for (std::int64_t i = 0; i < instructions(); ++i) multiply_once(role);
  }
  /// One instruction's rows of the tile.
  void multiply_once(RoleBuilder& role) {
    role.mma(instruction_rows(), t_.tile_n, t_.tile_k, p_.operands);
  }
  std::int64_t instruction_rows() const { return s_.consumer_m / instructions(); }
  std::int64_t instructions() const {
    return section_.chip().tensor_core.operands_from_scratchpad
               ? ceil_div(s_.consumer_m, instruction_m)
               : 1;
  }

  /// One K step in flight: a stage is released when the next step has been issued. Consumers that
  /// take turns hand over once the last step is issued.
  void main_loop(RoleBuilder& role, const Tile& tile) {
    const bool turns = s_.parts > 1;
    if (turns) role.wait(ring().turn);
    role.wait(ring().full);
    multiply(role);
    role.loop("k", tile.k_begin + t_.tile_k, tile.k_end, t_.tile_k, [&](const Expr&) {
      role.wait(ring().full);
      multiply(role);
      role.mma_wait(instructions());
      role.arrive(ring().empty, shares_loads());
    });
    if (turns) role.arrive(next_part().turn);
    role.mma_wait(0);
    role.arrive(ring().empty, shares_loads());
  }

  /// Partial sums of 128 k are added to FP32 registers (scaled on the way, in the same
  /// instruction), those of 64 rows at a time; the other consumer multiplies meanwhile.
  void promoted_main_loop(RoleBuilder& role, const Tile& tile) {
    const ScratchpadConfig& scratchpad = section_.chip().scratchpad;
    if (p_.scales_b) load_block_scales(role, tile);
    role.loop("k", tile.k_begin, tile.k_end, t_.tile_k, [&](const Expr&) {
      role.wait(ring().full);
      for (std::int64_t i = 0; i < instructions(); ++i) {
        // The scales have to be read before the products are issued: A's, then B's.
        if (p_.scales_a) role.setup(std::int64_t{2} * scratchpad.latency_cycles);
        multiply_once(role);
        role.mma_wait(0);
        if (i + 1 == instructions()) role.arrive(ring().empty, shares_loads());
        role.vector(VectorFunction::promote, instruction_rows() * t_.tile_n);
      }
    });
  }

  /// The consumers themselves fetch B's scales before a tile, of all its k.
  void load_block_scales(RoleBuilder& role, const Tile& tile) {
    const Expr first = role.quotient("scale_row", tile.col * t_.tile_n, scale_block);
    const std::int64_t blocks = ceil_div(p_.k, scale_block);
    const std::int64_t spans =
        scale_block % t_.tile_n == 0 ? 1 : ceil_div(t_.tile_n, scale_block) + 1;
    const std::int64_t rows = std::min(spans, ceil_div(p_.n, scale_block));
    role.expect(ring().scales, 4 * rows * blocks);
    role.load(*p_.scales_b, first, 0, rows, blocks);
    role.wait(ring().scales);
  }

  void epilogue(RoleBuilder& role, const Tile& tile) {
    const Expr unit = s_.sharers > 1 ? tile.row * s_.sharers + RoleBuilder::copy() : tile.row;
    const bool beyond =
        (t_.along_n ? s_.cluster_rows : s_.cluster_rows * t_.cluster) * s_.sharers !=
        ceil_div(s_.m_side, s_.consumer_m);
    const std::int64_t elements = s_.consumer_m * s_.chunk_n;
    const bool turns = s_.parts > 1;
    if (turns) role.wait(ring().store_turn);
    if (has_output_scales()) load_output_scales(role, tile);
    for_each_chunk(role, tile, [&](const Expr& chunk) {
      if (has_residual()) role.wait(ring().residual_full);
      if (t_.splits > 1) {
        role.vector(VectorFunction::move, elements);
      } else {
        apply_epilogue(role, p_.epilogue, elements);
      }
      if (has_residual()) role.arrive(ring().residual_empty);
      // The buffer about to be written must have left.
      role.store_wait(p_.qkv ? 0 : output_buffers(s_) - 1);
      role.setup(hand_over_cycles(section_.chip()) * ceil_div(s_.chunk_n, hand_over_cols));
      const Expr group_row = (tile.split * p_.groups + tile.group) * p_.m;
      if (t_.swapped) {
        for_row_box(role, unit, s_.consumer_m, s_.m_side, false, beyond, [&](std::int64_t width) {
          for_row_box(
              role, chunk, s_.chunk_n, s_.n_side, exact_rows(), false, [&](std::int64_t rows) {
                store(role, group_row + chunk * s_.chunk_n, unit * s_.consumer_m, rows, width);
              });
        });
      } else {
        for_row_box(
            role, unit, s_.consumer_m, s_.m_side, exact_rows(), beyond, [&](std::int64_t rows) {
              store(role, group_row + unit * s_.consumer_m, chunk * s_.chunk_n, rows, s_.chunk_n);
            });
      }
    });
    if (turns) {
      // The buffers are shared: the other consumer may write them once they have left.
      role.store_wait(0);
      role.arrive(next_part().store_turn);
    }
  }

  /// The tile's scales come when it is finished, not before: those of the columns through the
  /// scratchpad, with a barrier, then those of the rows.
  void load_output_scales(RoleBuilder& role, const Tile& tile) {
    const auto load_scales = [&](TensorIndex scales, bool m_side) {
      const std::int64_t count = m_side ? s_.m_rows : std::min(t_.tile_n, s_.n_side);
      role.expect(ring().scales, 4 * count);
      role.load(scales, 0, m_side ? load_row(role, tile) : tile.col * t_.tile_n, 1, count);
      role.wait(ring().scales);
    };
    if (p_.col_scales) load_scales(*p_.col_scales, t_.swapped);
    load_scales(*p_.row_scales, !t_.swapped);
  }

  void store(RoleBuilder& role, const Expr& row, const Expr& col, std::int64_t rows,
             std::int64_t cols) {
    if (p_.qkv && t_.splits == 1) {
      store_qkv(role, *p_.qkv, output_, row, col, rows, cols);
    } else {
      role.store(output_, row, col, rows, cols);
    }
  }

  SectionBuilder& section_;
  const GemmProblem& p_;
  const GemmTiling& t_;
  const GemmShape s_;
  const TensorIndex output_, partial_;
  Kernel kernel_;
  std::int64_t clusters_ = 1;
  std::vector<Rings> rings_;  // by part
  std::uint16_t seen_ = 0;    // if streamed: a flag has been read
  std::int64_t part_ = 0;     // the pipeline whose role is being written
};

void lower_combine(SectionBuilder& section, const GemmProblem& problem, std::int64_t splits,
                   TensorIndex partial) {
  RowwiseProblem combine;
  combine.name = problem.name.empty() ? "combine" : problem.name + ".combine";
  combine.rows = problem.groups * problem.m;
  combine.cols = problem.n;
  combine.inputs.push_back({partial});
  combine.inputs.back().slabs = splits;
  combine.inputs.back().slab_rows = combine.rows;
  combine.inputs.back().slabs_at_once = partials_at_once;
  combine.steps.push_back({VectorFunction::combine, static_cast<double>(splits)});
  for (const VectorFunction f : epilogue_functions(problem.epilogue)) combine.steps.push_back({f});
  if (problem.residual) combine.inputs.push_back({*problem.residual});
  combine.output = problem.c;
  combine.qkv = problem.qkv;
  lower_rowwise(section, combine);
}

}  // namespace

std::int64_t QkvOutput::rows_together(std::int64_t rows) const {
  return batch == 1 || past() == 0 ? rows : std::gcd(rows, q_len);
}

void store_qkv(RoleBuilder& role, const QkvOutput& qkv, TensorIndex q, const Expr& row,
               const Expr& col, std::int64_t rows, std::int64_t cols) {
  // Columns that lie wholly in the queries, the keys or the values.
  const std::int64_t width = std::gcd(cols, std::gcd(qkv.q_cols, qkv.kv_cols));
  const std::int64_t height = qkv.rows_together(rows);
  const std::int64_t k_end = qkv.q_cols + qkv.kv_cols;
  const Expr end =
      cols == width ? col + cols : role.minimum("col_end", col + cols, k_end + qkv.kv_cols);
  role.loop("piece", col, end, width, [&](const Expr& piece) {
    role.when_less(piece, qkv.q_cols, [&] { role.store(q, row, piece, rows, width); });
    const auto append = [&](TensorIndex tensor, std::int64_t first_col) {
      if (height == rows) {
        role.store(tensor, row + (qkv.batch == 1 ? qkv.past() : 0), piece + -first_col, rows,
                   width);
        return;
      }
      const Expr row_end = role.minimum("row_end", row + rows, qkv.batch * qkv.q_len);
      role.loop("token", row, row_end, height, [&](const Expr& token) {
        const Expr sequence = role.quotient("sequence", token, qkv.q_len);
        role.store(tensor, token + sequence * qkv.past() + qkv.past(), piece + -first_col, height,
                   width);
      });
    };
    role.when_less(qkv.q_cols - 1, piece, [&] {
      role.when_less(piece, k_end, [&] { append(qkv.k, qkv.q_cols); });
      role.when_less(k_end - 1, piece, [&] { append(qkv.v, k_end); });
    });
  });
}

GemmShape::GemmShape(const GemmProblem& problem, const GemmTiling& tiling) {
  m_side = tiling.swapped ? problem.n : problem.m;
  n_side = tiling.swapped ? problem.m : problem.n;
  tiles_m = ceil_div(m_side, tiling.tile_m);
  tiles_n = ceil_div(n_side, tiling.tile_n);
  cluster_rows = tiling.along_n ? tiles_m : ceil_div(tiles_m, tiling.cluster);
  cluster_cols = tiling.along_n ? tiles_n / tiling.cluster : tiles_n;
  units = cluster_rows * cluster_cols * problem.groups * tiling.splits;
  k_span = round_up(ceil_div(problem.k, tiling.splits), tiling.tile_k);
  k_steps = ceil_div(std::min(k_span, problem.k), tiling.tile_k);
  sharers = tiling.pingpong ? 1 : tiling.consumers;
  parts = tiling.pingpong ? tiling.consumers : 1;
  consumer_m = tiling.tile_m / sharers;
  m_rows = std::min(tiling.tile_m, m_side);
  m_box = tiling.along_n ? tiling.tile_m / tiling.cluster : m_rows;
  if (tiling.along_n) m_rows = tiling.tile_m;
  const bool shares_n = tiling.cluster > 1 && !tiling.along_n;
  n_box = shares_n ? tiling.tile_n / tiling.cluster : std::min(tiling.tile_n, n_side);
  const std::int64_t n_rows = shares_n ? tiling.tile_n : n_box;

  const std::int64_t operand = element_bytes(problem.operands);
  stage_bytes = (m_rows + n_rows) * tiling.tile_k * operand;
  const std::int64_t stage_room = (tiling.tile_m + tiling.tile_n) * tiling.tile_k * operand;
  std::int64_t scale_bytes = 0;
  if (problem.scales_a) {
    scale_bytes = 4 * (tiling.swapped ? n_box : m_rows);
    stage_bytes += scale_bytes;
  }

  // An epilogue step is at least a line of 128 bytes wide where rows of C run along the N side.
  const std::int64_t result = tiling.splits > 1 ? 4 : 2;
  chunk_n = result == 4 && !tiling.swapped ? 32 : 64;
  if (tiling.swapped) chunk_n = consumer_m > 64 ? 32 : 64;
  if (tiling.swapped || chunk_n > tiling.tile_n) {
    while (tiling.tile_n % chunk_n != 0) chunk_n /= 2;
  } else {
    // The narrowest step of whole lines at least that divides the tile.
    while (tiling.tile_n % chunk_n != 0) chunk_n += 8;
  }
  // Partial tiles lie in memory as threads hold them, in whole lines.
  const std::int64_t lines = consumer_m * tiling.tile_n / partial_cols;
  pieces = ceil_div(tiling.tile_n, partial_cols);
  while (lines % pieces != 0) ++pieces;
  piece_rows = lines / pieces;
  const std::int64_t row_bytes = output_buffers(*this) * chunk_n * result;
  std::int64_t epilogue_bytes = tiling.consumers * consumer_m * row_bytes;
  if (problem.residual && tiling.splits == 1) {
    epilogue_bytes += parts * output_buffers(*this) * tiling.tile_m * chunk_n * result;
  }
  scratchpad_bytes =
      parts * tiling.stages * (stage_room + scale_bytes) + epilogue_bytes + barrier_bytes;

  const std::int64_t threads = consumer_warps * 32;
  std::int64_t accumulators = ceil_div(consumer_m * tiling.tile_n, threads);
  if (problem.promoted)
    accumulators += ceil_div(std::min(consumer_m, instruction_m) * tiling.tile_n, threads);
  consumer_registers = std::max<std::int64_t>(64, round_up(accumulators + overhead_registers, 8));
}

std::int64_t hand_over_cycles(const ChipConfig& chip) {
  return std::int64_t{2} * chip.barrier.latency_cycles + chip.scratchpad.latency_cycles;
}

std::int64_t cluster_places(const GemmTiling& tiling, const ChipConfig& chip) {
  return chip.core.count / tiling.cluster * tiling.resident;
}

namespace {

/// Whether the ways to share a tile go together.
bool agrees(const GemmProblem& problem, const GemmTiling& tiling, const ChipConfig& chip) {
  if (tiling.along_n) {
    return !tiling.swapped && tiling.streamed == 0 && tiling.tile_m % tiling.cluster == 0 &&
           GemmShape(problem, tiling).tiles_n % tiling.cluster == 0;
  }
  if (tiling.pingpong) {
    return tiling.consumers == 2 && tiling.streamed == 0 && !problem.promoted;
  }
  if (tiling.streamed == 0) return true;
  if (tiling.splits > 1 || problem.groups > 1) return false;
  const GemmShape shape(problem, tiling);
  // All shares have work and all whole tiles a block; who waits for a share finds it running.
  if (tiling.stream_clusters < 2 || tiling.streamed > shape.units ||
      tiling.streamed * shape.k_steps < tiling.stream_clusters ||
      (shape.units - tiling.streamed) % tiling.stream_clusters != 0 ||
      tiling.stream_clusters > cluster_places(tiling, chip)) {
    return false;
  }
  // A piece of a partial tile is one box, and fits a stage.
  const std::int64_t rows = shape.sharers * shape.piece_rows;
  return rows <= chip.dma.max_box_rows &&
         rows * partial_cols * 4 <=
             (tiling.tile_m + tiling.tile_n) * tiling.tile_k * element_bytes(problem.operands);
}

}  // namespace

bool fits(const GemmProblem& problem, const GemmTiling& tiling, const ChipConfig& chip) {
  if (tiling.consumers < 1 || tiling.cluster < 1 || tiling.stages < min_stages(chip) ||
      tiling.splits < 1) {
    return false;
  }
  if (tiling.tile_m % tiling.consumers != 0 || tiling.tile_n % (8 * tiling.cluster) != 0 ||
      !agrees(problem, tiling, chip)) {
    return false;
  }
  const GemmShape shape(problem, tiling);
  const std::int64_t box = chip.dma.max_box_rows;
  if (shape.m_box > box || shape.n_box > box || tiling.tile_k > box) return false;
  if (shape.consumer_registers > max_consumer_registers) return false;
  if (shape.consumer_m * tiling.tile_n > max_accumulators * consumer_warps * 32) return false;
  // Each split has work.
  if (tiling.splits > 1 && (tiling.splits - 1) * shape.k_span >= problem.k) return false;
  if (tiling.cluster > 1 &&
      (!chip.dma.multicast || tiling.cluster > std::min(chip.core.max_cluster, chip.core.count))) {
    return false;
  }
  const std::int64_t scratchpad = shape.scratchpad_bytes + chip.scratchpad.reserved_per_block_bytes;
  if (scratchpad * tiling.resident > std::int64_t{chip.scratchpad.size_kib} * 1024) return false;
  const std::int64_t registers =
      32 * (producer_warps * producer_registers +
            tiling.consumers * consumer_warps * shape.consumer_registers);
  if (registers * tiling.resident > chip.core.registers) return false;
  const std::int64_t warps = producer_warps + tiling.consumers * consumer_warps;
  return warps * tiling.resident <= chip.core.max_warps && tiling.resident <= chip.core.max_blocks;
}

void lower_gemm(SectionBuilder& section, const GemmProblem& problem, const GemmTiling& tiling) {
  if (tiling.streamed > 0) {
    const GemmShape shape(problem, tiling);
    const TensorIndex partial = section.workspace(
        problem.name.empty() ? "partial" : problem.name + ".partial", Format::fp32,
        tiling.stream_clusters * tiling.cluster * shape.sharers * shape.pieces * shape.piece_rows,
        partial_cols);
    section.add(GemmKernel(section, problem, tiling, problem.c, partial).build());
    return;
  }
  if (tiling.splits == 1) {
    section.add(GemmKernel(section, problem, tiling, problem.c).build());
    return;
  }
  const TensorIndex partial =
      section.workspace(problem.name.empty() ? "partial" : problem.name + ".partial", Format::fp32,
                        tiling.splits * problem.groups * problem.m, problem.n);
  section.add(GemmKernel(section, problem, tiling, partial).build());
  lower_combine(section, problem, tiling.splits, partial);
}

void lower_gemm(SectionBuilder& section, const GemmProblem& problem) {
  lower_gemm(section, problem, choose_gemm(section, problem));
}

}  // namespace tessera
