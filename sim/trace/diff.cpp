#include "sim/trace/diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "sim/trace/digest.h"
#include "sim/trace/names.h"
#include "sim/trace/text.h"

namespace tessera {
namespace {

constexpr std::size_t absent = static_cast<std::size_t>(-1);

// For each item of `after` the one of `before` it continues: the first unused one of its name,
// then, of those left, the first with the same key (a renamed one).
struct Matching {
  std::vector<std::size_t> before_of;  // by index of after
  std::vector<std::size_t> removed;    // indices of before
};

/// key(item, whether it is of `after`): what a renamed item keeps.
template <class Item, class Key>
Matching match(const std::vector<Item>& before, const std::vector<Item>& after, Key&& key) {
  Matching matching;
  matching.before_of.assign(after.size(), absent);
  std::vector<bool> used(before.size(), false);
  const auto pass = [&](auto&& key_before, auto&& key_after) {
    std::map<std::string, std::vector<std::size_t>> candidates;  // the first one last
    for (std::size_t i = before.size(); i > 0; --i) {
      if (!used[i - 1]) candidates[key_before(before[i - 1])].push_back(i - 1);
    }
    for (std::size_t i = 0; i < after.size() && !candidates.empty(); ++i) {
      if (matching.before_of[i] != absent) continue;
      const auto found = candidates.find(key_after(after[i]));
      if (found == candidates.end()) continue;
      matching.before_of[i] = found->second.back();
      used[found->second.back()] = true;
      found->second.pop_back();
      if (found->second.empty()) candidates.erase(found);
    }
  };
  const auto by_name = [](const Item& item) { return item.name; };
  pass(by_name, by_name);
  pass([&](const Item& item) { return key(item, false); },
       [&](const Item& item) { return key(item, true); });
  for (std::size_t j = 0; j < before.size(); ++j) {
    if (!used[j]) matching.removed.push_back(j);
  }
  return matching;
}

std::string flag(bool value) { return value ? "yes" : "no"; }

// The fields of an instruction by name, as text: what may be compared one by one.
using Fields = std::vector<std::pair<std::string, std::string>>;

class Describe {
 public:
  Describe(const Section& section, const Kernel& kernel, const Role& role)
      : section_(section), kernel_(kernel), role_(role) {}

  /// The instruction in a word or two: its keyword and what it works on.
  std::string label(const Instruction& i) const {
    std::string text(instruction_keyword(i.index()));
    const std::string on = std::visit([this](const auto& x) { return object(x); }, i);
    return on.empty() ? text : text + " " + on;
  }

  Fields fields(const Instruction& i) const {
    return std::visit([this](const auto& x) { return list(x); }, i);
  }

 private:
  std::string e(const Expr& expression) const { return to_text(expression, role_); }
  std::string variable(VarId v) const {
    return v < role_.variables.size() ? role_.variables[v] : fmt::format("@{}", v);
  }
  std::string tensor(std::uint16_t t) const {
    return t < section_.tensors.size() ? section_.tensors[t].name : fmt::format("@{}", t);
  }
  std::string barrier(std::uint16_t b) const {
    return b < kernel_.barriers.size() ? kernel_.barriers[b].name : fmt::format("@{}", b);
  }

  std::string object(const Loop& i) const { return variable(i.var); }
  std::string object(const Let& i) const { return variable(i.var); }
  std::string object(const Raster& i) const { return variable(i.row) + " " + variable(i.col); }
  std::string object(const Wait& i) const { return barrier(i.barrier); }
  std::string object(const Arrive& i) const { return barrier(i.barrier); }
  std::string object(const Expect& i) const { return barrier(i.barrier); }
  std::string object(const Load& i) const { return tensor(i.tensor); }
  std::string object(const Store& i) const { return tensor(i.tensor); }
  std::string object(const Vector& i) const { return std::string(vector_cost(i.function).name); }
  std::string object(const Collective& i) const { return std::string(name(i.kind)); }
  template <class Other>
  std::string object(const Other&) const {
    return "";
  }

  Fields list(const Loop& i) const {
    return {{"variable", variable(i.var)},
            {"begin", e(i.begin)},
            {"end", e(i.end)},
            {"step", e(i.step)}};
  }
  Fields list(const End&) const { return {}; }
  Fields list(const Let& i) const {
    return {{"variable", variable(i.var)},
            {"operation", std::string(name(i.op))},
            {"first operand", e(i.a)},
            {"second operand", e(i.b)}};
  }
  Fields list(const Raster& i) const {
    return {{"row", variable(i.row)},
            {"column", variable(i.col)},
            {"index", e(i.index)},
            {"grid", e(i.rows) + " x " + e(i.cols)},
            {"group", std::to_string(i.group)}};
  }
  Fields list(const Wait& i) const { return {{"barrier", barrier(i.barrier)}}; }
  Fields list(const Arrive& i) const {
    return {{"barrier", barrier(i.barrier)}, {"cluster", flag(i.cluster)}};
  }
  Fields list(const Expect& i) const {
    return {{"barrier", barrier(i.barrier)}, {"bytes", std::to_string(i.bytes)}};
  }
  Fields list(const Load& i) const {
    return {{"tensor", tensor(i.tensor)},
            {"origin", e(i.row) + ", " + e(i.col)},
            {"box", fmt::format("{} x {}", i.rows, i.cols)},
            {"multicast", flag(i.multicast)},
            {"gather", flag(i.gather)}};
  }
  Fields list(const Store& i) const {
    return {{"tensor", tensor(i.tensor)},
            {"origin", e(i.row) + ", " + e(i.col)},
            {"box", fmt::format("{} x {}", i.rows, i.cols)},
            {"reduce", flag(i.reduce)}};
  }
  Fields list(const StoreWait& i) const { return {{"pending", std::to_string(i.pending)}}; }
  Fields list(const Mma& i) const {
    return {{"shape", fmt::format("{} x {} x {}", i.m, i.n, i.k)},
            {"format", std::string(name(i.format))},
            {"operand a", std::string(name(i.a))}};
  }
  Fields list(const MmaWait& i) const { return {{"pending", std::to_string(i.pending)}}; }
  Fields list(const Vector& i) const {
    return {{"function", std::string(vector_cost(i.function).name)},
            {"elements", std::to_string(i.elements)}};
  }
  Fields list(const Setup& i) const { return {{"cycles", std::to_string(i.cycles)}}; }
  Fields list(const Signal& i) const { return {{"flag", e(i.index)}}; }
  Fields list(const AwaitSignal& i) const { return {{"flag", e(i.index)}, {"count", e(i.count)}}; }
  Fields list(const Collective& i) const {
    return {{"kind", std::string(name(i.kind))},
            {"ranks", std::to_string(i.ranks)},
            {"bytes", std::to_string(i.bytes)}};
  }

  const Section& section_;
  const Kernel& kernel_;
  const Role& role_;
};

// One step of turning a list of lines into another.
struct Edit {
  std::size_t before = absent, after = absent;  // both: kept
};

/// The longest common subsequence of two lists as edits in order; nothing if it would take too
/// long.
std::optional<std::vector<Edit>> align(const std::vector<std::string>& a,
                                       const std::vector<std::string>& b) {
  std::size_t first = 0;
  while (first < a.size() && first < b.size() && a[first] == b[first]) ++first;
  std::size_t last = 0;
  while (last < a.size() - first && last < b.size() - first &&
         a[a.size() - 1 - last] == b[b.size() - 1 - last]) {
    ++last;
  }
  const std::size_t n = a.size() - first - last, m = b.size() - first - last;
  constexpr std::size_t most = 16'000'000;
  if (n > 0 && m > most / n) return std::nullopt;
  // common[i][j]: of a from first + i, b from first + j.
  std::vector<std::uint32_t> common((n + 1) * (m + 1), 0);
  for (std::size_t i = n; i > 0; --i) {
    for (std::size_t j = m; j > 0; --j) {
      common[(i - 1) * (m + 1) + j - 1] =
          a[first + i - 1] == b[first + j - 1]
              ? common[i * (m + 1) + j] + 1
              : std::max(common[i * (m + 1) + j - 1], common[(i - 1) * (m + 1) + j]);
    }
  }
  std::vector<Edit> edits;
  for (std::size_t i = 0; i < first; ++i) edits.push_back({i, i});
  std::size_t i = 0, j = 0;
  while (i < n || j < m) {
    if (i < n && j < m && a[first + i] == b[first + j]) {
      edits.push_back({first + i++, first + j++});
    } else if (j == m || (i < n && common[(i + 1) * (m + 1) + j] >= common[i * (m + 1) + j + 1])) {
      edits.push_back({first + i++, absent});
    } else {
      edits.push_back({absent, first + j++});
    }
  }
  for (std::size_t k = 0; k < last; ++k) edits.push_back({first + n + k, first + m + k});
  return edits;
}

class Comparison {
 public:
  Comparison(const Trace& before, const Trace& after) : before_(before), after_(after) {}

  std::vector<Difference> run() {
    field("", "chip", before_.chip, after_.chip);
    field("", "chip digest", before_.chip_digest, after_.chip_digest);
    field("", "workload", before_.workload, after_.workload);
    const Matching sections =
        match(before_.sections, after_.sections,
              [](const Section& section, bool) { return execution_digest(section); });
    list("", "section", before_.sections, after_.sections, sections,
         [&](const Section& a, const Section& b) { section(a, b); });
    return std::move(differences_);
  }

 private:
  void add(const std::string& place, std::string what) {
    differences_.push_back({place, std::move(what)});
  }

  void field(const std::string& place, std::string_view what, const std::string& before,
             const std::string& after) {
    if (before != after) add(place, fmt::format("{} {} -> {}", what, before, after));
  }
  void field(const std::string& place, std::string_view what, std::int64_t before,
             std::int64_t after) {
    field(place, what, std::to_string(before), std::to_string(after));
  }
  void field(const std::string& place, std::string_view what, bool before, bool after) {
    field(place, what, flag(before), flag(after));
  }

  template <class Item, class Each>
  void list(const std::string& place, std::string_view what, const std::vector<Item>& before,
            const std::vector<Item>& after, const Matching& matching, Each&& each,
            bool ordered = true) {
    for (const std::size_t index : matching.removed) {
      add(place, fmt::format("{} {} removed", what, before[index].name));
    }
    std::size_t furthest = 0;
    for (std::size_t i = 0; i < after.size(); ++i) {
      const std::size_t index = matching.before_of[i];
      if (index == absent) {
        add(place, fmt::format("{} {} added", what, after[i].name));
        continue;
      }
      if (before[index].name != after[i].name) {
        add(place, fmt::format("{} {} renamed to {}", what, before[index].name, after[i].name));
      }
      if (ordered && index < furthest) {
        add(place, fmt::format("{} {} comes earlier or later than before", what, after[i].name));
      }
      furthest = std::max(furthest, index);
      each(before[index], after[i]);
    }
  }

  void section(const Section& a, const Section& b) {
    const std::string place = "section " + b.name;
    field(place, "repeat", a.repeat, b.repeat);
    const Matching tensors = match(a.tensors, b.tensors, [](const Tensor& t, bool) {
      return fmt::format("{} {} {} x {} {} {}", name(t.kind), name(t.format), t.rows, t.cols,
                         t.warm, t.address);
    });
    list(
        place, "tensor", a.tensors, b.tensors, tensors,
        [&](const Tensor& x, const Tensor& y) { tensor(place, x, y); }, false);
    const Matching ops = match(a.ops, b.ops, [](const OpRecord& o, bool) {
      return fmt::format("{}\n{}\n{} {}", o.kind, o.precision, o.tensor_flops.value,
                         o.vector_flops.value);
    });
    list(place, "op", a.ops, b.ops, ops,
         [&](const OpRecord& x, const OpRecord& y) { op(place + " op " + y.name, x, y); });

    // The section as it was, with renamed tensors called as they are now.
    Section renamed = a;
    for (std::size_t i = 0; i < b.tensors.size(); ++i) {
      if (tensors.before_of[i] != absent) {
        renamed.tensors[tensors.before_of[i]].name = b.tensors[i].name;
      }
    }
    std::map<std::int64_t, std::int64_t> op_now;
    for (std::size_t i = 0; i < b.ops.size(); ++i) {
      if (ops.before_of[i] != absent) {
        op_now[static_cast<std::int64_t>(ops.before_of[i])] = static_cast<std::int64_t>(i);
      }
    }
    const Matching kernels =
        match(renamed.kernels, b.kernels, [&](const Kernel& kernel, bool is_after) {
          return digest_of(is_after ? b : renamed, kernel);
        });
    list(place, "kernel", renamed.kernels, b.kernels, kernels,
         [&](const Kernel& x, const Kernel& y) { kernel(renamed, b, x, y, op_now); });
  }

  static std::string digest_of(const Section& section, const Kernel& kernel) {
    Section only;
    only.tensors = section.tensors;
    only.kernels = {kernel};
    return execution_digest(only);
  }

  void tensor(const std::string& section, const Tensor& a, const Tensor& b) {
    const std::string place = section + " tensor " + b.name;
    field(place, "kind", std::string(name(a.kind)), std::string(name(b.kind)));
    field(place, "format", std::string(name(a.format)), std::string(name(b.format)));
    field(place, "shape", fmt::format("{} x {}", a.rows, a.cols),
          fmt::format("{} x {}", b.rows, b.cols));
    field(place, "address", a.address, b.address);
    field(place, "warm", a.warm, b.warm);
  }

  void op(const std::string& place, const OpRecord& a, const OpRecord& b) {
    field(place, "kind", a.kind, b.kind);
    field(place, "precision", a.precision, b.precision);
    field(place, "operands", std::string(name(a.format)), std::string(name(b.format)));
    field(place, "tensor_flops", a.tensor_flops.value, b.tensor_flops.value);
    field(place, "vector_flops", a.vector_flops.value, b.vector_flops.value);
    field(place, "reads", a.compulsory_read.value, b.compulsory_read.value);
    field(place, "writes", a.compulsory_write.value, b.compulsory_write.value);
  }

  void kernel(const Section& before, const Section& after, const Kernel& a, const Kernel& b,
              const std::map<std::int64_t, std::int64_t>& op_now) {
    const std::string place = fmt::format("kernel {}/{}", after.name, b.name);
    const auto op = op_now.find(a.op);
    if ((op == op_now.end() ? a.op : op->second) != b.op) {
      const auto op_name = [](const Section& s, std::int64_t index) {
        return index >= 0 && index < static_cast<std::int64_t>(s.ops.size())
                   ? s.ops[static_cast<std::size_t>(index)].name
                   : fmt::format("@{}", index);
      };
      field(place, "op", op_name(before, a.op), op_name(after, b.op));
    }
    field(place, "grid", a.grid, b.grid);
    field(place, "cluster", a.cluster, b.cluster);
    field(place, "scratchpad", a.scratchpad_bytes, b.scratchpad_bytes);
    field(place, "flags", a.flags, b.flags);
    field(place, "early launch", a.early_launch, b.early_launch);
    const Matching barriers = match(a.barriers, b.barriers, [](const Barrier& barrier, bool) {
      return fmt::format("{} {} {}", barrier.slots, barrier.arrivals, barrier.initially_complete);
    });
    list(
        place, "barrier", a.barriers, b.barriers, barriers,
        [&](const Barrier& x, const Barrier& y) {
          const std::string of = place + " barrier " + y.name;
          field(of, "slots", x.slots, y.slots);
          field(of, "arrivals", x.arrivals, y.arrivals);
          field(of, "initially complete", x.initially_complete, y.initially_complete);
        },
        false);
    Kernel renamed = a;
    for (std::size_t i = 0; i < b.barriers.size(); ++i) {
      if (barriers.before_of[i] != absent) {
        renamed.barriers[barriers.before_of[i]].name = b.barriers[i].name;
      }
    }
    const Matching roles = match(renamed.roles, b.roles, [](const Role& role, bool) {
      return fmt::format("{} {} {}", role.code.size(), role.copies, role.warps);
    });
    list(place, "role", renamed.roles, b.roles, roles, [&](const Role& x, const Role& y) {
      role(place + " role " + y.name, before, after, renamed, b, x, y);
    });
  }

  /// The role as it was, its variables called as they are now. First by number: then a mere
  /// renaming leaves nothing to report; else by name, what is left in order of definition.
  static Role with_variables_of(const Role& a, const Role& b, bool by_number) {
    Role renamed = a;
    if (by_number) {
      for (std::size_t i = 0; i < std::min(a.variables.size(), b.variables.size()); ++i) {
        renamed.variables[i] = b.variables[i];
      }
      return renamed;
    }
    const std::set<std::string> now(b.variables.begin(), b.variables.end());
    const std::set<std::string> then(a.variables.begin(), a.variables.end());
    std::vector<std::string> fresh;
    for (const std::string& name : b.variables) {
      if (then.count(name) == 0) fresh.push_back(name);
    }
    auto next = fresh.begin();
    for (std::string& name : renamed.variables) {
      if (now.count(name) == 0 && next != fresh.end()) name = *next++;
    }
    return renamed;
  }

  void role(const std::string& place, const Section& section_a, const Section& section_b,
            const Kernel& kernel_a, const Kernel& kernel_b, const Role& a, const Role& b) {
    field(place, "copies", a.copies, b.copies);
    field(place, "warps", a.warps, b.warps);
    field(place, "registers", a.registers, b.registers);
    const Describe after(section_b, kernel_b, b);
    const std::vector<std::string> now = code_lines(b, kernel_b, section_b);
    for (const bool by_number : {true, false}) {
      const Role renamed = with_variables_of(a, b, by_number);
      const Describe before(section_a, kernel_a, renamed);
      const std::vector<std::string> then = code_lines(renamed, kernel_a, section_a);
      if (then == now) return;
      if (!by_number) code(place, before, after, renamed.code, b.code, then, now);
    }
  }

  void code(const std::string& place, const Describe& before, const Describe& after,
            const std::vector<Instruction>& a, const std::vector<Instruction>& b,
            const std::vector<std::string>& then, const std::vector<std::string>& now) {
    const auto edits = align(then, now);
    if (!edits) {
      add(place, fmt::format("{} instructions replaced by {} others", a.size(), b.size()));
      return;
    }
    std::int64_t loops = 0;  // for-lines removed minus their ends removed, and added
    std::size_t moved_ends = 0, reported = differences_.size();
    // Lines removed (true) or added so far, by where they are reported: one of each is a move.
    std::multimap<std::pair<bool, std::string>, std::size_t> gone_or_new;
    for (std::size_t i = 0; i < edits->size();) {
      if ((*edits)[i].before != absent && (*edits)[i].after != absent) {
        ++i;
        continue;
      }
      // A run of removals and additions: what is of one kind, in order, has changed.
      std::vector<std::size_t> removed, added;
      for (; i < edits->size() && ((*edits)[i].before == absent || (*edits)[i].after == absent);
           ++i) {
        if ((*edits)[i].before != absent) removed.push_back((*edits)[i].before);
        if ((*edits)[i].after != absent) added.push_back((*edits)[i].after);
      }
      for (const std::size_t old : removed) {
        const auto partner = std::find_if(added.begin(), added.end(), [&](std::size_t candidate) {
          return candidate != absent && a[old].index() == b[candidate].index() &&
                 (before.label(a[old]) == after.label(b[candidate]));
        });
        auto other = partner;
        if (other == added.end()) {
          other = std::find_if(added.begin(), added.end(), [&](std::size_t candidate) {
            return candidate != absent && a[old].index() == b[candidate].index();
          });
        }
        if (other != added.end()) {
          if (then[old] != now[*other]) {
            changed(place, before, after, a[old], b[*other]);
          } else if (!std::holds_alternative<End>(a[old])) {
            add(place, fmt::format("`{}` moved", now[*other]));
          }
          *other = absent;
        } else if (std::holds_alternative<End>(a[old])) {
          ++moved_ends;
        } else {
          loops += std::holds_alternative<Loop>(a[old]) ? 1 : 0;
          const auto moved = gone_or_new.find({false, then[old]});
          if (moved != gone_or_new.end()) {
            differences_[moved->second].what = fmt::format("`{}` moved", then[old]);
            gone_or_new.erase(moved);
          } else {
            gone_or_new.emplace(std::make_pair(true, then[old]), differences_.size());
            add(place, fmt::format("`{}` removed", then[old]));
          }
        }
      }
      for (const std::size_t fresh : added) {
        if (fresh == absent) continue;
        if (std::holds_alternative<End>(b[fresh])) {
          ++moved_ends;
        } else {
          loops += std::holds_alternative<Loop>(b[fresh]) ? 1 : 0;
          const auto moved = gone_or_new.find({true, now[fresh]});
          if (moved != gone_or_new.end()) {
            differences_[moved->second].what = fmt::format("`{}` moved", now[fresh]);
            gone_or_new.erase(moved);
          } else {
            gone_or_new.emplace(std::make_pair(false, now[fresh]), differences_.size());
            add(place, fmt::format("`{}` added {}", now[fresh], where(b, now, fresh)));
          }
        }
      }
    }
    if (moved_ends > static_cast<std::size_t>(loops) || differences_.size() == reported) {
      add(place, "a loop ends at another place");
    }
  }

  static std::string where(const std::vector<Instruction>& code,
                           const std::vector<std::string>& lines, std::size_t index) {
    if (index == 0) return "first";
    std::size_t previous = index - 1;
    if (!std::holds_alternative<End>(code[previous])) {
      return fmt::format("after `{}`", lines[previous]);
    }
    for (std::size_t depth = 1; depth > 0 && previous > 0;) {
      --previous;
      if (std::holds_alternative<End>(code[previous])) ++depth;
      if (std::holds_alternative<Loop>(code[previous])) --depth;
    }
    return fmt::format("after the loop `{}`", lines[previous]);
  }

  void changed(const std::string& place, const Describe& before, const Describe& after,
               const Instruction& a, const Instruction& b) {
    const Fields then = before.fields(a), now = after.fields(b);
    const std::string label = before.label(a);
    for (std::size_t i = 0; i < then.size() && i < now.size(); ++i) {
      if (then[i].second == now[i].second) continue;
      add(place,
          fmt::format("{} of `{}` {} -> {}", then[i].first, label, then[i].second, now[i].second));
    }
  }

  const Trace& before_;
  const Trace& after_;
  std::vector<Difference> differences_;
};

}  // namespace

std::string to_text(const Difference& difference) {
  return difference.place.empty() ? difference.what : difference.place + ": " + difference.what;
}

std::vector<Difference> diff(const Trace& before, const Trace& after) {
  return Comparison(before, after).run();
}

}  // namespace tessera
