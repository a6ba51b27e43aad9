#include "sim/trace/names.h"

#include <iterator>

namespace tessera {
namespace {

constexpr TensorKind tensor_kinds[] = {TensorKind::weight, TensorKind::activation,
                                       TensorKind::kv_cache, TensorKind::workspace};
constexpr CollectiveKind collective_kinds[] = {CollectiveKind::allreduce, CollectiveKind::allgather,
                                               CollectiveKind::reducescatter,
                                               CollectiveKind::alltoall, CollectiveKind::p2p};

template <class Enum, std::size_t n>
std::optional<Enum> find(const Enum (&all)[n], std::string_view text) {
  for (const Enum value : all) {
    if (name(value) == text) return value;
  }
  return std::nullopt;
}

template <class Enum, std::size_t n>
std::vector<std::string> names(const Enum (&all)[n]) {
  std::vector<std::string> result;
  for (const Enum value : all) result.emplace_back(name(value));
  return result;
}

}  // namespace

std::string_view name(LetOp op) {
  switch (op) {
    case LetOp::set:
      return "set";
    case LetOp::div:
      return "div";
    case LetOp::mod:
      return "mod";
    case LetOp::min:
      return "min";
    case LetOp::max:
      return "max";
  }
  return "";
}

std::string_view name(CollectiveKind kind) {
  switch (kind) {
    case CollectiveKind::allreduce:
      return "allreduce";
    case CollectiveKind::allgather:
      return "allgather";
    case CollectiveKind::reducescatter:
      return "reducescatter";
    case CollectiveKind::alltoall:
      return "alltoall";
    case CollectiveKind::p2p:
      return "p2p";
  }
  return "";
}

std::string_view name(OperandSource source) {
  return source == OperandSource::scratchpad ? "scratchpad" : "registers";
}

std::string_view instruction_keyword(std::size_t index) {
  static constexpr std::string_view keywords[] = {
      "for",        "end", "let",      "raster", "wait",  "arrive", "expect", "load",      "store",
      "store_wait", "mma", "mma_wait", "vector", "setup", "signal", "await",  "collective"};
  static_assert(std::size(keywords) == std::variant_size_v<Instruction>);
  return index < std::size(keywords) ? keywords[index] : std::string_view();
}

std::optional<TensorKind> parse_tensor_kind(std::string_view text) {
  return find(tensor_kinds, text);
}

std::optional<CollectiveKind> parse_collective_kind(std::string_view text) {
  return find(collective_kinds, text);
}

std::optional<VectorFunction> parse_vector_function(std::string_view text) {
  for (const VectorCost& cost : vector_functions()) {
    if (cost.name == text) return cost.function;
  }
  return std::nullopt;
}

std::vector<std::string> tensor_kind_names() { return names(tensor_kinds); }

std::vector<std::string> collective_kind_names() { return names(collective_kinds); }

std::vector<std::string> vector_function_names() {
  std::vector<std::string> result;
  for (const VectorCost& cost : vector_functions()) result.emplace_back(cost.name);
  return result;
}

}  // namespace tessera
