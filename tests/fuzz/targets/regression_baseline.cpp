#include "sim/regression/baseline.h"
#include "tests/fuzz/target.h"

namespace tessera::test {

/// The baseline of a folder of traces. What it says survives being written and read again.
void feed(std::string_view input) {
  const std::string text = to_text(parse_baseline(input, "baseline.json"));
  require(to_text(parse_baseline(text, "again.json")) == text,
          "a baseline written and read is the same");
}

}  // namespace tessera::test
