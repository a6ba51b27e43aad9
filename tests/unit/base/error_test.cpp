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

TEST_CASE("what a file holds reaches a terminal without control characters and not at length") {
  CHECK(std::string(InputError({"a\x1b[2J.yaml", 1}, "k\n", "\t", "\x7f").what()) ==
        "a\\x1b[2J.yaml:1: k\n: \\x09; \\x7f");
  const std::string most(2000, 'x');
  CHECK(std::string(InputError("k", most, "").what()) == "k: " + most);
  CHECK(std::string(InputError("k", most + "y", "").what()) ==
        "k: " + most.substr(1000) + " ... " + most.substr(1001) + "y");
}

TEST_CASE("nearest finds a near word and refuses a far one") {
  const std::vector<std::string> words = {"l2.size_mib", "hbm.size_gib", "core.count"};
  CHECK(nearest("l2.size_mb", words) == "l2.size_mib");
  CHECK(nearest("xyz", words).empty());
  CHECK(nearest(std::string(100'000'000, 'x'), words).empty());
}
