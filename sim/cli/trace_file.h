#pragma once

#include <string>

#include "sim/trace/trace.h"

namespace tessera::cli {

/// Reads a trace in its text or its binary form, whichever it is. `path` "" is a missing argument.
/// Throws InputError.
Trace read_trace(const std::string& path);

/// Throws InputError unless the trace can be run at all: sizes, references and loops make sense.
/// Whether it runs to its end is the simulation's to find out, and `trace check`'s to prove.
void refuse_unsound_structure(const Trace& trace, const std::string& path);

}  // namespace tessera::cli
