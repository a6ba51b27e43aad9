#pragma once

#include <string>

#include "sim/trace/trace.h"

namespace tessera {

/// Reads a trace file of either form, told apart by its first bytes. Throws InputError if it
/// cannot be read, is too large (limits.h) or is not a trace.
Trace read_trace(const std::string& path);

}  // namespace tessera
