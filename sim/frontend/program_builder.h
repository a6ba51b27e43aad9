#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sim/trace/trace.h"

namespace tessera {

/// Writes the code of one role. Variables are allocated by name; one introduced inside a loop or a
/// condition may be reused after it. Conditions that are known while building leave no code.
///
///   RoleBuilder producer("producer", 1, 1, 40);
///   producer.loop("tile", RoleBuilder::cluster(), tiles, grid, [&](const Expr& tile) {
///     producer.wait(empty);
///     producer.expect(full, tile_bytes);
///     producer.load(a, tile * 128, 0, 128, 64);
///   });
class RoleBuilder {
 public:
  RoleBuilder(std::string name, std::int64_t copies, std::int64_t warps, std::int64_t registers);

  static Expr cluster() { return Expr::var(var_cluster); }
  static Expr rank() { return Expr::var(var_rank); }
  static Expr copy() { return Expr::var(var_copy); }

  /// for (name = begin; name < end; name += step) body(name)
  template <class Body>
  void loop(const std::string& name, const Expr& begin, const Expr& end, const Expr& step,
            Body&& body) {
    if (is_constant(begin) && is_constant(end) && is_constant(step)) {
      if (begin.constant >= end.constant) return;
      if (begin.constant + step.constant >= end.constant) {  // runs once
        body(begin);
        return;
      }
    }
    const std::vector<bool> outer = live_;
    const VarId var = allocate(name);
    emit(Loop{var, begin, end, step});
    body(Expr::var(var));
    emit(End{});
    live_ = outer;
  }

  /// if (a < b) body()
  template <class Body>
  void when_less(const Expr& a, const Expr& b, Body&& body) {
    const Expr difference = a + b * -1;
    if (is_constant(difference)) {
      if (difference.constant < 0) body();
      return;
    }
    // A loop that runs at most once, as the language has no branch.
    const std::vector<bool> outer = live_;
    emit(Loop{allocate("if"), a, b, Expr(once)});
    body();
    emit(End{});
    live_ = outer;
  }

  /// A new variable with the value of `a op b`, or a constant.
  Expr let(const std::string& name, LetOp op, const Expr& a, const Expr& b);
  /// A variable that assign() may change later. A value from inside a loop or a condition holds
  /// after it.
  Expr variable(const std::string& name, const Expr& value);
  void assign(const Expr& variable, const Expr& value);
  Expr minimum(const std::string& name, const Expr& a, const Expr& b) {
    return let(name, LetOp::min, a, b);
  }
  Expr maximum(const std::string& name, const Expr& a, const Expr& b) {
    return let(name, LetOp::max, a, b);
  }
  Expr quotient(const std::string& name, const Expr& a, std::int64_t b) {
    return let(name, LetOp::div, a, b);
  }
  Expr remainder(const std::string& name, const Expr& a, std::int64_t b) {
    return let(name, LetOp::mod, a, b);
  }
  /// (row, column) of tile `index` in a rows x cols grid; see trace.h.
  std::pair<Expr, Expr> raster(const Expr& index, std::int64_t rows, std::int64_t cols,
                               std::int64_t group);

  void wait(std::uint16_t barrier) { emit(Wait{barrier}); }
  void arrive(std::uint16_t barrier, bool of_cluster = false) { emit(Arrive{barrier, of_cluster}); }
  void expect(std::uint16_t barrier, std::int64_t bytes) { emit(Expect{barrier, bytes}); }
  void load(std::uint16_t tensor, const Expr& row, const Expr& col, std::int64_t rows,
            std::int64_t cols) {
    emit(Load{tensor, row, col, rows, cols, false, false});
  }
  void multicast(std::uint16_t tensor, const Expr& row, const Expr& col, std::int64_t rows,
                 std::int64_t cols) {
    emit(Load{tensor, row, col, rows, cols, true, false});
  }
  void gather(std::uint16_t tensor, const Expr& row, const Expr& col, std::int64_t rows,
              std::int64_t cols, bool of_cluster = false) {
    emit(Load{tensor, row, col, rows, cols, of_cluster, true});
  }
  void store(std::uint16_t tensor, const Expr& row, const Expr& col, std::int64_t rows,
             std::int64_t cols) {
    emit(Store{tensor, row, col, rows, cols, false});
  }
  void store_wait(std::int64_t pending) { emit(StoreWait{pending}); }
  void mma(std::int64_t m, std::int64_t n, std::int64_t k, Format format,
           OperandSource a = OperandSource::scratchpad) {
    emit(Mma{m, n, k, format, a});
  }
  void mma_wait(std::int64_t pending) { emit(MmaWait{pending}); }
  /// Nothing for zero elements.
  void vector(VectorFunction function, std::int64_t elements) {
    if (elements > 0) emit(Vector{function, elements});
  }
  /// Nothing for zero cycles.
  void setup(std::int64_t cycles) {
    if (cycles > 0) emit(Setup{cycles});
  }
  void signal(const Expr& index) { emit(Signal{index}); }
  void await_signal(const Expr& index, const Expr& count) { emit(AwaitSignal{index, count}); }
  void collective(CollectiveKind kind, std::int64_t ranks, std::int64_t bytes) {
    emit(Collective{kind, ranks, bytes});
  }

  Role take() { return std::move(role_); }

  static bool is_constant(const Expr& e) { return e.terms.empty(); }

 private:
  static constexpr std::int64_t once = std::int64_t{1} << 40;  // beyond any bound

  void emit(Instruction instruction) { role_.code.push_back(std::move(instruction)); }
  VarId allocate(const std::string& name);

  Role role_;
  std::vector<bool> live_ = {true, true, true};
};

/// Adds a ring of `slots` barriers to a kernel and returns its index.
std::uint16_t add_barrier(Kernel& kernel, std::string name, std::int64_t slots,
                          std::int64_t arrivals);
/// The same, its first phases complete from the start: the slots are empty.
std::uint16_t add_empty_barrier(Kernel& kernel, std::string name, std::int64_t slots,
                                std::int64_t arrivals);

}  // namespace tessera
