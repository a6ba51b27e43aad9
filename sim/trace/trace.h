#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sim/base/units.h"
#include "sim/datapath/format.h"

namespace tessera {

// The contract between the frontend, which lowers layers into kernels, and the engine, which runs
// them. A Trace is data: it can be written as text or binary, read back, verified and compared.
// The language is described for people in docs/trace-format.md.
//
// Execution model. A Section is a list of kernels run one after the other on one chip, starting
// from a defined state (L2 holds the tensors marked warm, DRAM idle). A Kernel is a grid of blocks;
// `cluster` neighbouring blocks run at the same time on neighbouring cores. A block has contexts,
// one per copy of each role: instruction streams with their own variables that run concurrently
// and meet at barriers, as the warp groups of a warp-specialised GPU kernel do.

/// Index of a variable of a role. The first three are set by the machine at block start.
using VarId = std::uint8_t;
constexpr VarId var_cluster = 0;  ///< index of the block's cluster in the grid
constexpr VarId var_rank = 1;     ///< index of the block in its cluster
constexpr VarId var_copy = 2;     ///< index of the context among the copies of its role
constexpr VarId first_free_var = 3;
constexpr std::size_t max_variables = 24;  ///< per role, the three predefined ones included

/// constant + sum of coefficient * variable.
struct Expr {
  struct Term {
    VarId var = 0;
    std::int64_t coefficient = 1;
    bool operator==(const Term& o) const { return var == o.var && coefficient == o.coefficient; }
  };
  std::int64_t constant = 0;
  std::vector<Term> terms;

  Expr() = default;
  Expr(std::int64_t c)
      : constant(c) {}  // NOLINT(google-explicit-constructor): `box(0, 64)` reads well
  static Expr var(VarId v, std::int64_t coefficient = 1, std::int64_t constant = 0);
  bool operator==(const Expr& o) const { return constant == o.constant && terms == o.terms; }
};
Expr operator+(Expr a, const Expr& b);
Expr operator*(Expr a, std::int64_t factor);

// --- instructions -----------------------------------------------------------------------------

/// for (var = begin; var < end; var += step) up to the matching End.
struct Loop {
  VarId var = 0;
  Expr begin, end, step = 1;  ///< step > 0
};
struct End {};

enum class LetOp : std::uint8_t { set, div, mod, min, max };
/// var = a (set), a / b, a mod b (both floor, b > 0), min(a, b), max(a, b).
struct Let {
  VarId var = 0;
  LetOp op = LetOp::set;
  Expr a, b;
};

/// Tile order: decomposes `index` into (row, col) of a rows x cols grid, walking down columns
/// inside groups of `group` rows, so that blocks running together share rows and columns in L2:
///   g = index / (group*cols); h = min(group, rows - g*group); i = index mod (group*cols)
///   row = g*group + i mod h;  col = i / h
struct Raster {
  VarId row = 0, col = 0;
  Expr index, rows, cols;
  std::int64_t group = 1;
};

/// Wait for the context's next phase of a barrier ring (each context waits for phases 0, 1, 2 ...
/// of each ring in order; phase p uses slot p mod slots).
struct Wait {
  std::uint16_t barrier = 0;
};
/// Arrive at the context's next phase of a ring; `cluster`: at that ring of every block of the
/// cluster.
struct Arrive {
  std::uint16_t barrier = 0;
  bool cluster = false;
};
/// Arrive at the context's next phase and announce `bytes` that Loads will still bring: the phase
/// completes when all arrivals are in and all announced bytes have landed. Loads that follow feed
/// this phase.
struct Expect {
  std::uint16_t barrier = 0;
  std::int64_t bytes = 0;
};

/// Copy a box of a tensor to the scratchpad, asynchronously, feeding the phase of the last Expect.
/// The box's origin lies inside the tensor; the part beyond its edge is filled with zeros and not
/// fetched (but counts as landed bytes). multicast: the box lands in, and feeds the same phase of,
/// every block of the cluster. gather: the rows come from pseudo-random places (index look-up).
struct Load {
  std::uint16_t tensor = 0;
  Expr row, col;
  std::int64_t rows = 0, cols = 0;  ///< box shape in elements
  bool multicast = false;
  bool gather = false;
};

/// Copy a box from the scratchpad to a tensor, asynchronously. reduce: added atomically in L2.
struct Store {
  std::uint16_t tensor = 0;
  Expr row, col;
  std::int64_t rows = 0, cols = 0;
  bool reduce = false;
};
/// Wait until at most `pending` stores of this context have yet to leave the scratchpad.
struct StoreWait {
  std::int64_t pending = 0;
};

enum class OperandSource : std::uint8_t { scratchpad, registers };
/// Asynchronous matrix multiply-accumulate D[m,n] += A[m,k] B[k,n]; B from the scratchpad.
struct Mma {
  std::int64_t m = 0, n = 0, k = 0;
  Format format = Format::bf16;
  OperandSource a = OperandSource::scratchpad;
};
/// Wait until at most `pending` Mma of this context are unfinished.
struct MmaWait {
  std::int64_t pending = 0;
};

/// What a vector instruction computes; costs per element in vector_functions().
enum class VectorFunction : std::uint8_t {
  softmax,   ///< online softmax of one score: max, scale-subtract, exp2, sum, convert
  rescale,   ///< multiply an accumulator element
  promote,   ///< add a tensor-core partial sum to an FP32 accumulator (scaled)
  epilogue,  ///< scale and convert an output element, write it to the scratchpad
  bias,
  residual,
  gelu,
  silu_mul,
  relu,
  add,              ///< elementwise add
  norm_statistics,  ///< sum (and sum of squares) of one element
  norm_apply,       ///< normalise, scale and shift one element
  exponential,      ///< exp2 of one element, plus a multiply-add
  rotary,           ///< rotary position embedding of one element
  amax,             ///< absolute maximum
  quantise,         ///< scale, convert to a narrow format
  convert,          ///< format conversion
  combine,          ///< weigh and add one partial result
  move,             ///< register move (transpose, gather)
  transpose,        ///< turn an 8-bit operand of a matrix product round in the scratchpad
  quantise_groups,  ///< quantise, with a scale for each 128 elements of a row
};
/// Cost of one element: operations on the FP32 lanes, the special-function unit and the converter.
struct VectorCost {
  VectorFunction function;
  std::string_view name;
  double fma, special, convert;
  bool is_epilogue;      ///< its time is charged to `epilogue`
  bool stalls_products;  ///< multiplies stand still for a share of it (sim/chip/units.h)
};
const std::vector<VectorCost>& vector_functions();
const VectorCost& vector_cost(VectorFunction function);

/// Synchronous vector work on `elements` elements by this context.
struct Vector {
  VectorFunction function = VectorFunction::epilogue;
  std::int64_t elements = 0;
};

/// Fixed prologue work (descriptor fetch, barrier initialisation, tile scheduling).
struct Setup {
  std::int64_t cycles = 0;
};

/// Raise counter flag[index] of the kernel by one, after this context's stores have completed.
struct Signal {
  Expr index;
};
/// Wait until flag[index] >= count.
struct AwaitSignal {
  Expr index;
  Expr count = 1;
};

enum class CollectiveKind : std::uint8_t { allreduce, allgather, reducescatter, alltoall, p2p };
/// Exchange between `ranks` chips; `bytes` as the usual benchmarks count them (size of the result).
struct Collective {
  CollectiveKind kind = CollectiveKind::allreduce;
  std::int64_t ranks = 1;
  std::int64_t bytes = 0;
};

using Instruction =
    std::variant<Loop, End, Let, Raster, Wait, Arrive, Expect, Load, Store, StoreWait, Mma, MmaWait,
                 Vector, Setup, Signal, AwaitSignal, Collective>;

// --- structure --------------------------------------------------------------------------------

/// A ring of `slots` barriers. A phase completes after `arrivals` arrivals (and announced bytes).
/// initially_complete: the first `slots` phases are complete from the start (an "empty" ring).
struct Barrier {
  std::string name;
  std::int64_t slots = 1;
  std::int64_t arrivals = 1;
  bool initially_complete = false;
};

struct Role {
  std::string name;
  std::int64_t copies = 1;      ///< contexts of this role per block
  std::int64_t warps = 4;       ///< per copy
  std::int64_t registers = 64;  ///< per thread (32 threads a warp)
  std::vector<std::string> variables = {"cluster", "rank", "copy"};  ///< names by VarId
  std::vector<Instruction> code;
};

enum class TensorKind : std::uint8_t { weight, activation, kv_cache, workspace };
std::string_view name(TensorKind kind);

/// A row-major matrix in memory.
struct Tensor {
  std::string name;
  Format format = Format::bf16;
  std::int64_t rows = 0, cols = 0;
  TensorKind kind = TensorKind::activation;
  bool warm = false;         ///< in L2 when the section starts (just written by its producer)
  std::int64_t address = 0;  ///< of the first element; a multiple of 8 KiB

  Bytes size() const { return bytes(format, rows * cols); }
};

struct Kernel {
  std::string name;
  std::int64_t op = 0;    ///< index in Section::ops of the operation it works for
  std::int64_t grid = 1;  ///< blocks; a multiple of cluster
  std::int64_t cluster = 1;
  std::int64_t scratchpad_bytes = 0;  ///< per block
  std::int64_t flags = 0;             ///< counters for Signal / AwaitSignal, zero at start
  bool early_launch = false;  ///< programmatic dependent launch: hides launch.overlap_us of the gap
  std::vector<Barrier> barriers;
  std::vector<Role> roles;
};

/// What the report says about an operation; kernels refer to it by index.
struct OpRecord {
  std::string name;              ///< e.g. "attention.qkv"
  std::string kind;              ///< e.g. "linear"
  std::string precision;         ///< e.g. "bf16"
  Format format = Format::bf16;  ///< operands of the tensor core
  Flops tensor_flops;            ///< on the tensor core, without padding
  Flops vector_flops;            ///< on the vector unit
  Bytes compulsory_read;         ///< from DRAM if every cold input is read once
  Bytes compulsory_write;        ///< every output written once
};

/// Kernels run in order from a defined state; `repeat` identical ones (decoder layers) in a run.
struct Section {
  std::string name;
  std::int64_t repeat = 1;
  std::vector<Tensor> tensors;
  std::vector<OpRecord> ops;
  std::vector<Kernel> kernels;
};

struct Trace {
  static constexpr int format_version = 1;
  std::string tool_version;
  std::string chip;         ///< name of the chip it was lowered for
  std::string chip_digest;  ///< digest of that chip's configuration
  std::string workload;     ///< as the user asked for it, one line
  std::vector<Section> sections;
};

}  // namespace tessera
