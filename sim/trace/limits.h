#pragma once

#include <cstddef>

namespace tessera {

// Bounds on what is read from a file, so that hostile input costs bounded time and memory. Real
// traces stay orders of magnitude below them: identical layers are one section.

constexpr std::size_t max_trace_text_bytes = std::size_t{64} << 20;     ///< a text file
constexpr std::size_t max_trace_binary_bytes = std::size_t{256} << 20;  ///< unpacked
constexpr std::size_t max_trace_instructions = 1'000'000;               ///< of all roles
/// Sections, tensors, operations, kernels, barriers, roles and variables together.
constexpr std::size_t max_trace_objects = 1'000'000;
constexpr std::size_t max_loop_nesting = 64;
constexpr std::size_t max_expression_terms = 64;

}  // namespace tessera
