#pragma once

#include <string>

#include "sim/trace/binary.h"
#include "sim/trace/diff.h"
#include "sim/trace/statistics.h"
#include "sim/trace/text.h"
#include "sim/trace/verify.h"
#include "tests/fuzz/target.h"

namespace tessera::test {

/// What may be done with any trace that was read, sound or not: it is written in both forms and
/// read again, verified, counted and compared.
inline void use(const Trace& trace) {
  constexpr std::int64_t steps = 20'000;
  const std::string text = to_text(trace);
  require(to_text(parse_text(text, "again.trace")) == text, "text read and written is the same");
  require(to_text(parse_binary(to_binary(trace), "again.ttb")) == text,
          "a packed trace says the same");
  require(diff(trace, trace).empty(), "a trace does not differ from itself");
  VerifyLimits limits;
  limits.max_steps = steps;
  verify(trace, limits);
  statistics(trace, steps);
}

}  // namespace tessera::test
