#include "sim/precision/safetensors.h"

#include "tests/fuzz/stored_elements.h"
#include "tests/fuzz/target.h"

namespace tessera::test {

/// A .safetensors file, and the first elements of its tensors.
void feed(std::string_view input) {
  static MemoryFile file;
  for (const StoredTensor& tensor : read_safetensors(file.hold(input))) read_some(tensor);
}

}  // namespace tessera::test
