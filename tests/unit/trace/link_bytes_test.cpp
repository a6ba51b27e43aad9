#include "sim/trace/link_bytes.h"

#include <catch2/catch.hpp>

using namespace tessera;

TEST_CASE("what each rank of an exchange must send") {
  const double size = 8e6;
  CHECK(link_bytes(Collective{CollectiveKind::allreduce, 8, 8'000'000}) == Approx(size * 14 / 8));
  CHECK(link_bytes(Collective{CollectiveKind::allgather, 8, 8'000'000}) == Approx(size * 7 / 8));
  CHECK(link_bytes(Collective{CollectiveKind::reducescatter, 2, 8'000'000}) == Approx(size / 2));
  CHECK(link_bytes(Collective{CollectiveKind::alltoall, 4, 8'000'000}) == Approx(size * 3 / 4));
  CHECK(link_bytes(Collective{CollectiveKind::p2p, 8, 8'000'000}) == Approx(size));
  CHECK(link_bytes(Collective{CollectiveKind::allreduce, 1, 8'000'000}) == 0);
}

TEST_CASE("a switch that adds saves an all-reduce of more than three ranks bytes to send") {
  const auto sent = [](std::int64_t ranks) {
    return link_bytes(Collective{CollectiveKind::allreduce, ranks, 8'000'000}, true);
  };
  CHECK(sent(8) == Approx(8e6 * 9 / 8));
  CHECK(sent(3) == Approx(8e6 * 4 / 3));
  CHECK(sent(2) == Approx(8e6));
  CHECK(link_bytes(Collective{CollectiveKind::allgather, 8, 8'000'000}, true) == Approx(7e6));
}

TEST_CASE("of several roles that exchange the one with most counts, and no exchange in a loop") {
  Section section;
  section.ops.resize(2);
  Kernel kernel;
  kernel.op = 1;
  Role one, two;
  one.code = {Collective{CollectiveKind::p2p, 2, 100}, Collective{CollectiveKind::p2p, 2, 50}};
  two.code = {Collective{CollectiveKind::p2p, 2, 120}, Loop{},
              Collective{CollectiveKind::p2p, 2, 9}, End{}};
  kernel.roles = {one, two};
  section.kernels = {kernel, kernel};
  CHECK(link_bytes(section, 1) == 300);
  CHECK(link_bytes(section, 0) == 0);
}

TEST_CASE("a rank reads its input and writes its result, once each") {
  const auto moved = [](CollectiveKind kind, std::int64_t ranks, std::int64_t bytes = 8'000'000) {
    return exchange_memory_bytes(Collective{kind, ranks, bytes});
  };
  CHECK(moved(CollectiveKind::allreduce, 8) == Approx(16e6));
  CHECK(moved(CollectiveKind::alltoall, 8) == Approx(16e6));
  CHECK(moved(CollectiveKind::allgather, 8) == Approx(9e6));
  CHECK(moved(CollectiveKind::reducescatter, 2) == Approx(12e6));
  CHECK(moved(CollectiveKind::p2p, 2) == Approx(8e6));
  for (const CollectiveKind kind :
       {CollectiveKind::allreduce, CollectiveKind::alltoall, CollectiveKind::allgather,
        CollectiveKind::reducescatter, CollectiveKind::p2p}) {
    CHECK(moved(kind, 1) == 0);
    CHECK(moved(kind, 8, 0) == 0);
  }
}
