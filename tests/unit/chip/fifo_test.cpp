#include "sim/chip/fifo.h"

#include <catch2/catch.hpp>
#include <deque>

using namespace tessera;

TEST_CASE("a fifo gives back what it was given, oldest first, however it grows and wraps") {
  Fifo<int> fifo;
  std::deque<int> expected;
  std::uint64_t x = 1;
  for (int i = 0; i < 20000; ++i) {
    x = x * 6364136223846793005ULL + 1442695040888963407ULL;
    // Two out of three in one half of the time, one out of three in the other.
    const bool push = (x >> 33) % 3 < (i / 200 % 2 == 0 ? 2u : 1u);
    if (push || expected.empty()) {
      fifo.push_back(i);
      expected.push_back(i);
    } else {
      fifo.pop_front();
      expected.pop_front();
    }
    if (i % 5000 == 4999) {
      fifo.clear();
      expected.clear();
    }
    REQUIRE(fifo.size() == expected.size());
    REQUIRE(fifo.empty() == expected.empty());
    if (!expected.empty()) REQUIRE(fifo.front() == expected.front());
  }
}
