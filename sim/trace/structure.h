#pragma once

#include <vector>

#include "sim/trace/finding.h"
#include "sim/trace/trace.h"

namespace tessera {

// Bounds of the language itself, whatever the chip: they keep products inside 64 bits.
constexpr std::int64_t max_tensor_address = std::int64_t{1} << 56;
constexpr std::int64_t tensor_alignment = 8192;
constexpr std::int64_t max_tensor_size = std::int64_t{1} << 48;  ///< elements
constexpr std::int64_t max_box_size = std::int64_t{1} << 31;     ///< elements
constexpr std::int64_t max_barrier_slots = 65536;
constexpr std::int64_t max_flags = std::int64_t{1} << 22;
constexpr std::int64_t max_contexts_per_cluster = 1024;
constexpr std::int64_t max_repeat = std::int64_t{1} << 20;  ///< of a section

/// What can be seen of a section without running it, its kernels left out: names, tensors.
std::vector<Finding> check_section(const Section& section);
/// What can be seen of a kernel without running it: sizes, references, loops, variables. Without
/// an error here the kernel may be executed.
std::vector<Finding> check_structure(const Section& section, const Kernel& kernel);

}  // namespace tessera
