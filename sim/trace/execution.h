#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "sim/trace/finding.h"
#include "sim/trace/trace.h"
#include "sim/trace/write_map.h"

namespace tessera {

struct ExecutionLimits {
  std::int64_t max_steps = 2'000'000'000;  ///< instructions executed; below 2^32
  /// Clusters the chip holds at a time: with flags, later ones start only when earlier ones end.
  std::int64_t resident_clusters = 1 << 20;
  std::int64_t max_write_cells = std::int64_t{1} << 30;  ///< of the bitmaps of stores
  std::int64_t max_state_words = std::int64_t{1} << 25;  ///< of the clusters in flight
};

/// What one instruction did over all contexts.
struct InstructionUse {
  std::int64_t executed = 0;
  std::int64_t elements = 0;  ///< moved by loads and stores, without what lies beyond the edge
  Region touched;             ///< smallest rectangle around the boxes of loads and stores
};

struct KernelExecution {
  bool complete = false;  ///< every context ran to its end
  std::int64_t steps = 0;
  std::vector<std::vector<InstructionUse>> uses;  ///< [role][instruction]
  std::map<std::uint16_t, WriteMap> writes;       ///< of plain stores, by tensor
  std::vector<Finding> findings;                  ///< section and kernel names are filled in
};

/// Runs a kernel without time: every context of every block, its barriers, flags and loads.
///
/// Barriers are checked independently of any order in which contexts might run: each context
/// carries a vector clock, so an arrival that is not ordered after the phase that used its slot
/// before is found even when this run happened to do it in the right order. (Flags do not order
/// the barriers of one cluster.)
///
/// Precondition: check_structure() found no error in the kernel.
KernelExecution execute(const Section& section, const Kernel& kernel,
                        const ExecutionLimits& limits = {});

}  // namespace tessera
