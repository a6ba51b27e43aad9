#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "sim/trace/trace.h"

namespace tessera {

/// What one execution of a kernel does, counted by running it without time. Sums saturate at
/// 2^63 - 1.
struct KernelStatistics {
  std::string section, kernel, op;
  std::int64_t repeat = 1;  ///< of its section; the counts are for one
  std::int64_t blocks = 0, cluster = 1;
  std::int64_t scratchpad_bytes = 0, registers = 0, warps = 0;  ///< of a block
  std::int64_t lines = 0;  ///< instructions of its code, ends of loops not counted
  /// Executed, by place in the variant Instruction (instruction_keyword() names them).
  std::array<std::int64_t, std::variant_size_v<Instruction>> executed{};
  std::int64_t steps = 0;         ///< all of them
  std::int64_t load_bytes = 0;    ///< read from tensors; a multicast load counts once
  std::int64_t landed_bytes = 0;  ///< arriving in scratchpads, padding and every multicast included
  std::int64_t store_bytes = 0;   ///< written to tensors
  std::int64_t mma_flops = 0;     ///< on the tensor core, 2 per multiply-add, padding included
  std::map<std::string, std::int64_t> vector_elements;  ///< by function
  bool complete = true;  ///< false: it could not be run to its end; `note` says why
  std::string note;
};

/// One entry per kernel, in order. `max_steps` bounds the instructions executed, of all together.
std::vector<KernelStatistics> statistics(const Trace& trace,
                                         std::int64_t max_steps = 2'000'000'000);

}  // namespace tessera
