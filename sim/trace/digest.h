#pragma once

#include <string>
#include <string_view>

#include "sim/trace/trace.h"

namespace tessera {

/// XXH3-128 of bytes, as 32 hexadecimal digits.
std::string content_digest(std::string_view bytes);

/// Of a whole trace: everything, header and names included (the `digest` line of its files).
std::string digest(const Trace& trace);
/// Of one section: everything in it, names included.
std::string digest(const Section& section);
/// Of everything that a simulation of one repetition of the section depends on, and the numbers
/// that its results quote: not names (of sections, operations, kernels, tensors, barriers, roles,
/// variables), the operations' kinds and precisions, nor `repeat`. Sections with equal execution
/// digests run alike.
std::string execution_digest(const Section& section);

}  // namespace tessera
