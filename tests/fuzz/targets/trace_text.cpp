#include "sim/trace/text.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/trace_use.h"

namespace tessera::test {

/// A trace as text, and what is done with one.
void feed(std::string_view input) { use(parse_text(input, "input.trace")); }

}  // namespace tessera::test
