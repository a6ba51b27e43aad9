#pragma once

#include <string>
#include <vector>

#include "sim/trace/trace.h"

namespace tessera {

/// One thing in which two traces differ.
struct Difference {
  std::string place;  ///< e.g. "kernel layer/qkv role producer"; empty = the trace itself
  std::string what;   ///< e.g. "box of `load w` 256 x 64 -> 128 x 64"
};

/// "place: what".
std::string to_text(const Difference& difference);

/// What changed from one trace to another, in terms of sections, tensors, operations, kernels,
/// barriers, roles and instructions. Comments, spacing, the names of variables, the numbering of
/// references and the version of the tool that wrote them are no difference.
std::vector<Difference> diff(const Trace& before, const Trace& after);

}  // namespace tessera
