#include "sim/trace/structure.h"

#include <fmt/format.h>

#include <algorithm>
#include <bitset>
#include <numeric>
#include <set>

#include "sim/trace/limits.h"
#include "sim/trace/text.h"

namespace tessera {
namespace {

class KernelCheck {
 public:
  KernelCheck(const Section& section, const Kernel& kernel) : section_(section), kernel_(kernel) {}

  std::vector<Finding> run() {
    if (kernel_.op < 0 || kernel_.op >= static_cast<std::int64_t>(section_.ops.size())) {
      report(Rule::structure, fmt::format("operation {} does not exist; the section has {}",
                                          kernel_.op, section_.ops.size()));
    }
    range("grid", kernel_.grid, 1, std::int64_t{1} << 40);
    range("cluster", kernel_.cluster, 1, max_contexts_per_cluster);
    range("scratchpad", kernel_.scratchpad_bytes, 0, std::int64_t{1} << 40);
    range("flags", kernel_.flags, 0, max_flags);
    if (kernel_.cluster >= 1 && kernel_.grid % kernel_.cluster != 0) {
      report(Rule::structure,
             fmt::format("a grid of {} blocks is not a multiple of the cluster, {}", kernel_.grid,
                         kernel_.cluster));
    }
    unique("barrier", kernel_.barriers);
    unique("role", kernel_.roles);
    for (const Barrier& barrier : kernel_.barriers) {
      range("slots of barrier " + barrier.name, barrier.slots, 1, max_barrier_slots);
      range("arrivals of barrier " + barrier.name, barrier.arrivals, 1, std::int64_t{1} << 20);
    }
    if (kernel_.roles.empty()) report(Rule::structure, "no role: a kernel has at least one");
    std::int64_t contexts = 0;
    for (const Role& role : kernel_.roles) {
      role_ = &role;
      range("copies", role.copies, 1, max_contexts_per_cluster);
      range("warps", role.warps, 1, 1024);
      range("registers", role.registers, 1, 65536);
      contexts += std::clamp<std::int64_t>(role.copies, 0, max_contexts_per_cluster);
      code(role);
    }
    role_ = nullptr;
    if (findings_.empty() && contexts > max_contexts_per_cluster / kernel_.cluster) {
      report(Rule::structure,
             fmt::format("{} contexts in each of {} blocks of a cluster; at most {} in all",
                         contexts, kernel_.cluster, max_contexts_per_cluster));
    }
    return std::move(findings_);
  }

 private:
  void report(Rule rule, std::string what) {
    if (findings_.size() == max_findings) return;
    Finding finding;
    finding.rule = rule;
    finding.section = section_.name;
    finding.kernel = kernel_.name;
    if (role_ != nullptr) finding.role = role_->name;
    if (instruction_ != nullptr) {
      finding.instruction = to_text(*instruction_, *role_, kernel_, section_);
    }
    finding.what = std::move(what);
    findings_.push_back(std::move(finding));
  }

  void range(const std::string& what, std::int64_t value, std::int64_t least, std::int64_t most) {
    if (value < least || value > most) {
      report(Rule::structure,
             fmt::format("{} is {}; it lies between {} and {}", what, value, least, most));
    }
  }

  template <class Named>
  void unique(std::string_view what, const std::vector<Named>& list) {
    std::set<std::string_view> seen;
    for (const Named& item : list) {
      if (item.name.empty()) report(Rule::name, fmt::format("a {} without a name", what));
      if (!seen.insert(item.name).second) {
        report(Rule::name, fmt::format("two {}s are called {}", what, item.name));
      }
    }
  }

  void code(const Role& role) {
    const std::vector<std::string>& names = role.variables;
    if (names.size() < first_free_var || names.size() > max_variables) {
      report(Rule::structure, fmt::format("{} variables; a role has {} to {}", names.size(),
                                          first_free_var, max_variables));
      return;
    }
    std::set<std::string_view> seen;
    for (const std::string& name : names) {
      if (name.empty()) report(Rule::name, "a variable without a name");
      if (!seen.insert(name).second) {
        report(Rule::name, fmt::format("two variables are called {}", name));
      }
    }
    defined_.reset();
    for (VarId v = 0; v < first_free_var; ++v) defined_.set(v);
    loops_.clear();
    for (const Instruction& instruction : role.code) {
      instruction_ = &instruction;
      std::visit([this](const auto& i) { check(i); }, instruction);
    }
    instruction_ = nullptr;
    if (!loops_.empty()) report(Rule::structure, "a loop without its end");
  }

  void read(const Expr& e) {
    if (e.terms.size() > max_expression_terms) {
      report(Rule::structure, "too many terms in an expression");
    }
    for (const Expr::Term& term : e.terms) {
      if (term.var >= role_->variables.size()) {
        report(Rule::structure, fmt::format("variable @{} does not exist", term.var));
      } else if (!defined_.test(term.var)) {
        report(Rule::structure,
               fmt::format("variable {} is read before it is defined", role_->variables[term.var]));
      }
    }
  }

  void define(VarId var) {
    if (var >= role_->variables.size()) {
      report(Rule::structure, fmt::format("variable @{} does not exist", var));
      return;
    }
    if (var < first_free_var) {
      report(Rule::structure, fmt::format("{} is set by the machine", role_->variables[var]));
    }
    for (const OpenLoop& loop : loops_) {
      if (loop.var == var) {
        report(Rule::structure,
               fmt::format("{} changes inside its own loop", role_->variables[var]));
      }
    }
    defined_.set(var);
  }

  void barrier(std::uint16_t index) {
    if (index >= kernel_.barriers.size()) {
      report(Rule::structure, fmt::format("barrier @{} does not exist; the kernel has {}", index,
                                          kernel_.barriers.size()));
    }
  }

  void tensor(std::uint16_t index, std::int64_t rows, std::int64_t cols) {
    if (index >= section_.tensors.size()) {
      report(Rule::structure, fmt::format("tensor @{} does not exist; the section has {}", index,
                                          section_.tensors.size()));
    }
    if (rows < 1 || cols < 1 || rows > max_box_size / cols) {
      report(Rule::structure,
             fmt::format("a box of {} x {}; its sides are at least 1, its area at most 2^31", rows,
                         cols));
    }
  }

  void check(const Loop& i) {
    read(i.begin);
    // The end and the step are evaluated again in every iteration, but defined before the first.
    read(i.end);
    read(i.step);
    if (i.step.terms.empty() && i.step.constant < 1) {
      report(Rule::arithmetic, fmt::format("a step of {}; steps are positive", i.step.constant));
    }
    const auto before = defined_;
    define(i.var);
    loops_.push_back({i.var, before});
    if (loops_.size() == max_loop_nesting + 1) {
      report(Rule::structure, fmt::format("loops nested more than {} deep", max_loop_nesting));
    }
  }
  void check(const End&) {
    if (loops_.empty()) {
      report(Rule::structure, "an end without its loop");
      return;
    }
    // The body may not have run: what it defined is not defined after it.
    defined_ = loops_.back().defined;
    loops_.pop_back();
  }
  void check(const Let& i) {
    read(i.a);
    read(i.b);
    if ((i.op == LetOp::div || i.op == LetOp::mod) && i.b.terms.empty() && i.b.constant < 1) {
      report(Rule::arithmetic, fmt::format("division by {}; divisors are positive", i.b.constant));
    }
    define(i.var);
  }
  void check(const Raster& i) {
    read(i.index);
    read(i.rows);
    read(i.cols);
    range("group", i.group, 1, std::int64_t{1} << 31);
    define(i.row);
    define(i.col);
  }
  void check(const Wait& i) { barrier(i.barrier); }
  void check(const Arrive& i) { barrier(i.barrier); }
  void check(const Expect& i) {
    barrier(i.barrier);
    range("bytes", i.bytes, 0, std::int64_t{1} << 40);
  }
  void check(const Load& i) {
    tensor(i.tensor, i.rows, i.cols);
    read(i.row);
    read(i.col);
  }
  void check(const Store& i) {
    tensor(i.tensor, i.rows, i.cols);
    read(i.row);
    read(i.col);
  }
  void check(const StoreWait& i) { range("pending", i.pending, 0, std::int64_t{1} << 31); }
  void check(const Mma& i) {
    for (const auto& [what, size] : {std::pair{"m", i.m}, {"n", i.n}, {"k", i.k}}) {
      range(what, size, 1, std::int64_t{1} << 16);
    }
  }
  void check(const MmaWait& i) { range("pending", i.pending, 0, std::int64_t{1} << 31); }
  void check(const Vector& i) { range("elements", i.elements, 0, std::int64_t{1} << 40); }
  void check(const Setup& i) { range("cycles", i.cycles, 0, std::int64_t{1} << 40); }
  void check(const Signal& i) { read(i.index); }
  void check(const AwaitSignal& i) {
    read(i.index);
    read(i.count);
  }
  void check(const Collective& i) {
    range("ranks", i.ranks, 1, std::int64_t{1} << 20);
    range("bytes", i.bytes, 0, std::int64_t{1} << 50);
  }

  struct OpenLoop {
    VarId var;
    std::bitset<256> defined;  // before it
  };

  const Section& section_;
  const Kernel& kernel_;
  const Role* role_ = nullptr;
  const Instruction* instruction_ = nullptr;
  std::bitset<256> defined_;
  std::vector<OpenLoop> loops_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> check_structure(const Section& section, const Kernel& kernel) {
  return KernelCheck(section, kernel).run();
}

std::vector<Finding> check_section(const Section& section) {
  std::vector<Finding> findings;
  const auto report = [&](Rule rule, std::string what) {
    if (findings.size() == max_findings) return;
    Finding finding;
    finding.rule = rule;
    finding.section = section.name;
    finding.what = std::move(what);
    findings.push_back(std::move(finding));
  };
  const auto unique = [&](std::string_view what, const auto& list) {
    std::set<std::string_view> seen;
    for (const auto& item : list) {
      if (item.name.empty()) report(Rule::name, fmt::format("a {} without a name", what));
      if (!seen.insert(item.name).second) {
        report(Rule::name, fmt::format("two {}s are called {}", what, item.name));
      }
    }
  };
  if (section.name.empty()) report(Rule::name, "a section without a name");
  unique("tensor", section.tensors);
  unique("op", section.ops);
  unique("kernel", section.kernels);
  if (section.repeat < 1 || section.repeat > max_repeat) {
    report(Rule::structure, fmt::format("repeat is {}; a section runs between 1 and {} times",
                                        section.repeat, max_repeat));
  }
  std::vector<const Tensor*> sane;
  for (const Tensor& tensor : section.tensors) {
    if (tensor.rows < 1 || tensor.cols < 1 || tensor.rows > max_tensor_size / tensor.cols) {
      report(Rule::layout, fmt::format("tensor {} has {} x {} elements; both are at least 1, "
                                       "together at most 2^48",
                                       tensor.name, tensor.rows, tensor.cols));
    } else if (tensor.address < 0 || tensor.address > max_tensor_address) {
      report(Rule::layout, fmt::format("tensor {} is at {}; addresses lie between 0 and 2^56",
                                       tensor.name, tensor.address));
    } else {
      sane.push_back(&tensor);
      if (tensor.address % tensor_alignment != 0) {
        report(Rule::layout, fmt::format("tensor {} is at {}, which is not a multiple of {}",
                                         tensor.name, tensor.address, tensor_alignment));
      }
    }
  }
  std::stable_sort(sane.begin(), sane.end(),
                   [](const Tensor* a, const Tensor* b) { return a->address < b->address; });
  // The furthest end so far: a long tensor may overlap several that follow.
  const Tensor* furthest = nullptr;
  for (const Tensor* tensor : sane) {
    if (furthest != nullptr && tensor->address < furthest->address + furthest->size().value) {
      report(Rule::layout,
             fmt::format("tensors {} (at {}, {} bytes) and {} (at {}) overlap", furthest->name,
                         furthest->address, furthest->size().value, tensor->name, tensor->address));
    }
    if (furthest == nullptr ||
        tensor->address + tensor->size().value > furthest->address + furthest->size().value) {
      furthest = tensor;
    }
  }
  return findings;
}

}  // namespace tessera
