#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/trace/trace.h"

namespace tessera {

// Names of the language's enumerations, both ways. The inverse gives nothing for an unknown name.

std::string_view name(LetOp op);
std::string_view name(CollectiveKind kind);
std::string_view name(OperandSource source);

/// The keyword of an instruction, by its place in the variant Instruction, e.g. "load".
std::string_view instruction_keyword(std::size_t index);

std::optional<TensorKind> parse_tensor_kind(std::string_view text);
std::optional<CollectiveKind> parse_collective_kind(std::string_view text);
std::optional<VectorFunction> parse_vector_function(std::string_view text);

std::vector<std::string> tensor_kind_names();
std::vector<std::string> collective_kind_names();
std::vector<std::string> vector_function_names();

}  // namespace tessera
