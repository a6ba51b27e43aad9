#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "sim/base/error.h"
#include "sim/trace/digest.h"
#include "sim/trace/names.h"
#include "sim/trace/text.h"

namespace tessera {
namespace {

bool is_word_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-' ||
         c == '/' || c == ':' || c == '+';
}

bool is_word(std::string_view text) {
  return !text.empty() &&
         (std::isalnum(static_cast<unsigned char>(text[0])) != 0 || text[0] == '_') &&
         std::all_of(text.begin(), text.end(), is_word_character);
}

bool is_identifier(std::string_view text) {
  return !text.empty() && std::isdigit(static_cast<unsigned char>(text[0])) == 0 &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
         });
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string word(std::string_view text) { return is_word(text) ? std::string(text) : quoted(text); }

std::string variable_word(std::string_view text) {
  return is_identifier(text) ? std::string(text) : quoted(text);
}

// How instructions refer to the things of a list: by name where that is unique, else by index.
class References {
 public:
  template <class List, class NameOf, class Spell>
  References(const List& list, NameOf name_of, Spell spell) {
    std::map<std::string_view, int> uses;
    for (const auto& item : list) ++uses[name_of(item)];
    for (const auto& item : list) {
      const std::string_view item_name = name_of(item);
      words_.push_back(uses[item_name] == 1 ? spell(item_name) : fmt::format("@{}", words_.size()));
    }
  }

  std::string operator[](std::int64_t index) const {
    if (index < 0 || index >= static_cast<std::int64_t>(words_.size())) {
      return fmt::format("@{}", index);
    }
    return words_[static_cast<std::size_t>(index)];
  }

 private:
  std::vector<std::string> words_;
};

References references(const std::vector<std::string>& variables) {
  return {variables, [](const std::string& v) -> std::string_view { return v; }, variable_word};
}
template <class Named>
References references(const std::vector<Named>& list) {
  return {list, [](const Named& item) -> std::string_view { return item.name; }, word};
}

std::string expression(const Expr& e, const References& variables) {
  std::string text;
  const auto append_signed = [&](bool negative) {
    if (text.empty()) {
      if (negative) text += "-";
    } else {
      text += negative ? " - " : " + ";
    }
  };
  const auto magnitude = [](std::int64_t value) {
    return value < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(value)
                     : static_cast<std::uint64_t>(value);
  };
  for (const Expr::Term& term : e.terms) {
    append_signed(term.coefficient < 0);
    text += variables[term.var];
    const std::uint64_t factor = magnitude(term.coefficient);
    if (factor != 1) text += fmt::format("*{}", factor);
  }
  if (e.constant != 0 || e.terms.empty()) {
    append_signed(e.constant < 0);
    text += fmt::format("{}", magnitude(e.constant));
  }
  return text;
}

struct Scope {
  const References& tensors;
  const References& barriers;
  const References& variables;

  std::string operator()(const Expr& e) const { return expression(e, variables); }

  std::string operator()(const Loop& i) const {
    std::string text =
        fmt::format("for {} in {} .. {}", variables[i.var], (*this)(i.begin), (*this)(i.end));
    if (!(i.step == Expr(1))) text += " step " + (*this)(i.step);
    return text;
  }
  std::string operator()(const End&) const { return "end"; }
  std::string operator()(const Let& i) const {
    std::string text = fmt::format("let {} = ", variables[i.var]);
    if (i.op == LetOp::set && i.b == Expr(0)) return text + (*this)(i.a);
    return text + fmt::format("{}({}, {})", name(i.op), (*this)(i.a), (*this)(i.b));
  }
  std::string operator()(const Raster& i) const {
    return fmt::format("raster {} {} = {} in {} x {} group {}", variables[i.row], variables[i.col],
                       (*this)(i.index), (*this)(i.rows), (*this)(i.cols), i.group);
  }
  std::string operator()(const Wait& i) const { return "wait " + barriers[i.barrier]; }
  std::string operator()(const Arrive& i) const {
    return "arrive " + barriers[i.barrier] + (i.cluster ? " cluster" : "");
  }
  std::string operator()(const Expect& i) const {
    return fmt::format("expect {} {}", barriers[i.barrier], i.bytes);
  }
  std::string operator()(const Load& i) const {
    return fmt::format("load {} [{}, {}] {} x {}{}{}", tensors[i.tensor], (*this)(i.row),
                       (*this)(i.col), i.rows, i.cols, i.multicast ? " multicast" : "",
                       i.gather ? " gather" : "");
  }
  std::string operator()(const Store& i) const {
    return fmt::format("store {} [{}, {}] {} x {}{}", tensors[i.tensor], (*this)(i.row),
                       (*this)(i.col), i.rows, i.cols, i.reduce ? " reduce" : "");
  }
  std::string operator()(const StoreWait& i) const {
    return fmt::format("store_wait {}", i.pending);
  }
  std::string operator()(const Mma& i) const {
    return fmt::format("mma {} x {} x {} {}{}", i.m, i.n, i.k, name(i.format),
                       i.a == OperandSource::registers ? " registers" : "");
  }
  std::string operator()(const MmaWait& i) const { return fmt::format("mma_wait {}", i.pending); }
  std::string operator()(const Vector& i) const {
    return fmt::format("vector {} {}", vector_cost(i.function).name, i.elements);
  }
  std::string operator()(const Setup& i) const { return fmt::format("setup {}", i.cycles); }
  std::string operator()(const Signal& i) const { return "signal " + (*this)(i.index); }
  std::string operator()(const AwaitSignal& i) const {
    return fmt::format("await {} >= {}", (*this)(i.index), (*this)(i.count));
  }
  std::string operator()(const Collective& i) const {
    return fmt::format("collective {} ranks {} bytes {}", name(i.kind), i.ranks, i.bytes);
  }
};

// Whether a reader would number the variables alike by the order in which the code defines them.
bool variables_are_implied(const Role& role) {
  static const std::vector<std::string> predefined = Role{}.variables;
  std::vector<std::string> sorted = role.variables;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) return false;
  if (role.variables.size() < predefined.size() ||
      !std::equal(predefined.begin(), predefined.end(), role.variables.begin())) {
    return false;
  }
  std::size_t known = predefined.size();
  const auto define = [&](VarId var) {
    if (var == known && var < role.variables.size()) ++known;
    return var < known || var >= role.variables.size();
  };
  for (const Instruction& instruction : role.code) {
    bool in_order = true;
    if (const auto* loop = std::get_if<Loop>(&instruction)) in_order = define(loop->var);
    if (const auto* let = std::get_if<Let>(&instruction)) in_order = define(let->var);
    if (const auto* raster = std::get_if<Raster>(&instruction)) {
      in_order = define(raster->row) && define(raster->col);
    }
    if (!in_order) return false;
  }
  return known == role.variables.size();
}

// A variable may be read only after its definition for the definition to give it its number.
bool reads_before_definition(const Role& role) {
  std::size_t known = first_free_var;
  bool early = false;
  const auto read = [&](const Expr& e) {
    for (const Expr::Term& term : e.terms) early = early || term.var >= known;
  };
  const auto define = [&](VarId var) {
    known = std::max<std::size_t>(known, std::size_t{var} + 1);
  };
  for (const Instruction& instruction : role.code) {
    if (const auto* loop = std::get_if<Loop>(&instruction)) {
      for (const Expr* e : {&loop->begin, &loop->end, &loop->step}) read(*e);
      define(loop->var);
    } else if (const auto* let = std::get_if<Let>(&instruction)) {
      read(let->a);
      read(let->b);
      define(let->var);
    } else if (const auto* raster = std::get_if<Raster>(&instruction)) {
      for (const Expr* e : {&raster->index, &raster->rows, &raster->cols}) read(*e);
      define(raster->row);
      define(raster->col);
    } else if (const auto* load = std::get_if<Load>(&instruction)) {
      read(load->row);
      read(load->col);
    } else if (const auto* store = std::get_if<Store>(&instruction)) {
      read(store->row);
      read(store->col);
    } else if (const auto* signal = std::get_if<Signal>(&instruction)) {
      read(signal->index);
    } else if (const auto* await = std::get_if<AwaitSignal>(&instruction)) {
      read(await->index);
      read(await->count);
    }
  }
  return early;
}

void append_role(std::string& text, const Role& role, const Kernel& kernel,
                 const References& tensors, const References& barriers) {
  text += fmt::format("    role {} copies {} warps {} registers {}\n", word(role.name), role.copies,
                      role.warps, role.registers);
  if (!variables_are_implied(role) || reads_before_definition(role)) {
    text += "      variables";
    for (const std::string& variable : role.variables) text += " " + variable_word(variable);
    text += "\n";
  }
  const References variables = references(role.variables);
  const Scope scope{tensors, barriers, variables};
  std::size_t depth = 0;
  for (const Instruction& instruction : role.code) {
    if (std::holds_alternative<End>(instruction)) {
      if (depth == 0) {
        throw InputError("kernel " + kernel.name + " role " + role.name, "an end without its loop",
                         "remove it");
      }
      --depth;
      continue;
    }
    text.append(6 + 2 * depth, ' ');
    text += std::visit(scope, instruction);
    text += "\n";
    if (std::holds_alternative<Loop>(instruction)) ++depth;
  }
  if (depth != 0) {
    throw InputError("kernel " + kernel.name + " role " + role.name, "a loop without its end",
                     "close it");
  }
}

void append_section(std::string& text, const Section& section) {
  text += fmt::format("section {} repeat {}\n", word(section.name), section.repeat);
  for (const Tensor& tensor : section.tensors) {
    text += fmt::format("  tensor {} {} {} {} x {} at {}{}\n", word(tensor.name), name(tensor.kind),
                        name(tensor.format), tensor.rows, tensor.cols, tensor.address,
                        tensor.warm ? " warm" : "");
  }
  for (const OpRecord& op : section.ops) {
    text += fmt::format(
        "  op {} {} {} operands {} tensor_flops {} vector_flops {} reads {} writes {}\n",
        word(op.name), word(op.kind), word(op.precision), name(op.format), op.tensor_flops.value,
        op.vector_flops.value, op.compulsory_read.value, op.compulsory_write.value);
  }
  const References tensors = references(section.tensors);
  const References ops = references(section.ops);
  for (const Kernel& kernel : section.kernels) {
    text += fmt::format("  kernel {} op {} grid {} cluster {} scratchpad {} flags {}{}\n",
                        word(kernel.name), ops[kernel.op], kernel.grid, kernel.cluster,
                        kernel.scratchpad_bytes, kernel.flags,
                        kernel.early_launch ? " early_launch" : "");
    for (const Barrier& barrier : kernel.barriers) {
      text +=
          fmt::format("    barrier {} slots {} arrivals {}{}\n", word(barrier.name), barrier.slots,
                      barrier.arrivals, barrier.initially_complete ? " initially_complete" : "");
    }
    const References barriers = references(kernel.barriers);
    for (const Role& role : kernel.roles) append_role(text, role, kernel, tensors, barriers);
  }
}

std::string header(const Trace& trace) {
  return fmt::format("tool_version {}\nchip {}\nchip_digest {}\nworkload {}\n",
                     word(trace.tool_version), word(trace.chip), word(trace.chip_digest),
                     quoted(trace.workload));
}

std::string sections(const Trace& trace) {
  std::string text;
  for (const Section& section : trace.sections) {
    text += "\n";
    append_section(text, section);
  }
  return text;
}

std::string version_line() { return fmt::format("tessera-trace {}\n", Trace::format_version); }

}  // namespace

std::string canonical_body(const Section& section) {
  std::string text;
  append_section(text, section);
  return text;
}

std::string canonical_body(const Trace& trace) {
  return version_line() + header(trace) + sections(trace);
}

std::string to_text(const Trace& trace) {
  const std::string head = header(trace);
  const std::string body = sections(trace);
  return version_line() + head + "digest " + content_digest(version_line() + head + body) + "\n" +
         body;
}

std::string to_text(const Expr& e, const Role& role) {
  return expression(e, references(role.variables));
}

std::string to_text(const Instruction& instruction, const Role& role, const Kernel& kernel,
                    const Section& section) {
  const References tensors = references(section.tensors);
  const References barriers = references(kernel.barriers);
  const References variables = references(role.variables);
  return std::visit(Scope{tensors, barriers, variables}, instruction);
}

std::vector<std::string> code_lines(const Role& role, const Kernel& kernel,
                                    const Section& section) {
  const References tensors = references(section.tensors);
  const References barriers = references(kernel.barriers);
  const References variables = references(role.variables);
  const Scope scope{tensors, barriers, variables};
  std::vector<std::string> lines;
  for (const Instruction& instruction : role.code) lines.push_back(std::visit(scope, instruction));
  return lines;
}

}  // namespace tessera
