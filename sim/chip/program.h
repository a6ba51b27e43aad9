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

/// A kernel of a trace, decoded for one chip: flat instructions with jump targets, evaluated
/// costs and pooled expression terms, so that a sequencer steps them without allocation.
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
  struct Expression {
    std::int64_t constant = 0;
    std::uint32_t first = 0, count = 0;
  };
  struct Step {
    Opcode opcode = Opcode::end;
    VarId var = 0, var2 = 0;
    LetOp let_op = LetOp::set;
    bool cluster = false;      // arrive: remote; load: multicast
    bool flag = false;         // load: gather; store: reduce
    std::uint16_t object = 0;  // barrier or tensor
    std::uint32_t jump = 0;    // loop_begin: past the end; loop_next: body
    Expression a, b, c;
    std::int64_t x = 0, y = 0;     // box rows/cols, bytes, pending, group
    Cycles busy;                   // mma: arithmetic; vector: duration; setup, collective: time
    Cycles operand_wait;           // mma: wait for operands beyond the arithmetic
    Cycles issue;                  // mma
    VectorOccupancy occupancy;     // vector
    Cause cause = Cause::vector;   // vector
    std::int64_t amount = 0;       // mma: flops; vector: flops
    std::int64_t bytes = 0;        // mma: operands read; load: the box
    Format format = Format::bf16;  // mma
  };
  struct Context {
    const Role* role = nullptr;
    std::int64_t copy = 0;
    std::uint32_t first_step = 0;
  };

  /// Throws InputError if an instruction asks for what the chip does not have.
  Program(const Kernel& kernel, const std::vector<Tensor>& tensors, const ChipConfig& chip);

  const Kernel& kernel() const { return *kernel_; }
  const Step& step(std::uint32_t index) const { return steps_[index]; }
  const std::vector<Context>& contexts() const { return contexts_; }
  std::int64_t evaluate(const Expression& e, const std::int64_t* variables) const {
    std::int64_t value = e.constant;
    for (std::uint32_t i = 0; i < e.count; ++i) {
      value += terms_[e.first + i].coefficient * variables[terms_[e.first + i].var];
    }
    return value;
  }
  /// Blocks of this kernel one core holds at a time: the tightest of scratchpad, registers, warps.
  std::int64_t resident_blocks() const { return resident_blocks_; }
  /// The kernel exchanges data with other chips: cores without a block wait for the link.
  bool has_collective() const { return has_collective_; }

 private:
  Expression compile(const Expr& e);
  void compile(const Role& role, const std::vector<Tensor>& tensors, const ChipConfig& chip);

  const Kernel* kernel_;
  std::vector<Step> steps_;
  std::vector<Expr::Term> terms_;
  std::vector<Context> contexts_;
  std::int64_t resident_blocks_ = 1;
  bool has_collective_ = false;
};

}  // namespace tessera
