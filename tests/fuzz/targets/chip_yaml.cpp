#include <vector>

#include "sim/config/loader.h"
#include "tests/fuzz/target.h"

namespace tessera::test {

/// A chip's file. What it says survives being written and read again.
void feed(std::string_view input) {
  static MemoryFile file, written;
  static const std::vector<std::string> dirs = {TESSERA_SOURCE_DIR "/configs/chips"};
  const ChipConfig chip = load_chip(file.hold(input), {}, dirs);
  const ChipConfig again = load_chip(written.hold(dump_yaml(chip)));
  require(canonical_text(chip) == canonical_text(again), "a chip written and read is the same");
}

}  // namespace tessera::test
