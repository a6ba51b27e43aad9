#include "sim/trace/repetition.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "sim/base/units.h"

namespace tessera {
namespace {

// Beyond this a period is of no use, and products of two stay inside 64 bits.
constexpr std::int64_t longest_period = std::int64_t{1} << 30;

// Counting the steps of items shall cost little beside their simulation. An odd number of samples
// does not keep step with most of what repeats itself inside a period.
constexpr std::int64_t most_counted_steps = 1'000'000, most_samples = 61;
// No code that anybody writes needs as many steps of the analysis.
constexpr std::int64_t most_walked = 100'000;

/// v(i + period) = v(i) + step for every item i.
struct Shift {
  std::int64_t period = 1, step = 0;
};
using MaybeShift = std::optional<Shift>;
using Shifts = std::array<MaybeShift, max_variables>;

MaybeShift shift(std::int64_t period, std::int64_t step) {
  if (period > longest_period || std::abs(step) > longest_period) return std::nullopt;
  return Shift{period, step};
}

/// The same at `times` its period.
MaybeShift stretched(const Shift& s, std::int64_t times) {
  if (times > longest_period || std::abs(s.step) > longest_period / times) return std::nullopt;
  return shift(s.period * times, s.step * times);
}

/// Both at the least period they share; nothing if that is too long.
std::optional<std::pair<Shift, Shift>> aligned(const MaybeShift& a, const MaybeShift& b) {
  if (!a || !b) return std::nullopt;
  const std::int64_t period = std::lcm(a->period, b->period);
  const MaybeShift x = stretched(*a, period / a->period), y = stretched(*b, period / b->period);
  if (!x || !y) return std::nullopt;
  return std::make_pair(*x, *y);
}

MaybeShift sum(const MaybeShift& a, const MaybeShift& b) {
  const auto both = aligned(a, b);
  if (!both) return std::nullopt;
  return shift(both->first.period, both->first.step + both->second.step);
}

/// Of either value, and of their minimum or maximum.
MaybeShift either(const MaybeShift& a, const MaybeShift& b) {
  const auto both = aligned(a, b);
  if (!both || both->first.step != both->second.step) return std::nullopt;
  return both->first;
}

bool equal(const MaybeShift& a, const MaybeShift& b) {
  if (!a || !b) return !a && !b;
  return a->period == b->period && a->step == b->step;
}

MaybeShift shift_of(const Expr& e, const Shifts& shifts) {
  MaybeShift result = Shift{};
  for (const Expr::Term& term : e.terms) {
    const MaybeShift& variable = shifts[term.var];
    std::int64_t step = 0;
    if (!variable || __builtin_mul_overflow(variable->step, term.coefficient, &step)) {
      return std::nullopt;
    }
    result = sum(result, shift(variable->period, step));
  }
  return result;
}

bool is_constant(const Expr& e) { return e.terms.empty(); }

MaybeShift shift_of(const Let& let, const Shifts& shifts) {
  const MaybeShift a = shift_of(let.a, shifts);
  if (let.op == LetOp::set) return a;
  if (let.op == LetOp::min || let.op == LetOp::max) return either(a, shift_of(let.b, shifts));
  if (!is_constant(let.b) || let.b.constant <= 0 || !a) return std::nullopt;
  // a + step moves the quotient by step / b and leaves the remainder, once b divides step.
  const std::int64_t b = let.b.constant;
  const MaybeShift whole = stretched(*a, b / std::gcd(a->step, b));
  if (!whole) return std::nullopt;
  return Shift{whole->period, let.op == LetOp::div ? whole->step / b : 0};
}

bool touches_barrier(const Instruction& instruction) {
  return std::holds_alternative<Wait>(instruction) || std::holds_alternative<Arrive>(instruction) ||
         std::holds_alternative<Expect>(instruction);
}

/// Where the loops of a role end, and what is in them; of other instructions, nothing.
struct LoopFacts {
  std::size_t end = 0;  ///< place of its End
  bool innermost = true;
  bool touches_barrier = false;
};

std::vector<LoopFacts> loop_facts(const std::vector<Instruction>& code) {
  std::vector<LoopFacts> facts(code.size());
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (std::holds_alternative<Loop>(code[i])) {
      if (!open.empty()) facts[open.back()].innermost = false;
      open.push_back(i);
    } else if (std::holds_alternative<End>(code[i])) {
      const LoopFacts& closed = facts[open.back()];
      facts[open.back()].end = i;
      open.pop_back();
      if (!open.empty() && closed.touches_barrier) facts[open.back()].touches_barrier = true;
    } else if (!open.empty() && touches_barrier(code[i])) {
      facts[open.back()].touches_barrier = true;
    }
  }
  return facts;
}

/// Whether an instruction gives `var` a value.
bool writes(const Instruction& instruction, VarId var) {
  if (const auto* loop = std::get_if<Loop>(&instruction)) return loop->var == var;
  if (const auto* let = std::get_if<Let>(&instruction)) return let->var == var;
  const auto* raster = std::get_if<Raster>(&instruction);
  return raster != nullptr && (raster->row == var || raster->col == var);
}

/// What one role's variables do from item to item, and after how many items its loops repeat.
class RoleWalk {
 public:
  RoleWalk(const Role& role, std::optional<std::size_t> item_loop, std::int64_t items)
      : code_(role.code), facts_(loop_facts(role.code)), item_loop_(item_loop), items_(items) {
    shifts_.fill(Shift{});
    if (!item_loop_) shifts_[var_cluster] = Shift{1, 1};
  }

  /// Whether the loops have lengths with a period, those without barriers inside the loop over
  /// items set aside.
  bool repeats() {
    std::size_t at = 0;
    while (at < code_.size() && alike_) at = walk(at);
    return alike_;
  }
  /// After repeats(): of the lengths of these loops, and of all.
  std::int64_t fixed_period() const { return fixed_period_; }
  std::int64_t period() const { return period_; }

 private:
  /// Takes one instruction, a loop with its body; returns the place after it.
  std::size_t walk(std::size_t at) {
    const Instruction& instruction = code_[at];
    if (--budget_ < 0) alike_ = false;
    if (const auto* loop = std::get_if<Loop>(&instruction)) return walk_loop(at, *loop);
    if (const auto* let = std::get_if<Let>(&instruction)) {
      shifts_[let->var] = shift_of(*let, shifts_);
    } else if (const auto* raster = std::get_if<Raster>(&instruction)) {
      shifts_[raster->row] = shifts_[raster->col] = std::nullopt;
    } else if (std::holds_alternative<Signal>(instruction) ||
               std::holds_alternative<AwaitSignal>(instruction) ||
               std::holds_alternative<Collective>(instruction)) {
      alike_ = false;
    }
    return at + 1;
  }

  std::size_t walk_loop(std::size_t at, const Loop& loop) {
    const bool over_items = item_loop_ && *item_loop_ == at;
    const std::size_t end = facts_[at].end;
    const MaybeShift begin = over_items ? Shift{1, 1} : shift_of(loop.begin, shifts_);
    bool as_often = !over_items;
    if (!over_items) {
      Expr length = loop.end, from = loop.begin;
      length.constant = from.constant = 0;  // they make no difference
      as_often = take_length(shift_of(length + from * -1, shifts_), facts_[at].touches_barrier) &&
                 take_length(shift_of(loop.step, shifts_), facts_[at].touches_barrier);
    }
    // What an iteration leaves to the next: the same for items of which the loop is as often run,
    // if the shift stays what it is. Of what items leave to items, nothing is known.
    if (!as_often) forget_written(at, end);
    for (bool settled = false; alike_ && !settled;) {
      shifts_[loop.var] = begin;
      const Shifts before = shifts_;
      for (std::size_t i = at + 1; alike_ && i < end;) i = walk(i);
      shifts_[loop.var] = begin;
      settled = true;
      for (std::size_t v = 0; v < shifts_.size(); ++v) {
        const MaybeShift joined = either(before[v], shifts_[v]);
        settled = settled && equal(joined, before[v]);
        shifts_[v] = joined;
      }
    }
    if (!as_often) forget_written(at, end);
    return end + 1;
  }

  void forget_written(std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) {
      for (VarId v = 0; v < max_variables; ++v) {
        if (writes(code_[i], v)) shifts_[v] = std::nullopt;
      }
    }
  }

  /// Returns whether items at the distance of a period have it in common.
  bool take_length(const MaybeShift& length, bool barriers) {
    const bool known = length && length->step == 0;
    const bool fixed = barriers || !item_loop_;
    if (!known && fixed) alike_ = false;
    // No item has another one at the distance of all of them.
    period_ = std::lcm(period_, known ? length->period : items_);
    if (period_ > longest_period) period_ = items_;
    if (known && fixed) fixed_period_ = std::lcm(fixed_period_, length->period);
    alike_ = alike_ && fixed_period_ <= longest_period;
    return known;
  }

  const std::vector<Instruction>& code_;
  std::vector<LoopFacts> facts_;
  std::optional<std::size_t> item_loop_;
  std::int64_t items_;
  std::int64_t budget_ = most_walked;
  Shifts shifts_;
  std::int64_t period_ = 1, fixed_period_ = 1;
  bool alike_ = true;
};

/// Executes a role for one item, counting instructions, after what stands before the items' loop.
class RoleCount {
 public:
  RoleCount(const Role& role, std::optional<std::size_t> item_loop, std::int64_t& budget)
      : code_(role.code), facts_(loop_facts(role.code)), to_(role.code.size()), budget_(budget) {
    if (item_loop) {
      block(0, *item_loop);
      from_ = *item_loop + 1;
      to_ = facts_[*item_loop].end;
      item_ = std::get<Loop>(code_[*item_loop]).var;
    }
    before_ = variables_;
  }
  double count(std::int64_t item) {
    variables_ = before_;
    variables_[item_] = item;
    return block(from_, to_);
  }

 private:
  std::int64_t value(const Expr& e) const {
    std::uint64_t sum = static_cast<std::uint64_t>(e.constant);
    for (const Expr::Term& term : e.terms) {
      sum += static_cast<std::uint64_t>(term.coefficient) *
             static_cast<std::uint64_t>(variables_[term.var]);
    }
    return static_cast<std::int64_t>(sum);
  }

  double block(std::size_t from, std::size_t to) {
    double steps = 0;
    for (std::size_t i = from; i < to && budget_ > 0; ++i) {
      --budget_;
      ++steps;
      if (const auto* loop = std::get_if<Loop>(&code_[i])) {
        steps += iterations(*loop, i + 1, facts_[i]);
        i = facts_[i].end;
      } else if (const auto* let = std::get_if<Let>(&code_[i])) {
        variables_[let->var] = result(*let);
      }
    }
    return steps;
  }

  double iterations(const Loop& loop, std::size_t body, const LoopFacts& facts) {
    const std::int64_t first = value(loop.begin), last = value(loop.end), by = value(loop.step);
    if (by <= 0 || first >= last) return 0;
    const auto times = static_cast<std::int64_t>(
        1 + (static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first) - 1) /
                static_cast<std::uint64_t>(by));
    if (facts.innermost) {
      return static_cast<double>(times) * static_cast<double>(facts.end - body);
    }
    double steps = 0;
    for (std::int64_t i = 0; i < times && budget_ > 0; ++i) {
      variables_[loop.var] = first + i * by;
      steps += block(body, facts.end);
    }
    return steps;
  }

  std::int64_t result(const Let& let) const {
    const std::int64_t a = value(let.a), b = value(let.b);
    switch (let.op) {
      case LetOp::set:
        return a;
      case LetOp::min:
        return std::min(a, b);
      case LetOp::max:
        return std::max(a, b);
      case LetOp::div:
      case LetOp::mod:
        break;
    }
    if (b <= 0) return 0;
    const std::int64_t quotient = a / b - (a % b < 0 ? 1 : 0);
    return let.op == LetOp::div ? quotient : a - quotient * b;
  }

  const std::vector<Instruction>& code_;
  std::vector<LoopFacts> facts_;
  std::size_t from_ = 0, to_;
  VarId item_ = var_cluster;
  std::int64_t& budget_;
  std::array<std::int64_t, max_variables> variables_{}, before_{};
};

/// The one loop of a role, outside of all others, that goes from its cluster's number, or a
/// constant beyond, to a constant by a constant.
std::optional<std::size_t> item_loop(const Role& role) {
  std::optional<std::size_t> found;
  std::size_t depth = 0;
  for (std::size_t i = 0; i < role.code.size(); ++i) {
    if (std::holds_alternative<End>(role.code[i])) --depth;
    const auto* loop = std::get_if<Loop>(&role.code[i]);
    if (loop == nullptr || depth++ > 0) continue;
    if (found) return std::nullopt;
    const bool from_cluster = loop->begin.terms.size() == 1 && loop->begin.constant >= 0 &&
                              loop->begin.terms.front().var == var_cluster &&
                              loop->begin.terms.front().coefficient == 1;
    if (!from_cluster || !is_constant(loop->end) || !is_constant(loop->step)) return std::nullopt;
    found = i;
  }
  return found;
}

const Loop& loop_at(const Role& role, std::size_t at) { return std::get<Loop>(role.code[at]); }

/// Counts the instructions of a kernel's items.
class StepCount {
 public:
  StepCount(const Kernel& kernel, const Repetition& repetition)
      : kernel_(kernel), repetition_(repetition) {}

  /// Of items that become steadily longer or shorter.
  double of(std::int64_t first, std::int64_t count) {
    const std::int64_t samples = std::min(count, most_samples);
    double steps = 0;
    for (const Role& role : kernel_.roles) {
      RoleCount role_count(role, repetition_.looped ? item_loop(role) : std::nullopt, budget_);
      for (std::int64_t i = 0; i < samples; ++i) {
        const std::int64_t at = first + (2 * i + 1) * count / (2 * samples);
        steps += static_cast<double>(role.copies) * role_count.count(at);
      }
    }
    return samples == 0 ? 0 : steps / static_cast<double>(samples) * static_cast<double>(count);
  }
  bool too_long() const { return budget_ <= 0; }

 private:
  const Kernel& kernel_;
  const Repetition& repetition_;
  std::int64_t budget_ = most_counted_steps;
};

/// item = i if i < first, else i + count; for i < 2^62.
std::array<Instruction, 3> shifted(VarId item, VarId from, std::int64_t first, std::int64_t count) {
  return {Let{item, LetOp::div, Expr::var(from), first}, Let{item, LetOp::min, Expr::var(item), 1},
          Let{item, LetOp::set, Expr::var(from) + Expr::var(item, count), 0}};
}

void rename(Expr& e, VarId from, VarId to) {
  for (Expr::Term& term : e.terms) {
    if (term.var == from) term.var = to;
  }
}

/// In what the instruction reads.
void rename(Instruction& instruction, VarId from, VarId to) {
  const auto in = [&](auto&... expressions) { (rename(expressions, from, to), ...); };
  if (auto* loop = std::get_if<Loop>(&instruction)) in(loop->begin, loop->end, loop->step);
  if (auto* let = std::get_if<Let>(&instruction)) in(let->a, let->b);
  if (auto* raster = std::get_if<Raster>(&instruction))
    in(raster->index, raster->rows, raster->cols);
  if (auto* load = std::get_if<Load>(&instruction)) in(load->row, load->col);
  if (auto* store = std::get_if<Store>(&instruction)) in(store->row, store->col);
  if (auto* signal = std::get_if<Signal>(&instruction)) in(signal->index);
  if (auto* await = std::get_if<AwaitSignal>(&instruction)) in(await->index, await->count);
}

/// Number of instructions that write `var`.
std::ptrdiff_t writers(const Role& role, VarId var) {
  return std::count_if(role.code.begin(), role.code.end(),
                       [&](const Instruction& i) { return writes(i, var); });
}

}  // namespace

std::optional<Repetition> repetition(const Kernel& kernel) {
  if (kernel.flags > 0 || kernel.roles.empty() || kernel.cluster < 1) return std::nullopt;
  Repetition result;
  result.looped = std::all_of(kernel.roles.begin(), kernel.roles.end(),
                              [](const Role& role) { return item_loop(role).has_value(); });
  result.items = kernel.grid / kernel.cluster;
  if (result.looped) {
    const Loop& first = loop_at(kernel.roles.front(), *item_loop(kernel.roles.front()));
    result.items = first.end.constant;
    result.step = first.step.constant;
  }
  std::int64_t barriers = 1;
  if (result.items < 1 || result.items > longest_period || result.step < 1 ||
      result.step > longest_period) {
    return std::nullopt;
  }
  for (const Role& role : kernel.roles) {
    if (role.variables.size() >= max_variables) return std::nullopt;
    std::optional<std::size_t> loop;
    VarId item = var_cluster;
    if (result.looped) {
      loop = item_loop(role);
      const Loop& over = loop_at(role, *loop);
      if (over.end.constant != result.items || over.step.constant != result.step) {
        return std::nullopt;
      }
      item = over.var;
    }
    // The item's number must be what the loop or the grid says.
    if (writers(role, item) != (result.looped ? 1 : 0)) return std::nullopt;
    if (result.looped && writers(role, var_cluster) > 0) return std::nullopt;
    RoleWalk walk(role, loop, result.items);
    if (!walk.repeats()) return std::nullopt;
    result.period = std::lcm(result.period, walk.period());
    if (result.period > longest_period) result.period = result.items;
    barriers = std::lcm(barriers, walk.fixed_period());
    if (barriers > longest_period) return std::nullopt;
  }
  if (result.looped) result.step = std::lcm(result.step, barriers);
  return result;
}

std::optional<double> steps_of_items(const Kernel& kernel, const Repetition& repetition,
                                     std::int64_t first, std::int64_t count) {
  const std::int64_t period = repetition.period;
  const std::int64_t head = std::min(count, round_up(first, period) - first);
  const std::int64_t tail = (count - head) % period, whole = (count - head) / period;
  StepCount steps(kernel, repetition);
  double sum = steps.of(first, head) + steps.of(first + count - tail, tail);
  if (whole > 0) sum += static_cast<double>(whole) * steps.of(first + head, period);
  if (steps.too_long()) return std::nullopt;
  return sum;
}

Kernel without_items(Kernel kernel, const Repetition& repetition, std::int64_t first,
                     std::int64_t count) {
  for (Role& role : kernel.roles) {
    const auto item = static_cast<VarId>(role.variables.size());
    role.variables.emplace_back("item");
    std::size_t body = 0, end = role.code.size();
    VarId from = var_cluster;
    if (repetition.looped) {
      body = *item_loop(role);
      Loop& loop = std::get<Loop>(role.code[body]);
      from = loop.var;
      loop.end.constant -= count;
      end = loop_facts(role.code)[body++].end;
    }
    for (std::size_t i = body; i < end; ++i) rename(role.code[i], from, item);
    const std::array<Instruction, 3> lets = shifted(item, from, first, count);
    role.code.insert(role.code.begin() + static_cast<std::ptrdiff_t>(body), lets.begin(),
                     lets.end());
  }
  if (!repetition.looped) kernel.grid -= count * kernel.cluster;
  return kernel;
}

}  // namespace tessera
