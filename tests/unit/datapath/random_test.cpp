#include "sim/base/random.h"

#include <catch2/catch.hpp>

using tessera::Random;

// Known answers published with the generator (Random123, kat_vectors, philox4x32 10).
TEST_CASE("the counter-based generator gives its published known answers") {
  CHECK(Random::philox({0, 0, 0, 0}, {0, 0}) ==
        Random::Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(Random::philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) ==
        Random::Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(
      Random::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
      Random::Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("streams and seeds differ, and a draw does not depend on the order of draws") {
  const Random a(1, 0), b(1, 1), c(2, 0);
  CHECK(a.bits(5) != b.bits(5));
  CHECK(a.bits(5) != c.bits(5));
  CHECK(a.bits(5) == a.block(1)[1]);
  CHECK(Random(1).uniform(1234567890123) == a.uniform(1234567890123));
  CHECK(a.uniform(3) >= 0);
  CHECK(a.uniform(3) < 1);
}
