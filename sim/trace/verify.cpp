#include "sim/trace/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "sim/trace/link_bytes.h"
#include "sim/trace/structure.h"
#include "sim/trace/text.h"

namespace tessera {
namespace {

bool contains(const Region& outer, const Region& inner) {
  return inner.row_begin >= outer.row_begin && inner.row_end <= outer.row_end &&
         inner.col_begin >= outer.col_begin && inner.col_end <= outer.col_end;
}

std::string describe(const Region& region) {
  return fmt::format("rows {} to {}, columns {} to {}", region.row_begin, region.row_end - 1,
                     region.col_begin, region.col_end - 1);
}

class Verifier {
 public:
  Verifier(const Trace& trace, const VerifyLimits& limits) : trace_(trace), limits_(limits) {}

  std::vector<Finding> run() {
    std::set<std::string_view> names;
    for (const Section& s : trace_.sections) {
      if (!names.insert(s.name).second) {
        Finding finding;
        finding.rule = Rule::name;
        finding.section = s.name;
        finding.what = fmt::format("two sections are called {}", s.name);
        findings_.push_back(std::move(finding));
      }
      section(s);
    }
    return std::move(findings_);
  }

 private:
  void append(std::vector<Finding> more) {
    for (Finding& finding : more) findings_.push_back(std::move(finding));
  }

  Finding& report(Rule rule, const Section& section, const Kernel* kernel, std::string what) {
    Finding finding;
    finding.rule = rule;
    finding.section = section.name;
    if (kernel != nullptr) finding.kernel = kernel->name;
    finding.what = std::move(what);
    findings_.push_back(std::move(finding));
    return findings_.back();
  }

  // What a section has written of a tensor so far.
  struct Written {
    std::vector<Region> parts;
    bool read_since = false;
    bool reported = false;
  };

  void section(const Section& section) {
    std::vector<Finding> of_section = check_section(section);
    // With impossible tensors no box can be judged.
    const bool sound = std::none_of(of_section.begin(), of_section.end(),
                                    [](const Finding& f) { return f.rule == Rule::layout; });
    append(std::move(of_section));
    std::map<std::uint16_t, Written> written;
    bool complete = true;
    for (const Kernel& kernel : section.kernels) {
      std::vector<Finding> of_kernel = check_structure(section, kernel);
      const bool executable =
          sound && std::all_of(of_kernel.begin(), of_kernel.end(),
                               [](const Finding& f) { return f.rule == Rule::name; });
      append(std::move(of_kernel));
      if (!executable) {
        complete = false;
        continue;
      }
      const std::int64_t resident = budgets(section, kernel);
      ExecutionLimits execution_limits;
      execution_limits.max_steps = limits_.max_steps - steps_;
      if (resident > 0) execution_limits.resident_clusters = resident;
      KernelExecution execution = execute(section, kernel, execution_limits);
      steps_ += execution.steps;
      append(std::move(execution.findings));
      if (!execution.complete) {
        complete = false;
        continue;
      }
      totals(section, kernel, execution);
      if (complete) outputs(section, kernel, execution, written);
    }
    if (complete) {
      section_outputs(section, written);
      untouched(section);
    }
  }

  /// Clusters resident on the chip; 0 if unknown.
  std::int64_t budgets(const Section& section, const Kernel& kernel) {
    budget_findings_ = 0;
    std::int64_t warps = 0, registers = 0;
    for (const Role& role : kernel.roles) {
      warps += role.copies * role.warps;
      registers += role.copies * role.warps * 32 * role.registers;
      for (const Instruction& instruction : role.code)
        instruction_budget(section, kernel, role, instruction);
    }
    std::int64_t blocks = limits_.blocks > 0 ? limits_.blocks : std::int64_t{1} << 20;
    const auto within = [&](std::string_view what, std::int64_t used, std::int64_t available) {
      if (available <= 0) return;
      if (used > available) {
        report(Rule::budget, section, &kernel,
               fmt::format("a block needs {} {}; a core has {}", used, what, available));
      }
      if (used > 0) blocks = std::min(blocks, available / used);
    };
    within("bytes of scratchpad", kernel.scratchpad_bytes + limits_.scratchpad_reserved_bytes,
           limits_.scratchpad_bytes);
    within("registers", registers, limits_.registers);
    within("warps", warps, limits_.warps);
    if (limits_.max_cluster > 0 && kernel.cluster > limits_.max_cluster) {
      report(Rule::budget, section, &kernel,
             fmt::format("a cluster of {} blocks; the chip allows {}", kernel.cluster,
                         limits_.max_cluster));
    }
    if (limits_.cores > 0 && kernel.cluster > limits_.cores) {
      report(Rule::budget, section, &kernel,
             fmt::format("a cluster of {} blocks; the chip has {} cores", kernel.cluster,
                         limits_.cores));
    }
    rings(section, kernel);
    if (limits_.cores <= 0) return 0;
    return std::max<std::int64_t>(1, limits_.cores / kernel.cluster * blocks);
  }

  void instruction_budget(const Section& section, const Kernel& kernel, const Role& role,
                          const Instruction& instruction) {
    const auto at = [&](std::string what) {
      if (++budget_findings_ > max_findings) return;
      Finding& finding = report(Rule::budget, section, &kernel, std::move(what));
      finding.role = role.name;
      finding.instruction = to_text(instruction, role, kernel, section);
    };
    if (const auto* load = std::get_if<Load>(&instruction)) {
      box(section, kernel, load->tensor, load->rows, load->cols, at);
      if (load->multicast && kernel.cluster > 1 && !limits_.multicast) {
        at("the chip's copy engine has no multicast");
      }
      if (limits_.max_box_rows > 0 && load->rows > limits_.max_box_rows) {
        at(fmt::format("a box of {} rows; the copy engine moves at most {}", load->rows,
                       limits_.max_box_rows));
      }
    } else if (const auto* store = std::get_if<Store>(&instruction)) {
      box(section, kernel, store->tensor, store->rows, store->cols, at);
    } else if (const auto* mma = std::get_if<Mma>(&instruction)) {
      const std::vector<Format>& known = limits_.tensor_core_formats;
      if (!known.empty() && std::find(known.begin(), known.end(), mma->format) == known.end()) {
        at(fmt::format("the chip's tensor core does not compute in {}", name(mma->format)));
      }
    }
  }

  template <class At>
  void box(const Section& section, const Kernel& kernel, std::uint16_t tensor, std::int64_t rows,
           std::int64_t cols, At&& at) {
    const std::int64_t size = bytes(section.tensors[tensor].format, rows * cols).value;
    if (size > kernel.scratchpad_bytes) {
      at(fmt::format("a box of {} bytes; the block has {} of scratchpad", size,
                     kernel.scratchpad_bytes));
    }
  }

  /// A ring's slots are buffers: together they fit the scratchpad.
  void rings(const Section& section, const Kernel& kernel) {
    std::map<std::uint16_t, std::int64_t> largest;
    for (const Role& role : kernel.roles) {
      for (const Instruction& instruction : role.code) {
        if (const auto* expect = std::get_if<Expect>(&instruction)) {
          std::int64_t& bytes = largest[expect->barrier];
          bytes = std::max(bytes, expect->bytes);
        }
      }
    }
    for (const auto& [index, bytes] : largest) {
      const Barrier& barrier = kernel.barriers[index];
      if (bytes * barrier.slots > kernel.scratchpad_bytes) {  // at most 2^40 * 2^16
        report(Rule::budget, section, &kernel,
               fmt::format("barrier {} has {} slots of up to {} bytes; the block has {} of "
                           "scratchpad",
                           barrier.name, barrier.slots, bytes, kernel.scratchpad_bytes));
      }
    }
  }

  /// What the kernel does in all repetitions of its section has to fit 64-bit sums, of FLOPs, of
  /// bytes, and of cycles times the cores that meanwhile wait.
  void totals(const Section& section, const Kernel& kernel, const KernelExecution& execution) {
    double flops = 0, elements = 0, bytes_moved = 0, cycles = 0;
    for (std::size_t r = 0; r < kernel.roles.size(); ++r) {
      for (std::size_t i = 0; i < kernel.roles[r].code.size(); ++i) {
        const auto times = static_cast<double>(execution.uses[r][i].executed) *
                           static_cast<double>(section.repeat);
        const auto box = [&](std::uint16_t tensor, std::int64_t rows, std::int64_t cols) {
          return static_cast<double>(bytes(section.tensors[tensor].format, rows * cols).value);
        };
        const Instruction& instruction = kernel.roles[r].code[i];
        if (const auto* mma = std::get_if<Mma>(&instruction)) {
          flops += times * 2.0 * static_cast<double>(mma->m * mma->n * mma->k);
        } else if (const auto* vector = std::get_if<Vector>(&instruction)) {
          elements += times * static_cast<double>(vector->elements);
        } else if (const auto* load = std::get_if<Load>(&instruction)) {
          bytes_moved += times * box(load->tensor, load->rows, load->cols);
        } else if (const auto* store = std::get_if<Store>(&instruction)) {
          bytes_moved += times * box(store->tensor, store->rows, store->cols);
        } else if (const auto* exchange = std::get_if<Collective>(&instruction)) {
          bytes_moved += times * link_bytes(*exchange);
        } else if (const auto* setup = std::get_if<Setup>(&instruction)) {
          cycles += times * static_cast<double>(setup->cycles);
        }
      }
    }
    const auto within = [&](double total, double most, const char* what) {
      if (total <= most) return;
      report(Rule::arithmetic, section, &kernel,
             fmt::format("{:.3g} {} in all; a trace has at most {:.3g}", total, what, most));
    };
    within(flops, 0x1p61, "tensor-core FLOPs");
    within(elements, 0x1p52, "vector elements");
    within(bytes_moved, 0x1p52, "bytes to move");
    within(cycles, 0x1p50, "setup cycles");
  }

  // --- outputs ---

  void outputs(const Section& section, const Kernel& kernel, const KernelExecution& execution,
               std::map<std::uint16_t, Written>& written) {
    std::map<std::uint16_t, std::vector<Region>> stored, loaded;
    for (std::size_t r = 0; r < kernel.roles.size(); ++r) {
      for (std::size_t i = 0; i < kernel.roles[r].code.size(); ++i) {
        const Region& touched = execution.uses[r][i].touched;
        if (touched.empty()) continue;
        const Instruction& instruction = kernel.roles[r].code[i];
        if (const auto* load = std::get_if<Load>(&instruction)) {
          if (load->gather) {
            const bool is_workspace = section.tensors[load->tensor].kind == TensorKind::workspace;
            if (!is_workspace) is_input(section, load->tensor, written);
            const auto before = written.find(load->tensor);
            if (before != written.end()) before->second.read_since = true;
          } else {
            loaded[load->tensor].push_back(touched);
          }
        } else if (const auto* store = std::get_if<Store>(&instruction)) {
          if (store->reduce) stored[store->tensor].push_back(touched);
        }
      }
    }
    for (const auto& [tensor, map] : execution.writes) {
      stored[tensor].push_back(map.bounding());
      const TensorKind kind = section.tensors[tensor].kind;
      if (kind == TensorKind::workspace || kind == TensorKind::kv_cache) continue;
      if (const auto hole = map.hole()) {
        report(Rule::unwritten, section, &kernel,
               fmt::format("{} of tensor {} are not written, though their surroundings are",
                           describe(*hole), section.tensors[tensor].name));
      }
    }
    // A workspace may pass data between the blocks of one kernel; other tensors are inputs first.
    for (const auto& [tensor, regions] : stored) {
      if (section.tensors[tensor].kind == TensorKind::workspace) add(written[tensor], regions);
    }
    for (const auto& [tensor, regions] : loaded) {
      const TensorKind kind = section.tensors[tensor].kind;
      const auto before = written.find(tensor);
      if (before == written.end()) {
        if (kind == TensorKind::workspace) {
          report(Rule::unwritten, section, &kernel,
                 fmt::format("reads workspace {}, which nothing has written",
                             section.tensors[tensor].name));
        } else {
          is_input(section, tensor, written);
        }
        continue;
      }
      before->second.read_since = true;
      if (kind != TensorKind::workspace && kind != TensorKind::activation) continue;
      for (const Region& region : regions) {
        const auto missing = uncovered(region, before->second.parts);
        if (!missing || before->second.reported) continue;
        before->second.reported = true;
        report(Rule::unwritten, section, &kernel,
               fmt::format("reads {} of tensor {}, which nothing has written", describe(*missing),
                           section.tensors[tensor].name));
      }
    }
    for (const auto& [tensor, regions] : stored) {
      add(written[tensor], regions);
      written[tensor].read_since = false;
    }
  }

  /// What a section reads before it writes it was written before the section.
  static void is_input(const Section& section, std::uint16_t tensor,
                       std::map<std::uint16_t, Written>& written) {
    const Tensor& t = section.tensors[tensor];
    written.emplace(tensor, Written{{{0, t.rows, 0, t.cols}}, true, false});
  }

  static void add(Written& written, const std::vector<Region>& regions) {
    constexpr std::size_t most = 256;  // beyond it, what more is written is not credited
    for (const Region& region : regions) {
      const bool known = std::any_of(written.parts.begin(), written.parts.end(),
                                     [&](const Region& part) { return contains(part, region); });
      if (!known && written.parts.size() < most) written.parts.push_back(region);
    }
  }

  void section_outputs(const Section& section, const std::map<std::uint16_t, Written>& written) {
    for (const auto& [index, state] : written) {
      const Tensor& tensor = section.tensors[index];
      if (tensor.kind != TensorKind::activation || state.read_since || state.reported) continue;
      if (const auto missing = uncovered({0, tensor.rows, 0, tensor.cols}, state.parts)) {
        report(Rule::unwritten, section, nullptr,
               fmt::format("tensor {} is an output, but {} are not written", tensor.name,
                           describe(*missing)));
      }
    }
  }

  /// Where operations declare bytes to write, an activation that no kernel touches can only be an
  /// output whose stores are missing.
  void untouched(const Section& section) {
    const bool declared =
        std::any_of(section.ops.begin(), section.ops.end(),
                    [](const OpRecord& op) { return op.compulsory_write.value > 0; });
    if (!declared) return;
    std::vector<bool> touched(section.tensors.size());
    for (const Kernel& kernel : section.kernels) {
      for (const Role& role : kernel.roles) {
        for (const Instruction& instruction : role.code) {
          if (const auto* load = std::get_if<Load>(&instruction)) touched[load->tensor] = true;
          if (const auto* store = std::get_if<Store>(&instruction)) touched[store->tensor] = true;
        }
      }
    }
    for (std::size_t i = 0; i < touched.size(); ++i) {
      if (touched[i] || section.tensors[i].kind != TensorKind::activation) continue;
      report(Rule::unwritten, section, nullptr,
             fmt::format("tensor {} is neither read nor written", section.tensors[i].name));
    }
  }

  const Trace& trace_;
  const VerifyLimits& limits_;
  std::int64_t steps_ = 0;
  std::size_t budget_findings_ = 0;  // of the current kernel's instructions
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> verify(const Trace& trace, const VerifyLimits& limits) {
  return Verifier(trace, limits).run();
}

bool has_errors(const std::vector<Finding>& findings) {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& f) { return f.severity == Severity::error; });
}

}  // namespace tessera
