#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sim/trace/trace.h"

namespace tessera {

// The text form of a trace; the language is described in docs/trace-format.md. Both directions are
// lossless: parse_text(to_text(t)) equals t in every field.

/// The canonical text, digest line included. Throws InputError if the loops of a role do not match
/// their ends, which the text cannot express.
std::string to_text(const Trace& trace);

/// Reads a trace; `file` is what errors call it. Throws InputError `file:line: key: what; what
/// would be right` for anything that is not a trace, one that is over the bounds of limits.h, or a
/// digest that does not match the content.
Trace parse_text(std::string_view text, const std::string& file);

/// The canonical text of a whole trace without its digest line, and of one section: what digests
/// are taken of.
std::string canonical_body(const Trace& trace);
std::string canonical_body(const Section& section);

/// An expression as the text form writes it, e.g. "m*128 + rank*64 + 3".
std::string to_text(const Expr& expression, const Role& role);
/// One instruction as the text form writes it, without indentation ("end" for End).
std::string to_text(const Instruction& instruction, const Role& role, const Kernel& kernel,
                    const Section& section);

/// All instructions of a role so, in order.
std::vector<std::string> code_lines(const Role& role, const Kernel& kernel, const Section& section);

}  // namespace tessera
