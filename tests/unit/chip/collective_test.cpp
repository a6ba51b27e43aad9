#include "sim/chip/collective.h"

#include <catch2/catch.hpp>

using namespace tessera;

namespace {

/// One GHz, so that a cycle is a nanosecond; 100 GB/s, 1 us.
ChipConfig linked_chip() {
  ChipConfig chip;
  chip.clock.core_mhz = 1000;
  chip.link.bandwidth_gbps = 100;
  chip.link.latency_us = 1;
  return chip;
}

double time_us(CollectiveKind kind, std::int64_t ranks, std::int64_t bytes,
               const ChipConfig& chip) {
  return static_cast<double>(collective_time({kind, ranks, bytes}, chip).value) / 1000;
}

}  // namespace

TEST_CASE("without a collective section an exchange is a plain ring") {
  const ChipConfig chip = linked_chip();
  CHECK(time_us(CollectiveKind::allreduce, 4, 4'000'000, chip) == Approx(6 * 1 + 60));
  CHECK(time_us(CollectiveKind::allgather, 4, 4'000'000, chip) == Approx(3 * 1 + 30));
  CHECK(time_us(CollectiveKind::reducescatter, 4, 4'000'000, chip) == Approx(3 * 1 + 30));
  CHECK(time_us(CollectiveKind::alltoall, 4, 4'000'000, chip) == Approx(1 + 30));
  CHECK(time_us(CollectiveKind::p2p, 2, 4'000'000, chip) == Approx(1 + 40));
  CHECK(time_us(CollectiveKind::allreduce, 1, 4'000'000, chip) == 0);
}

TEST_CASE("a ring takes the protocol that is fastest for its size") {
  ChipConfig chip = linked_chip();
  chip.collective.start_us = 2;
  chip.collective.flagged_word_share = 0.01;
  chip.collective.flagged_line_step_us = 0.5;
  chip.collective.flagged_line_share = 0.25;
  chip.collective.buffered_start_us = 20;
  chip.collective.buffered_share = 0.8;
  chip.collective.copy_gbps = 1000;
  const auto gathered = [&](std::int64_t part) {
    return time_us(CollectiveKind::allgather, 2, 2 * part, chip);
  };
  // One step of 1 us and the copy of a part, with each protocol's own.
  CHECK(gathered(100) == Approx(2 + 1 + 0.1).margin(0.002));
  CHECK(gathered(100'000) == Approx(2 + 1 + 0.5 + 4 + 0.1).margin(0.002));
  CHECK(gathered(100'000'000) == Approx(2 + 1 + 20 + 1250 + 100).margin(0.002));
}

TEST_CASE("a sum in the switch is used by all-reduces of three ranks or more, where it is faster") {
  ChipConfig chip = linked_chip();
  const double small = time_us(CollectiveKind::allreduce, 8, 800, chip);
  const double large = time_us(CollectiveKind::allreduce, 8, 80'000'000, chip);
  const double pair = time_us(CollectiveKind::allreduce, 2, 80'000'000, chip);
  const double gather = time_us(CollectiveKind::allgather, 8, 80'000'000, chip);
  chip.collective.in_switch = 1;
  chip.collective.in_switch_start_us = 30;
  chip.collective.in_switch_share = 0.9;
  chip.collective.in_switch_chunk_kib = 1000;
  CHECK(time_us(CollectiveKind::allreduce, 8, 800, chip) == small);
  CHECK(large == Approx(14 + 1400));
  CHECK(time_us(CollectiveKind::allreduce, 8, 80'000'000, chip) ==
        Approx(30 + (80e6 * 9 / 8 + 2 * 1'024'000) / 90e3).margin(0.002));
  CHECK(time_us(CollectiveKind::allreduce, 2, 80'000'000, chip) == pair);
  CHECK(time_us(CollectiveKind::allgather, 8, 80'000'000, chip) == gather);
}

TEST_CASE("direct sends pass flagged words up to the threshold and buffers beyond it") {
  ChipConfig chip = linked_chip();
  chip.collective.peer_us = 0.25;
  chip.collective.flagged_word_max_kib = 16;
  chip.collective.flagged_word_share = 0.1;
  chip.collective.direct_start_us = 8;
  chip.collective.direct_share = 0.5;
  const auto exchanged = [&](std::int64_t part) {
    return time_us(CollectiveKind::alltoall, 4, 4 * part, chip);
  };
  CHECK(exchanged(16384) == Approx(1 + 0.75 + 1.6384).margin(0.002));
  CHECK(exchanged(16385) == Approx(1 + 0.75 + 8 + 3 * 16385 / 50e3).margin(0.002));
}

TEST_CASE("an exchange of more than a simulation may last does not overflow") {
  const ChipConfig chip = linked_chip();
  const std::int64_t most = std::int64_t{1} << 62;
  CHECK(collective_time({CollectiveKind::p2p, 2, most}, chip).value > 0);
}
