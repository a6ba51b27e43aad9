#include "sim/trace/statistics.h"

#include <algorithm>
#include <limits>

#include "sim/trace/execution.h"
#include "sim/trace/structure.h"

namespace tessera {
namespace {

/// Sums that say whether everything has fitted so far; what does not fit is left at the greatest
/// number.
class Sums {
 public:
  static constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();

  std::int64_t times(std::int64_t a, std::int64_t b) {
    std::int64_t product = 0;
    if (!__builtin_mul_overflow(a, b, &product)) return product;
    fits_ = false;
    return most;
  }
  void add(std::int64_t& sum, std::int64_t value) {
    if (!__builtin_add_overflow(sum, value, &sum)) return;
    fits_ = false;
    sum = most;
  }
  bool fit() const { return fits_; }

 private:
  bool fits_ = true;
};

/// Adds what an instruction did; false: a count does not fit.
bool count(KernelStatistics& s, const Section& section, const Kernel& kernel,
           const Instruction& instruction, const InstructionUse& use) {
  Sums sums;
  sums.add(s.executed[instruction.index()], use.executed);
  if (const auto* load = std::get_if<Load>(&instruction)) {
    const Format format = section.tensors[load->tensor].format;
    sums.add(s.load_bytes, sums.times(use.elements, bits(format)) / 8);
    const std::int64_t copies = load->multicast ? kernel.cluster : 1;
    sums.add(s.landed_bytes, sums.times(sums.times(use.executed, copies),
                                        bytes(format, load->rows * load->cols).value));
  } else if (const auto* store = std::get_if<Store>(&instruction)) {
    sums.add(s.store_bytes,
             sums.times(use.elements, bits(section.tensors[store->tensor].format)) / 8);
  } else if (const auto* mma = std::get_if<Mma>(&instruction)) {
    sums.add(s.mma_flops, sums.times(use.executed, 2 * mma->m * mma->n * mma->k));
  } else if (const auto* vector = std::get_if<Vector>(&instruction)) {
    sums.add(s.vector_elements[std::string(vector_cost(vector->function).name)],
             sums.times(use.executed, vector->elements));
  }
  return sums.fit();
}

}  // namespace

std::vector<KernelStatistics> statistics(const Trace& trace, std::int64_t max_steps) {
  std::vector<KernelStatistics> all;
  for (const Section& section : trace.sections) {
    const std::vector<Finding> of_section = check_section(section);
    const auto layout = std::find_if(of_section.begin(), of_section.end(),
                                     [](const Finding& f) { return f.rule == Rule::layout; });
    for (const Kernel& kernel : section.kernels) {
      KernelStatistics s;
      s.section = section.name;
      s.kernel = kernel.name;
      s.repeat = section.repeat;
      s.blocks = kernel.grid;
      s.cluster = kernel.cluster;
      s.scratchpad_bytes = kernel.scratchpad_bytes;
      const std::vector<Finding> of_kernel = check_structure(section, kernel);
      const auto wrong = std::find_if(of_kernel.begin(), of_kernel.end(),
                                      [](const Finding& f) { return f.rule != Rule::name; });
      if (layout != of_section.end() || wrong != of_kernel.end()) {
        s.complete = false;
        s.note = to_text(layout != of_section.end() ? *layout : *wrong);
        all.push_back(std::move(s));
        continue;
      }
      s.op = section.ops[static_cast<std::size_t>(kernel.op)].name;
      ExecutionLimits limits;
      limits.max_steps = max_steps;
      const KernelExecution execution = execute(section, kernel, limits);
      max_steps -= execution.steps;
      s.steps = execution.steps;
      s.complete = execution.complete;
      if (!execution.complete && !execution.findings.empty()) {
        s.note = to_text(execution.findings.back());
      }
      bool fits = true;
      for (std::size_t r = 0; r < kernel.roles.size(); ++r) {
        const Role& role = kernel.roles[r];
        s.warps += role.copies * role.warps;
        s.registers += role.copies * role.warps * 32 * role.registers;
        for (std::size_t i = 0; i < role.code.size(); ++i) {
          if (!std::holds_alternative<End>(role.code[i])) ++s.lines;
          fits &= count(s, section, kernel, role.code[i], execution.uses[r][i]);
        }
      }
      if (!fits) {
        s.complete = false;
        s.note = "a count does not fit 64 bits";
      }
      all.push_back(std::move(s));
    }
  }
  return all;
}

}  // namespace tessera
