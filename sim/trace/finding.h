#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

/// What the verifier proves, one word each; a Finding breaks one of them.
enum class Rule : std::uint8_t {
  structure,      ///< loops, references, variables and sizes make sense
  name,           ///< names are there and unique
  layout,         ///< tensors are aligned and do not overlap
  budget,         ///< a block fits a core, a cluster fits the chip
  arithmetic,     ///< no overflow, division by zero, step of zero
  bounds,         ///< boxes start inside their tensors
  barrier,        ///< arrivals and bytes balance, no slot is refilled before its release
  deadlock,       ///< every context ends
  unfinished,     ///< asynchronous work is waited for
  signal,         ///< flags are raised as often as they are awaited
  written_twice,  ///< no element is stored twice by a kernel
  unwritten,      ///< outputs are complete, and what is read was written
  too_long,       ///< the proof takes too many steps or too much memory
};
std::string_view name(Rule rule);

enum class Severity : std::uint8_t { error, warning };

/// Of one kernel or section no more findings than this are kept.
constexpr std::size_t max_findings = 100;

/// One thing wrong with a trace.
struct Finding {
  Rule rule = Rule::structure;
  Severity severity = Severity::error;
  std::string section, kernel, role;  ///< where; empty = not below that level
  std::string instruction;            ///< as the text form writes it; empty = none in particular
  std::string what;                   ///< what is wrong, and where known what would be right
  std::vector<std::string> details;   ///< one line each, e.g. who waits for whom
  std::int64_t occurrences = 1;       ///< times the same instruction broke the same rule
};

/// One line, and one more for each detail, indented by four spaces; without a final newline.
std::string to_text(const Finding& finding);

}  // namespace tessera
