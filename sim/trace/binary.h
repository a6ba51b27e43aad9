#pragma once

#include <string>
#include <string_view>

#include "sim/trace/trace.h"

namespace tessera {

// The binary form of a trace: what the text says, compact and compressed. Layout in
// docs/trace-format.md; the same trace always gives the same bytes.

/// The binary form. Throws InputError if the loops of a role do not match their ends.
std::string to_binary(const Trace& trace);

/// Reads it back; `file` is what errors call it. Throws InputError for anything truncated,
/// corrupted, of another version, or over the bounds of limits.h.
Trace parse_binary(std::string_view data, const std::string& file);

/// Whether data starts as a binary trace does.
bool is_binary_trace(std::string_view data);

}  // namespace tessera
