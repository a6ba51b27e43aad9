#include "sim/chip/units.h"

#include <catch2/catch.hpp>

using namespace tessera;

namespace {

constexpr std::int64_t rate = 128;  // bytes of scratchpad a cycle

std::int64_t wait(ScratchpadPort& port, std::int64_t now, std::int64_t arithmetic,
                  std::int64_t operand_bytes) {
  return port.operand_wait(Cycles(now), Cycles(arithmetic), operand_bytes, rate).value;
}

}  // namespace

TEST_CASE("without copies an mma waits for what its operands take longer than its arithmetic") {
  ScratchpadPort port;
  CHECK(wait(port, 0, 16, 16 * rate) == 0);
  CHECK(wait(port, 0, 16, 16 * rate + 1) == 1);
  CHECK(wait(port, 0, 16, 18 * rate) == 2);
  CHECK(wait(port, 0, 16, rate) == 0);
}

TEST_CASE("copies go into what operand reads leave of an mma's arithmetic") {
  // Ten cycles of arithmetic, six of operand reads: room for four cycles of copies.
  for (const auto& [filled, waits] : {std::pair<std::int64_t, std::int64_t>{4 * rate, 0},
                                      {4 * rate + 15, 0},
                                      {4 * rate + 16, 1}}) {
    ScratchpadPort port;
    port.mma_ends(Cycles(100));
    port.fill(filled);
    CAPTURE(filled);
    CHECK(wait(port, 100, 10, 6 * rate) == waits);
  }
}

TEST_CASE("copies go into the time since the last mma") {
  for (const auto& [now, waits] :
       {std::pair<std::int64_t, std::int64_t>{163, 1}, {164, 0}, {165, 0}}) {
    ScratchpadPort port;
    port.mma_ends(Cycles(100));
    port.fill(64 * rate);  // 64 cycles
    CAPTURE(now);
    CHECK(wait(port, now, 10, 10 * rate) == waits);
  }
  // One that is issued while the one before it still runs finds no such time.
  ScratchpadPort port;
  port.mma_ends(Cycles(100));
  port.fill(64 * rate);
  CHECK(wait(port, 40, 10, 10 * rate) == 4);
}

TEST_CASE("what waits delays each mma by a sixteenth of it, until it has gone") {
  ScratchpadPort port;
  port.mma_ends(Cycles(100));
  port.fill(8192);
  // 8192 / 16 = 512 bytes; 7680 / 16 = 480; 7200 / 16 = 450.
  CHECK(wait(port, 100, 10, 10 * rate) == 4);
  CHECK(wait(port, 100, 10, 10 * rate) == 4);
  CHECK(wait(port, 100, 10, 10 * rate) == 4);
  // 6750 left; an mma with room for 6750 takes them all.
  CHECK(wait(port, 100, 100, 100 * rate - 6750) == 0);
  CHECK(wait(port, 100, 10, 10 * rate) == 0);
}

TEST_CASE("an mma meets at most as many bytes of copies as it reads itself") {
  ScratchpadPort port;
  port.mma_ends(Cycles(100));
  port.fill(1 << 20);
  CHECK(wait(port, 100, 2, 2 * rate) == 2);
  // Beside its own: five cycles of operands in two of arithmetic, and five of copies.
  CHECK(wait(port, 100, 2, 5 * rate) == 3 + 5);
}
