#include <cstddef>
#include <cstdint>

#include "tests/fuzz/target.h"

// libFuzzer's main() calls this with one input after another.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tessera::test::feed_and_judge({reinterpret_cast<const char*>(data), size});
  return 0;
}
