#include "sim/precision/npy.h"

#include "tests/fuzz/stored_elements.h"
#include "tests/fuzz/target.h"

namespace tessera::test {

/// A .npy file, and its first elements.
void feed(std::string_view input) {
  static MemoryFile file;
  read_some(read_npy(file.hold(input)));
}

}  // namespace tessera::test
