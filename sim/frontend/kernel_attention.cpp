#include "sim/frontend/kernel_attention.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "sim/frontend/kernel_gemm.h"
#include "sim/frontend/kernel_rowwise.h"
#include "sim/frontend/mapper.h"
#include "sim/frontend/mapper_machine.h"
#include "sim/frontend/program_builder.h"

namespace tessera {
namespace {

constexpr std::int64_t overhead_registers = 28;
constexpr std::int64_t most_registers = 248;  ///< of a thread, a multiple of 8
constexpr std::int64_t barrier_bytes = 1024;
/// Dependent reads at the beginning of a block.
constexpr double lookups = 5;
/// Between a thread's copies of 16 bytes from a paged cache: its address comes from another thread
/// (a shuffle), then a product and a sum. Derived: a tile of 80 keys of 256 elements, 40 copies a
/// thread, takes 3,800 cycles where multiplies and exponentials take 3,500
/// (ai-dynamo/aiconfigurator, bf16 prefill, H100); 60 to 100.
constexpr std::int64_t gather_cycles = 95;
/// The list of tiles is made by sequence: a warp counts the tiles of 32 at a time, by a prefix sum.
constexpr std::int64_t sequences_at_a_time = 32;
/// Of the probabilities on their way to an 8-bit operand: scaled and packed, permuted, exchanged.
constexpr std::int64_t operand_passes = 3;

std::int64_t box_width(const ChipConfig& chip) {
  return std::clamp<std::int64_t>(chip.dma.max_box_rows, 1, 256);
}

class AttentionKernel {
 public:
  AttentionKernel(SectionBuilder& section, const AttentionProblem& problem,
                  const AttentionTiling& tiling, TensorIndex output)
      : section_(section), p_(problem), t_(tiling), s_(section, problem, tiling), output_(output) {
    tail_ = p_.batch > 1 ? p_.kv_len % t_.kv_tile : 0;
    full_tiles_ = p_.kv_len / t_.kv_tile;
  }

  Kernel build() {
    kernel_ = section_.kernel("");
    kernel_.scratchpad_bytes = s_.scratchpad_bytes;
    kernel_.grid = s_.units;
    q_full_ = add_barrier(kernel_, "q_full", 1, 1);
    k_full_ = add_barrier(kernel_, "k_full", t_.stages, 1);
    k_empty_ = add_empty_barrier(kernel_, "k_empty", t_.stages, t_.consumers);
    v_full_ = add_barrier(kernel_, "v_full", t_.stages, 1);
    v_empty_ = add_empty_barrier(kernel_, "v_empty", t_.stages, t_.consumers);
    kernel_.roles.push_back(producer());
    kernel_.roles.push_back(consumer());
    return std::move(kernel_);
  }

 private:
  /// The tile one block works on.
  struct Unit {
    Expr split, sequence, head, kv_head, q_tile;  ///< head: the first of the block's
    Expr begin, end;                              ///< KV tiles
  };

  Unit unit(RoleBuilder& role) {
    Unit u;
    Expr index = RoleBuilder::cluster();
    const std::int64_t per_split = s_.pairs * s_.q_tiles;
    if (s_.splits > 1) {
      u.split = role.quotient("split", index, per_split);
      index = role.remainder("index", index, per_split);
    }
    Expr pair = index;
    if (s_.q_tiles > 1) {
      // Heads whose K and V share the L2 run together, their longest tiles (the last, if causal)
      // first.
      const std::int64_t per_section = s_.section_pairs * s_.q_tiles;
      const Expr section = role.quotient("section", index, per_section);
      const Expr inside = role.remainder("inside", index, per_section);
      const Expr back = role.quotient("back", inside, s_.section_pairs);
      u.q_tile = back * -1 + (s_.q_tiles - 1);
      pair = section * s_.section_pairs + role.remainder("pair", inside, s_.section_pairs);
    }
    u.sequence = role.quotient("sequence", pair, s_.head_tiles);
    const Expr head_tile = role.remainder("head_tile", pair, s_.head_tiles);
    u.kv_head = role.quotient("kv_head", head_tile, p_.group() / s_.block_heads);
    u.head = head_tile * s_.block_heads;
    kv_range(role, u);
    return u;
  }

  void kv_range(RoleBuilder& role, Unit& u) {
    u.begin = s_.kv_first;
    u.end = s_.kv_first + s_.kv_tiles;
    if (s_.q_tiles > 1 && p_.causal) {
      const Expr first = u.q_tile * s_.block_rows;
      const Expr seen = role.minimum("seen", first + s_.block_rows, p_.q_len) + p_.past();
      u.end = role.quotient("kv_end", seen + (t_.kv_tile - 1), t_.kv_tile);
      if (p_.window > 0) {
        const Expr oldest = role.maximum("oldest", first + (p_.past() - p_.window + 1), 0);
        u.begin = role.quotient("kv_begin", oldest, t_.kv_tile);
      }
    }
    if (s_.splits == 1) return;
    if (RoleBuilder::is_constant(u.end)) {
      u.begin = u.split * s_.split_tiles + u.begin;
      u.end = role.minimum("kv_end", u.begin + s_.split_tiles, u.end);
      return;
    }
    // An equal part of what this tile of Q sees: begin + split * part, by additions.
    const Expr part = role.quotient("part", u.end + u.begin * -1 + (s_.splits - 1), s_.splits);
    const Expr begin = role.variable("first", u.begin);
    role.loop("earlier", 0, u.split, 1, [&](const Expr&) { role.assign(begin, begin + part); });
    u.begin = begin;
    u.end = role.minimum("last", begin + part, u.end);
  }

  /// A box of rows x cols in pieces the copy engine takes.
  void load(RoleBuilder& role, TensorIndex tensor, const Expr& row, const Expr& col,
            std::int64_t rows, std::int64_t cols) {
    const std::int64_t width = box_width(section_.chip());
    const std::int64_t whole = cols - cols % width;
    if (whole > 0) {
      role.loop("part", 0, whole, width,
                [&](const Expr& part) { role.load(tensor, row, col + part, rows, width); });
    }
    if (cols > whole) role.load(tensor, row, col + whole, rows, cols - whole);
  }

  std::int64_t box_bytes(TensorIndex tensor, std::int64_t rows, std::int64_t cols) const {
    return bytes(section_.tensor(tensor).format, rows * cols).value;
  }

  void load_kv(RoleBuilder& role, TensorIndex tensor, std::uint16_t full, std::uint16_t empty,
               const Unit& u, const Expr& tile, std::int64_t rows) {
    role.wait(empty);
    role.expect(full, box_bytes(tensor, rows, p_.head_dim));
    load(role, tensor, u.sequence * p_.kv_len + tile * t_.kv_tile, u.kv_head * p_.head_dim, rows,
         p_.head_dim);
  }

  void load_q(RoleBuilder& role, const Unit& u) {
    const std::int64_t rows = std::min(s_.block_rows, p_.q_len);
    const std::int64_t cols = s_.block_heads * p_.head_dim;
    role.expect(q_full_, box_bytes(p_.q, rows, cols));
    load(role, p_.q, u.sequence * p_.q_len + u.q_tile * s_.block_rows, u.head * p_.head_dim, rows,
         cols);
  }

  Role producer() {
    RoleBuilder role("producer", 1, producer_warps, producer_registers);
    role.setup(lookup_cycles());
    const Unit u = unit(role);
    // The parts of a short tile of Q may be fewer than the splits.
    role.when_less(u.begin, u.end, [&] {
      load_q(role, u);
      if (tail_ == 0) {
        role.loop("kv", u.begin, u.end, 1,
                  [&](const Expr& tile) { load_tile(role, u, tile, t_.kv_tile); });
        return;
      }
      // The last tile of a sequence must not run into the next one's rows.
      const Expr whole = role.minimum("whole", u.end, full_tiles_);
      role.loop("kv", u.begin, whole, 1,
                [&](const Expr& tile) { load_tile(role, u, tile, t_.kv_tile); });
      role.when_less(full_tiles_, u.end, [&] { load_tile(role, u, full_tiles_, tail_); });
    });
    return role.take();
  }

  void load_tile(RoleBuilder& role, const Unit& u, const Expr& tile, std::int64_t rows) {
    gather(role, p_.k, u, tile, rows);
    load_kv(role, p_.k, k_full_, k_empty_, u, tile, rows);
    gather(role, p_.v, u, tile, rows);
    load_kv(role, p_.v, v_full_, v_empty_, u, tile, rows);
  }

  /// A paged cache has pages smaller than a tile, so the producer's threads copy its rows, 16 bytes
  /// at a time, each looking up its address. The first tile's are copied while the block before
  /// this one ends.
  void gather(RoleBuilder& role, TensorIndex tensor, const Unit& u, const Expr& tile,
              std::int64_t rows) {
    if (!p_.paged || !section_.chip().tensor_core.operands_from_scratchpad) return;
    const std::int64_t copies =
        ceil_div(box_bytes(tensor, rows, p_.head_dim), 16 * 32 * producer_warps);
    role.when_less(u.begin, tile, [&] { role.setup(copies * gather_cycles); });
  }

  /// A block begins with reads that wait for one another: the next entry of the list of tiles, the
  /// ends of its sequence's queries, the length of its keys, its row of the block table, the
  /// descriptors of its boxes.
  std::int64_t lookup_cycles() const {
    return std::llround(lookups * MachineRates(section_.chip()).l2_latency);
  }

  /// K or V arrives in another format than the tensor core multiplies: the consumers convert it.
  void convert(RoleBuilder& role, TensorIndex tensor) {
    if (bits(section_.tensor(tensor).format) == bits(p_.operands)) return;
    role.vector(VectorFunction::convert, ceil_div(t_.kv_tile * p_.head_dim, t_.consumers));
  }

  void scores(RoleBuilder& role) {
    role.wait(k_full_);
    convert(role, p_.k);
    role.mma(t_.padded_rows, t_.kv_tile, s_.depth, p_.operands);
  }

  void values(RoleBuilder& role) {
    role.wait(v_full_);
    convert(role, p_.v);
    // The tensor core wants 8-bit operands with the keys along a row; V has them down a column.
    if (bits(p_.operands) == 8) {
      role.vector(VectorFunction::transpose, ceil_div(t_.kv_tile * p_.head_dim, t_.consumers));
    }
    role.mma(t_.padded_rows, s_.value_n, t_.kv_tile, p_.operands, OperandSource::registers);
  }

  void softmax(RoleBuilder& role) {
    role.vector(VectorFunction::softmax, t_.padded_rows * t_.kv_tile);
    // The accumulator's order of elements among threads is not that of an 8-bit operand.
    if (bits(p_.operands) == 8) {
      role.vector(VectorFunction::transpose, operand_passes * t_.padded_rows * t_.kv_tile);
    }
  }

  Role consumer() {
    RoleBuilder role("consumer", t_.consumers, consumer_warps, s_.consumer_registers);
    const Unit u = unit(role);
    role.when_less(u.begin, u.end, [&] { attend(role, u); });
    // A part without keys is nothing, but the sum of the parts reads it.
    role.vector(VectorFunction::epilogue, t_.padded_rows * p_.head_dim);
    store(role, u);
    return role.take();
  }

  void attend(RoleBuilder& role, const Unit& u) {
    role.wait(q_full_);
    if (bits(section_.tensor(p_.q).format) != bits(p_.operands)) {
      role.vector(VectorFunction::convert, t_.padded_rows * p_.head_dim);
    }
    scores(role);
    role.mma_wait(0);
    role.arrive(k_empty_);
    softmax(role);
    // The next scores are multiplied while these are exponentiated, and the values of the last.
    role.loop("kv", u.begin + 1, u.end, 1, [&](const Expr&) {
      scores(role);
      values(role);
      role.mma_wait(1);
      role.arrive(k_empty_);
      softmax(role);
      role.mma_wait(0);
      role.arrive(v_empty_);
      role.vector(VectorFunction::rescale, t_.padded_rows * s_.value_n);
    });
    values(role);
    role.mma_wait(0);
    role.arrive(v_empty_);
  }

  void store(RoleBuilder& role, const Unit& u) {
    const Expr sequence_row = (u.split * p_.batch + u.sequence) * p_.q_len;
    if (t_.packed_heads > 0) {
      // q_len rows of each of the consumer's heads.
      const std::int64_t last = s_.block_heads * p_.head_dim;
      const std::int64_t own = s_.consumer_heads * p_.head_dim;
      std::int64_t width = p_.head_dim;
      for (std::int64_t f = std::gcd(s_.consumer_heads, s_.block_heads); f > 1; --f) {
        if (std::gcd(s_.consumer_heads, s_.block_heads) % f == 0 &&
            f * p_.head_dim <= box_width(section_.chip())) {
          width = f * p_.head_dim;
          break;
        }
      }
      const Expr first = t_.consumers > 1 ? RoleBuilder::copy() * own : Expr(0);
      const Expr end =
          t_.consumers * own == last ? first + own : role.minimum("heads_end", first + own, last);
      if (t_.consumers == 1 && width == last) {
        store_box(role, sequence_row, u.head * p_.head_dim, p_.q_len, width);
        return;
      }
      role.loop("part", first, end, width, [&](const Expr& part) {
        store_box(role, sequence_row, u.head * p_.head_dim + part, p_.q_len, width);
      });
      return;
    }
    const Expr unit = t_.consumers > 1 ? u.q_tile * t_.consumers + RoleBuilder::copy() : u.q_tile;
    const std::int64_t full = p_.q_len / consumer_tile_rows;
    const std::int64_t rest = p_.q_len % consumer_tile_rows;
    const bool beyond = s_.q_tiles * t_.consumers != full + (rest > 0 ? 1 : 0);
    const Expr row = sequence_row + unit * consumer_tile_rows;
    const auto guarded = [&](std::int64_t limit, std::int64_t rows) {
      const auto body = [&] { store_box(role, row, u.head * p_.head_dim, rows, p_.head_dim); };
      if (beyond) {
        role.when_less(unit, limit, body);
      } else {
        body();
      }
    };
    if (rest == 0) return guarded(full, consumer_tile_rows);
    // The last rows of a sequence: a smaller box, as the next sequence follows.
    if (full > 0) role.when_less(unit, full, [&] { guarded(full, consumer_tile_rows); });
    role.when_less(full - 1, unit, [&] { guarded(full + 1, rest); });
  }

  void store_box(RoleBuilder& role, const Expr& row, const Expr& col, std::int64_t rows,
                 std::int64_t cols) {
    const std::int64_t width = box_width(section_.chip());
    for (std::int64_t part = 0; part < cols; part += width) {
      role.store(output_, row, col + part, rows, std::min(width, cols - part));
    }
  }

  SectionBuilder& section_;
  const AttentionProblem& p_;
  const AttentionTiling& t_;
  const AttentionShape s_;
  const TensorIndex output_;
  std::int64_t tail_ = 0;  ///< rows of the last KV tile, if it needs a box of its own
  std::int64_t full_tiles_ = 0;
  Kernel kernel_;
  std::uint16_t q_full_ = 0, k_full_ = 0, k_empty_ = 0, v_full_ = 0, v_empty_ = 0;
};

}  // namespace

AttentionShape::AttentionShape(const SectionBuilder& section, const AttentionProblem& problem,
                               const AttentionTiling& tiling) {
  const ChipConfig& chip = section.chip();
  const bool packed = tiling.packed_heads > 0;
  block_heads = packed ? tiling.packed_heads : 1;
  consumer_heads = packed ? ceil_div(block_heads, tiling.consumers) : 1;
  block_rows = packed ? problem.q_len : tiling.consumers * consumer_tile_rows;
  consumer_rows =
      packed ? consumer_heads * problem.q_len : std::min(consumer_tile_rows, problem.q_len);
  q_tiles = ceil_div(problem.q_len, block_rows);
  head_tiles = problem.heads / block_heads;
  pairs = problem.batch * head_tiles;

  // Half of what the L2 keeps of shared data, so that outputs and queries have room.
  const std::int64_t kept =
      (std::int64_t{chip.l2.size_mib} << 20) / (chip.l2.replicate_far ? 4 : 2);
  const std::int64_t pair_bytes =
      2 * bytes(section.tensor(problem.k).format, problem.kv_len * problem.head_dim).value *
      block_heads / problem.group();
  std::int64_t most =
      std::clamp<std::int64_t>(kept / std::max<std::int64_t>(1, pair_bytes), 1, pairs);
  while (pairs % most != 0) --most;
  section_pairs = most;

  const std::int64_t oldest = problem.causal && problem.window > 0
                                  ? std::max<std::int64_t>(0, problem.past() - problem.window + 1)
                                  : 0;
  kv_first = oldest / tiling.kv_tile;
  kv_tiles = ceil_div(problem.kv_len, tiling.kv_tile) - kv_first;
  split_tiles = ceil_div(kv_tiles, tiling.splits);
  splits = ceil_div(kv_tiles, split_tiles);
  units = q_tiles * pairs * splits;

  // The instruction's K is 32 bytes, its N a multiple of 8.
  depth = round_up(problem.head_dim, 256 / bits(problem.operands));
  value_n = round_up(problem.head_dim, 8);
  const std::int64_t operand = bits(problem.operands);
  q_bytes = tiling.consumers * consumer_tile_rows * depth * std::max<std::int64_t>(operand, 16) / 8;
  k_bytes = tiling.kv_tile * depth *
            std::max<std::int64_t>(operand, bits(section.tensor(problem.k).format)) / 8;
  v_bytes = tiling.kv_tile * value_n *
            std::max<std::int64_t>(operand, bits(section.tensor(problem.v).format)) / 8;
  scratchpad_bytes = q_bytes + tiling.stages * (k_bytes + v_bytes) + barrier_bytes;

  const std::int64_t threads = consumer_warps * 32;
  const std::int64_t registers =
      ceil_div(consumer_tile_rows * tiling.kv_tile, threads) +
      ceil_div(consumer_tile_rows * tiling.kv_tile * operand / 32, threads) +
      ceil_div(consumer_tile_rows * value_n, threads) + overhead_registers;
  consumer_registers = std::max<std::int64_t>(64, round_up(registers, 8));
  if (tiling.blocks_per_core > 0) {
    const std::int64_t left =
        chip.core.registers / 32 / tiling.blocks_per_core - producer_warps * producer_registers;
    consumer_registers = std::clamp<std::int64_t>(
        left / (tiling.consumers * consumer_warps) / 8 * 8, consumer_registers, most_registers);
  }
}

bool fits(const SectionBuilder& section, const AttentionProblem& problem,
          const AttentionTiling& tiling) {
  const ChipConfig& chip = section.chip();
  if (tiling.consumers < 1 || tiling.stages < 1 || tiling.splits < 1) return false;
  if (tiling.kv_tile % 16 != 0 || tiling.kv_tile > box_width(chip)) return false;
  if (tiling.packed_heads > 0 && problem.group() % tiling.packed_heads != 0) return false;
  const AttentionShape shape(section, problem, tiling);
  if (tiling.packed_heads > 0 &&
      (shape.consumer_rows > consumer_tile_rows ||
       (tiling.consumers - 1) * shape.consumer_heads >= shape.block_heads)) {
    return false;
  }
  if (shape.block_rows > box_width(chip)) return false;
  if (shape.splits != tiling.splits) return false;
  if (shape.consumer_registers > 255) return false;
  return resident_attention_blocks(shape, tiling, chip) > 0;
}

std::int64_t resident_attention_blocks(const AttentionShape& shape, const AttentionTiling& tiling,
                                       const ChipConfig& chip) {
  const std::int64_t scratchpad = shape.scratchpad_bytes + chip.scratchpad.reserved_per_block_bytes;
  const std::int64_t registers =
      32 * (producer_warps * producer_registers +
            tiling.consumers * consumer_warps * shape.consumer_registers);
  const std::int64_t warps = producer_warps + tiling.consumers * consumer_warps;
  return std::min({std::int64_t{chip.scratchpad.size_kib} * 1024 / scratchpad,
                   chip.core.registers / registers, chip.core.max_warps / warps,
                   std::int64_t{chip.core.max_blocks}});
}

namespace {

/// Writes the new tokens' keys and values to the cache, and with 8-bit operands their queries in
/// this width to a tensor that takes the place of the packed input, by a scale that is given: no
/// maximum is looked for.
void append_to_cache(SectionBuilder& section, AttentionProblem& p) {
  const bool packed = bits(section.tensor(p.q).format) != bits(p.operands);
  QkvOutput to;
  to.q_cols = packed ? p.heads * p.head_dim : 0;
  to.kv_cols = p.kv_heads * p.head_dim;
  to.batch = p.batch;
  to.q_len = p.q_len;
  to.kv_len = p.kv_len;
  to.k = p.k;
  to.v = p.v;
  RowwiseProblem append;
  append.name = "append";
  append.rows = p.batch * p.q_len;
  append.cols = to.q_cols + 2 * to.kv_cols;
  append.inputs.push_back({packed ? p.q : section.input(3)});
  append.steps.push_back({VectorFunction::convert});
  append.output = packed ? section.workspace("q", p.operands, append.rows, to.q_cols) : p.k;
  append.column_unit = to.kv_cols;
  append.qkv = to;
  lower_rowwise(section, append);
  if (packed) p.q = append.output;
}

}  // namespace

void begin_attention_call(SectionBuilder& section, AttentionProblem& problem) {
  append_to_cache(section, problem);
  const MachineRates rates(section.chip());
  const auto one_block = [&](const std::string& name, double cycles) {
    Kernel kernel = section.kernel(name);
    RoleBuilder role(name, 1, 4, 32);
    role.setup(std::llround(cycles));
    kernel.roles.push_back(role.take());
    section.add(std::move(kernel));
  };
  if (problem.causal) one_block("clear", rates.l2_latency);
  // Lengths of queries and keys, then the list, in memory nobody has touched; sums over the
  // sequences between.
  if (problem.q_len * problem.group() > 1) {
    const std::int64_t reads = 1 + ceil_div(problem.batch, sequences_at_a_time);
    one_block("plan", static_cast<double>(reads) * rates.hbm_latency + 2 * rates.l2_latency);
  } else {
    one_block("plan", 2 * rates.hbm_latency + 2 * rates.l2_latency);
  }
}

void lower_attention(SectionBuilder& section, const AttentionProblem& problem,
                     const AttentionTiling& tiling) {
  if (tiling.splits == 1) {
    section.add(AttentionKernel(section, problem, tiling, problem.o).build());
    return;
  }
  const AttentionShape shape(section, problem, tiling);
  const std::int64_t rows = problem.batch * problem.q_len;
  const std::int64_t cols = problem.heads * problem.head_dim;
  const TensorIndex partial = section.workspace("partial", Format::fp32, shape.splits * rows, cols);
  section.add(AttentionKernel(section, problem, tiling, partial).build());
  RowwiseProblem combine;
  combine.name = "combine";
  combine.rows = rows;
  combine.cols = cols;
  combine.inputs.push_back({partial});
  combine.inputs.back().slabs = shape.splits;
  combine.inputs.back().slab_rows = rows;
  combine.steps.push_back({VectorFunction::combine, static_cast<double>(shape.splits)});
  combine.output = problem.o;
  lower_rowwise(section, combine);
}

void lower_attention(SectionBuilder& section, const AttentionProblem& problem) {
  lower_attention(section, problem, choose_attention(section, problem));
}

}  // namespace tessera
