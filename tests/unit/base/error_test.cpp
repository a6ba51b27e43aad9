#include "sim/base/error.h"

#include <catch2/catch.hpp>

using namespace tessera;

TEST_CASE("an input error reads file:line: key, what is wrong and what is right") {
  const InputError error({"chip.yaml", 7}, "l2.size_mb", "unknown key",
                         "did you mean 'l2.size_mib'?");
  CHECK(std::string(error.what()) ==
        "chip.yaml:7: l2.size_mb: unknown key; did you mean 'l2.size_mib'?");
  CHECK(std::string(InputError("--batch", "0 is not positive", "give 1 or more").what()) ==
        "--batch: 0 is not positive; give 1 or more");
}

TEST_CASE("nearest finds a near word and refuses a far one") {
  const std::vector<std::string> words = {"l2.size_mib", "hbm.size_gib", "core.count"};
  CHECK(nearest("l2.size_mb", words) == "l2.size_mib");
  CHECK(nearest("xyz", words).empty());
}
