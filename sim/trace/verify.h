#pragma once

#include <cstdint>
#include <vector>

#include "sim/trace/execution.h"
#include "sim/trace/finding.h"
#include "sim/trace/trace.h"

namespace tessera {

/// What a chip offers, and how far a proof may go. A limit of 0 (an empty list) is not checked.
struct VerifyLimits {
  std::int64_t scratchpad_bytes = 0;           ///< of a core
  std::int64_t scratchpad_reserved_bytes = 0;  ///< taken by every block beside its own
  std::int64_t registers = 0;                  ///< 32-bit, of a core
  std::int64_t warps = 0;                      ///< resident on a core
  std::int64_t blocks = 0;                     ///< resident on a core
  std::int64_t cores = 0;
  std::int64_t max_cluster = 0;
  std::int64_t max_box_rows = 0;
  bool multicast = true;
  std::vector<Format> tensor_core_formats;
  std::int64_t max_steps = 2'000'000'000;  ///< instructions executed, of all kernels together
};

/// Proves that a trace is sound: everything Rule lists. No finding, or only warnings: it is.
///
/// Complete outputs. A kernel writes each element of a tensor at most once (stores that reduce are
/// exempt). What it writes of an activation or weight forms a rectangle without holes. At the end
/// of a section, an activation that the section wrote and did not read afterwards is written
/// entirely, and whatever was read after it had been written in part lies in that part. Workspaces
/// and KV caches may be written in part, but a workspace is not read where nothing was written.
/// Reads are judged by the smallest rectangle around a kernel's loads; gathers are not judged.
std::vector<Finding> verify(const Trace& trace, const VerifyLimits& limits = {});

/// Whether any of them is an error.
bool has_errors(const std::vector<Finding>& findings);

}  // namespace tessera
