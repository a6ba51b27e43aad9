#pragma once

#include <cstdint>
#include <vector>

#include "sim/base/cause.h"
#include "sim/chip/units.h"
#include "sim/config/chip_config.h"
#include "sim/trace/trace.h"

namespace tessera {

/// Contexts of one block, over all roles: one bit each in a barrier's set of waiters.
constexpr std::int64_t max_contexts = 32;
/// Barriers of one block, over the slots of all its rings.
constexpr std::int64_t max_slots = 1 << 20;

/// A kernel of a trace, decoded for one chip: flat instructions with jump targets and evaluated
/// costs. It refers to the kernel, which must outlive it.
class Program {
 public:
  enum class Opcode : std::uint8_t {
    loop_begin,
    loop_next,
    let,
    raster,
    wait,
    arrive,
    expect,
    load,
    store,
    store_wait,
    mma,
    mma_wait,
    vector,
    setup,
    signal,
    await_signal,
    collective,
    end,
  };
  /// An Expr of the kernel.
  struct Expression {
    std::int64_t constant = 0;
    const Expr::Term* begin = nullptr;
    const Expr::Term* end = nullptr;

    std::int64_t at(const std::int64_t* variables) const {
      std::int64_t value = constant;
      for (const Expr::Term* term = begin; term != end; ++term) {
        value += term->coefficient * variables[term->var];
      }
      return value;
    }
  };
  struct Step {
    Opcode opcode = Opcode::end;
    VarId var = 0, var2 = 0;
    LetOp let_op = LetOp::set;
    bool cluster = false;          // arrive: remote; load: multicast
    bool flag = false;             // load: gather; store: reduce
    bool stalls_products = false;  // vector: on results of the tensor core
    bool in_order = false;         // contexts of a core take this step in the order of their times
    std::uint16_t object = 0;      // barrier or tensor
    std::uint32_t jump = 0;        // loop_begin: past the end; loop_next: body
    Expression a, b, c;
    std::int64_t x = 0, y = 0;    // box rows/cols, bytes, pending, group
    Cycles busy;                  // mma: arithmetic; vector: duration; setup, collective: time
    Cycles operand_wait;          // mma: wait for operands beyond the arithmetic
    Cycles issue;                 // mma
    VectorOccupancy occupancy;    // vector
    Cause cause = Cause::vector;  // vector
    std::int64_t amount = 0;      // mma: flops; vector: flops; collective: bytes sent
    std::int64_t bytes = 0;       // mma: operands read; load: the box; collective: of own memory
  };
  struct Context {
    const Role* role = nullptr;
    std::int64_t copy = 0;
    std::uint32_t first_step = 0;
  };

  /// A ring of barriers: slots [first, end) of a block.
  struct Ring {
    std::int32_t first = 0, end = 0;
    std::int64_t arrivals = 1;
    bool initially_complete = false;
  };

  /// Throws InputError if an instruction asks for what the chip does not have.
  Program(const Kernel& kernel, const std::vector<Tensor>& tensors, const ChipConfig& chip);

  const Kernel& kernel() const { return *kernel_; }
  const Step& step(std::uint32_t index) const { return steps_[index]; }
  const std::vector<Context>& contexts() const { return contexts_; }
  const std::vector<Ring>& rings() const { return rings_; }
  std::size_t slots_per_block() const {
    return rings_.empty() ? 0 : static_cast<std::size_t>(rings_.back().end);
  }
  /// Blocks of this kernel one core holds at a time: the tightest of scratchpad, registers, warps.
  std::int64_t resident_blocks() const { return resident_blocks_; }
  /// The kernel exchanges data with other chips: cores without a block wait for the link.
  bool has_collective() const { return has_collective_; }

 private:
  void compile(const Role& role, const std::vector<Tensor>& tensors, const ChipConfig& chip);

  const Kernel* kernel_;
  std::vector<Step> steps_;
  std::vector<Context> contexts_;
  std::vector<Ring> rings_;
  std::int64_t resident_blocks_ = 1;
  bool has_collective_ = false;
};

}  // namespace tessera
