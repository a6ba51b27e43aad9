#include "sim/frontend/program_builder.h"

#include <algorithm>
#include <stdexcept>

namespace tessera {

RoleBuilder::RoleBuilder(std::string name, std::int64_t copies, std::int64_t warps,
                         std::int64_t registers) {
  role_.name = std::move(name);
  role_.copies = copies;
  role_.warps = warps;
  role_.registers = registers;
}

VarId RoleBuilder::allocate(const std::string& name) {
  // A name that is out of scope keeps its variable; one still alive gets a number.
  std::string unique = name;
  for (int suffix = 2;; ++suffix) {
    const auto found = std::find(role_.variables.begin(), role_.variables.end(), unique);
    const auto index = static_cast<std::size_t>(found - role_.variables.begin());
    if (found == role_.variables.end()) {
      if (role_.variables.size() == max_variables) {
        throw std::logic_error("role " + role_.name + " needs more than the language's variables");
      }
      role_.variables.push_back(unique);
    }
    live_.resize(role_.variables.size(), false);
    if (!live_[index]) {
      live_[index] = true;
      return static_cast<VarId>(index);
    }
    unique = name + std::to_string(suffix);
  }
}

Expr RoleBuilder::let(const std::string& name, LetOp op, const Expr& a, const Expr& b) {
  if (is_constant(a) && is_constant(b)) {
    switch (op) {
      case LetOp::set:
        return a;
      case LetOp::div:
        return a.constant / b.constant;
      case LetOp::mod:
        return a.constant % b.constant;
      case LetOp::min:
        return std::min(a.constant, b.constant);
      case LetOp::max:
        return std::max(a.constant, b.constant);
    }
  }
  if (op == LetOp::set) return a;
  if (is_constant(b) && b.constant == 1) {
    if (op == LetOp::div) return a;
    if (op == LetOp::mod) return 0;
  }
  const VarId var = allocate(name);
  emit(Let{var, op, a, b});
  return Expr::var(var);
}

Expr RoleBuilder::variable(const std::string& name, const Expr& value) {
  const VarId var = allocate(name);
  emit(Let{var, LetOp::set, value, {}});
  return Expr::var(var);
}

void RoleBuilder::assign(const Expr& variable, const Expr& value) {
  emit(Let{variable.terms.front().var, LetOp::set, value, {}});
}

std::pair<Expr, Expr> RoleBuilder::raster(const Expr& index, std::int64_t rows, std::int64_t cols,
                                          std::int64_t group) {
  if (rows == 1) return {0, index};
  if (cols == 1) return {index, 0};
  const VarId row = allocate("row");
  const VarId col = allocate("col");
  emit(Raster{row, col, index, rows, cols, group});
  return {Expr::var(row), Expr::var(col)};
}

std::uint16_t add_barrier(Kernel& kernel, std::string name, std::int64_t slots,
                          std::int64_t arrivals) {
  kernel.barriers.push_back({std::move(name), slots, arrivals, false});
  return static_cast<std::uint16_t>(kernel.barriers.size() - 1);
}

std::uint16_t add_empty_barrier(Kernel& kernel, std::string name, std::int64_t slots,
                                std::int64_t arrivals) {
  kernel.barriers.push_back({std::move(name), slots, arrivals, true});
  return static_cast<std::uint16_t>(kernel.barriers.size() - 1);
}

}  // namespace tessera
