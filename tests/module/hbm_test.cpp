#include "sim/chip/hbm.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <queue>
#include <set>
#include <vector>

#include "sim/chip/hbm_channel.h"
#include "tests/support/machine.h"

using namespace tessera;
using namespace tessera::test;

namespace {

// One pseudo-channel of 16 GB/s: a burst of 32 B takes 2 ns. Every timing differs from the others,
// so that no test passes by the wrong constraint. Times in ps below.
HbmConfig device(double trfc_ns = 260) {
  HbmConfig c;
  c.size_gib = 1;
  c.bandwidth_gbps = 16;
  c.stacks = 1;
  c.pseudo_channels_per_stack = 1;
  c.banks = 16;
  c.bank_groups = 4;
  c.row_bytes = 1024;
  c.burst_bytes = 32;
  c.interleave_bytes = 256;
  c.trcd_ns = 14;
  c.trp_ns = 15;
  c.tras_ns = 33;
  c.tcl_ns = 17;
  c.tcwl_ns = 5;
  c.trrd_ns = 4;
  c.tccd_l_bursts = 2;
  c.twr_ns = 16;
  c.twtr_ns = 6;
  c.trtw_ns = 3;
  c.trtp_ns = 7;
  c.trefi_ns = 3900;
  c.trfc_ns = trfc_ns;
  return c;
}
constexpr std::int64_t rcd = 14000, rp = 15000, ras = 33000, cl = 17000, cwl = 5000, rrd = 4000,
                       wr = 16000, wtr = 6000, rtw = 3000, rtp = 7000, refi = 3900000, rfc = 260000,
                       burst = 2000;
constexpr std::int64_t open_row = cl + burst, closed_row = rcd + cl + burst,
                       other_row = rp + rcd + cl + burst;

HbmChannel channel_of(const HbmConfig& config) {
  return HbmChannel(std::make_shared<HbmTiming>(config), 0, 1);
}

std::int64_t sum_of_digits(std::int64_t value, std::int64_t base) {
  return base == 1 || value == 0 ? 0 : value % base + sum_of_digits(value / base, base);
}

/// Channel-local address of a chunk, by the address map of the header.
std::int64_t address(const HbmConfig& c, std::int64_t row, std::int64_t bank, std::int64_t group,
                     std::int64_t chunk_of_row = 0) {
  const std::int64_t banks = c.banks / c.bank_groups, chunks = c.row_bytes / c.interleave_bytes;
  const auto turned_back = [](std::int64_t place, std::int64_t above, std::int64_t places) {
    return ((place - sum_of_digits(above, places)) % places + places) % places;
  };
  const std::int64_t page = row * banks + turned_back(bank, row, banks);
  return ((page * chunks + chunk_of_row) * c.bank_groups +
          turned_back(group, page, c.bank_groups)) *
         c.interleave_bytes;
}

std::int64_t read(HbmChannel& channel, std::int64_t now, std::int64_t at, std::int64_t size = 32) {
  return channel.read(Picoseconds(now), at, size).value;
}

/// Writes until the waiting batch drains, all into one row.
void write_batch(HbmChannel& channel, std::int64_t now, std::int64_t at) {
  for (std::int64_t sent = 0; sent < HbmChannel::write_batch_bytes; sent += 256)
    channel.write(Picoseconds(now), at, 256);
}
constexpr std::int64_t batch_time = HbmChannel::write_batch_bytes / 32 * burst;

/// A fresh channel prepared the same way each time and asked once: blocked before `edge`, ready at
/// it. Unblocked the request takes `unloaded`.
void check_edge(const HbmConfig& config, const std::function<void(HbmChannel&)>& prepare,
                std::int64_t at, std::int64_t edge, std::int64_t unloaded) {
  const auto done = [&](std::int64_t now) {
    HbmChannel channel = channel_of(config);
    prepare(channel);
    return read(channel, now, at);
  };
  CHECK(done(edge - 1) == edge + unloaded);      // blocked for the last picosecond
  CHECK(done(edge) == edge + unloaded);          // ready
  CHECK(done(edge + 1) == edge + 1 + unloaded);  // and nothing else holds it
}

/// Bandwidth in GB/s of `requests` reads of `size` bytes at `place(i)`, 64 of them outstanding; of
/// a matrix whose rows are `run` bytes long there, or of what is contiguous.
double bandwidth(const HbmConfig& config, std::int64_t requests, std::int64_t size,
                 const std::function<std::int64_t(std::int64_t)>& place,
                 std::int64_t run = 1 << 20) {
  HbmChannel channel = channel_of(config);
  const HbmTiming timing(config);
  std::priority_queue<std::int64_t, std::vector<std::int64_t>, std::greater<>> outstanding;
  std::int64_t now = 0, last = 0;
  for (std::int64_t i = 0; i < requests; ++i) {
    if (outstanding.size() == 64) {
      now = std::max(now, outstanding.top());
      outstanding.pop();
    }
    outstanding.push(channel.read(Picoseconds(now), timing.place_of(place(i)), size, run).value);
  }
  while (!outstanding.empty()) {
    last = outstanding.top();
    outstanding.pop();
  }
  return static_cast<double>(requests * size) * 1000 / static_cast<double>(last);
}

/// What the timing table implies for reads that each open a new row of the next bank.
double random_row_bound(const HbmConfig& c, std::int64_t size) {
  const auto bytes = static_cast<double>(size);
  const double peak = c.bandwidth_gbps;
  const double interval = std::max({c.trrd_ns, (c.tras_ns + c.trp_ns) / c.banks, bytes / peak});
  return bytes / interval * (1 - c.trfc_ns / c.trefi_ns);
}

}  // namespace

TEST_CASE("a read on an idle device takes activate, column and transfer, to the picosecond") {
  const HbmConfig c = device();
  HbmChannel channel = channel_of(c);
  CHECK(read(channel, 0, address(c, 0, 0, 0)) == closed_row);
  CHECK(channel.counters().row_misses == 1);
  // The row is open now; a whole chunk takes eight bursts.
  CHECK(read(channel, 100000, address(c, 0, 0, 0)) == 100000 + open_row);
  CHECK(read(channel, 200000, address(c, 0, 0, 0), 256) == 200000 + cl + 8 * burst);
  CHECK(read(channel, 300000, address(c, 1, 0, 0), 256) == 300000 + rp + rcd + cl + 8 * burst);
  CHECK(channel.counters().row_hits == 2);
  CHECK(channel.counters().row_misses == 2);
  CHECK(channel.counters().read_bytes == 32 + 32 + 256 + 256);
}

TEST_CASE("part of a burst takes a whole one") {
  const HbmConfig c = device();
  for (const auto& [size, bursts] :
       {std::pair{1, 1}, std::pair{31, 1}, std::pair{32, 1}, std::pair{33, 2}, std::pair{256, 8}}) {
    HbmChannel channel = channel_of(c);
    CHECK(read(channel, 0, 0, size) == rcd + cl + bursts * burst);
  }
}

TEST_CASE("the chunks of a row share it, and neighbouring chunks are in different bank groups") {
  const HbmConfig c = device(0);
  HbmChannel channel = channel_of(c);
  for (std::int64_t at = 0; at < 4 * 1024; at += 32) read(channel, at * 1000, at);
  CHECK(channel.counters().row_misses == 4);  // one row of each group
  for (std::int64_t at = 4 * 1024; at < 16 * 1024; at += 32) read(channel, at * 1000, at);
  CHECK(channel.counters().row_misses == 16);  // and one of each bank
}

TEST_CASE(
    "every chunk has a place of its own, and every row of a bank holds what it has room for") {
  for (const char* name : {"h100-sxm", "h200-sxm", "a100-sxm", "toy"}) {
    const HbmConfig c = chip(name).hbm;
    INFO(name);
    const HbmTiming timing(c);
    const std::int64_t rows = 100;
    std::map<std::pair<std::size_t, std::int64_t>, std::int64_t> chunks;
    for (std::int64_t at = 0; at < rows * c.banks * c.row_bytes; at += c.interleave_bytes) {
      const HbmPlace place = timing.place_of(at);
      ++chunks[{place.bank, place.row}];
      const HbmPlace end = timing.place_of(at + c.interleave_bytes - 1);
      CHECK((end.bank == place.bank && end.row == place.row));
    }
    CHECK(chunks.size() == static_cast<std::size_t>(rows * c.banks));
    for (const auto& [place, count] : chunks) REQUIRE(count == c.row_bytes / c.interleave_bytes);
    // The address that the other tests ask for is the inverse of the map.
    const std::int64_t banks = c.banks / c.bank_groups;
    const std::int64_t last_chunk = c.row_bytes / c.interleave_bytes - 1;
    for (std::int64_t i = 0; i < rows * c.banks; ++i) {
      const std::int64_t row = i / c.banks, bank = i / c.bank_groups % banks;
      const HbmPlace place = timing.place_of(address(c, row, bank, i % c.bank_groups, last_chunk));
      REQUIRE(place.bank == static_cast<std::size_t>(bank * c.bank_groups + i % c.bank_groups));
      REQUIRE(place.row == row);
    }
  }
}

TEST_CASE("strides of any power of two of whole rounds use all bank groups and banks evenly") {
  for (const char* name : {"h100-sxm", "h200-sxm", "a100-sxm", "toy"}) {
    const HbmConfig c = chip(name).hbm;
    const HbmTiming timing(c);
    const int visits = 64 * c.banks;
    for (std::int64_t stride = c.bank_groups * c.interleave_bytes; stride <= std::int64_t{1} << 22;
         stride *= 2) {
      INFO(name << ", stride " << stride);
      std::vector<int> of_group(static_cast<std::size_t>(c.bank_groups));
      std::vector<int> of_bank(static_cast<std::size_t>(c.banks / c.bank_groups));
      for (std::int64_t i = 0; i < visits; ++i) {
        const std::size_t bank = timing.place_of(i * stride).bank;
        ++of_group[bank % of_group.size()];
        ++of_bank[bank / of_group.size()];
      }
      for (const int n : of_group) CHECK(n == visits / c.bank_groups);
      for (const int n : of_bank) CHECK(n == visits / (c.banks / c.bank_groups));
    }
  }
}

TEST_CASE("strides of any power of two of whole rounds stream at the bus's rate") {
  const HbmConfig c = device(0);
  for (std::int64_t stride = c.bank_groups * c.interleave_bytes; stride <= std::int64_t{1} << 22;
       stride *= 2) {
    INFO("stride " << stride);
    CHECK(bandwidth(c, 10000, c.interleave_bytes, [&](std::int64_t i) { return i * stride; }) >=
          0.95 * c.bandwidth_gbps);
  }
}

TEST_CASE("a column command waits tRCD after its row's activate") {
  const HbmConfig c = device();
  // The second row's activate waits for the bank, at tRAS + tRP; the bus is long free by then.
  const auto prepare = [&](HbmChannel& channel) {
    read(channel, 0, address(c, 0, 0, 0));
    CHECK(read(channel, 1, address(c, 1, 0, 0)) == ras + other_row);
  };
  check_edge(c, prepare, address(c, 1, 0, 0), ras + rp + rcd, open_row);
}

TEST_CASE("the data bus carries one burst after the other") {
  const HbmConfig c = device();
  const auto prepare = [&](HbmChannel& channel) {
    read(channel, 0, address(c, 0, 0, 0));
    read(channel, 0, address(c, 0, 0, 1));
    read(channel, 100000, address(c, 0, 0, 0));
  };
  check_edge(c, prepare, address(c, 0, 0, 1), 100000 + burst, open_row);
}

TEST_CASE("reads of one bank group are tCCD_L apart") {
  const HbmConfig c = device();
  const auto prepare = [&](HbmChannel& channel) {
    read(channel, 0, address(c, 0, 0, 0));
    read(channel, 0, address(c, 0, 1, 0));
    read(channel, 100000, address(c, 0, 0, 0));
  };
  check_edge(c, prepare, address(c, 0, 1, 0), 100000 + 2 * burst, open_row);
}

TEST_CASE("activates of different banks are tRRD apart") {
  const HbmConfig c = device();
  const auto prepare = [&](HbmChannel& channel) { read(channel, 0, address(c, 0, 0, 0)); };
  check_edge(c, prepare, address(c, 0, 0, 1), rrd, closed_row);
  check_edge(c, prepare, address(c, 0, 2, 3), rrd, closed_row);
}

TEST_CASE("another row of the bank waits for tRAS, then precharges: activates tRC apart") {
  const HbmConfig c = device();
  const auto prepare = [&](HbmChannel& channel) { read(channel, 0, address(c, 0, 0, 0)); };
  check_edge(c, prepare, address(c, 5, 0, 0), ras, other_row);
  // The same wait seen by its answer: tRC, then a closed row.
  HbmChannel channel = channel_of(c);
  prepare(channel);
  CHECK(read(channel, 0, address(c, 5, 0, 0)) == ras + rp + closed_row);
}

TEST_CASE("a precharge waits tRTP after the bank's last read command") {
  const HbmConfig c = device();
  const auto late = [&](HbmChannel& channel) {
    read(channel, 0, address(c, 0, 0, 0));
    read(channel, 40000, address(c, 0, 0, 0));
  };
  check_edge(c, late, address(c, 5, 0, 0), 40000 + rtp, other_row);
  // The last of eight bursts is asked for seven bursts later.
  const auto long_read = [&](HbmChannel& channel) {
    read(channel, 0, address(c, 0, 0, 0));
    read(channel, 40000, address(c, 0, 0, 0), 256);
  };
  check_edge(c, long_read, address(c, 5, 0, 0), 40000 + 7 * burst + rtp, other_row);
}

TEST_CASE("a precharge waits tWR after the bank's last write data") {
  const HbmConfig c = device();
  const auto prepare = [&](HbmChannel& channel) { write_batch(channel, 0, address(c, 0, 0, 0)); };
  const std::int64_t written = cwl + batch_time;
  check_edge(c, prepare, address(c, 5, 0, 0), written + wr, other_row);
}

TEST_CASE("a read after writes waits tWTR from the end of their data") {
  const HbmConfig c = device();
  const auto prepare = [&](HbmChannel& channel) {
    read(channel, 0, address(c, 0, 0, 1));
    write_batch(channel, 100000, address(c, 0, 0, 0));
  };
  check_edge(c, prepare, address(c, 0, 0, 1), 100000 + cwl + batch_time + wtr, open_row);
}

TEST_CASE("write data waits tRTW after read data, and tCWL after its command") {
  const HbmConfig c = device();
  // Seen by the read that follows the batch, in tWTR.
  const auto next_read = [&](std::int64_t now) {
    HbmChannel channel = channel_of(c);
    read(channel, 0, address(c, 0, 0, 1));  // data until closed_row
    write_batch(channel, now, address(c, 0, 0, 0));
    return read(channel, now, address(c, 0, 0, 1));
  };
  const std::int64_t edge = closed_row + rtw - cwl;
  const std::int64_t rest = cwl + batch_time + wtr + open_row;
  CHECK(next_read(edge - 1) == edge + rest);
  CHECK(next_read(edge) == edge + rest);
  CHECK(next_read(edge + 1) == edge + 1 + rest);
}

TEST_CASE("writes wait for a whole batch, and batches in a row do not turn the bus") {
  const HbmConfig c = device();
  HbmChannel channel = channel_of(c);
  read(channel, 0, address(c, 0, 0, 1));
  CHECK(channel.write(Picoseconds(100000), address(c, 0, 0, 0), 32).value == 100000 + cwl);
  // Posted: nothing is on the bus yet.
  CHECK(read(channel, 200000, address(c, 0, 0, 1)) == 200000 + open_row);
  HbmChannel two = channel_of(c);
  read(two, 0, address(c, 0, 0, 1));
  write_batch(two, 100000, address(c, 0, 0, 0));
  write_batch(two, 100000, address(c, 0, 0, 0));
  CHECK(read(two, 100000, address(c, 0, 0, 1)) == 100000 + cwl + 2 * batch_time + wtr + open_row);
  CHECK(two.counters().write_bytes == 2 * HbmChannel::write_batch_bytes);
}

TEST_CASE("a write waits until the oldest of the last eight batches starts to drain") {
  const HbmConfig c = device();
  const auto accepted = [&](int batches, std::int64_t now) {
    HbmChannel channel = channel_of(c);
    for (int i = 0; i < batches; ++i) write_batch(channel, 0, address(c, 0, 0, 0));
    return channel.write(Picoseconds(now), address(c, 0, 0, 0), 32).value;
  };
  // Fewer than eight: the queue has room.
  CHECK(accepted(7, 0) == cwl);
  CHECK(accepted(7, 1) == 1 + cwl);
  for (const int batches : {8, 9, 12}) {
    const std::int64_t start = cwl + (batches - 8) * batch_time;
    CHECK(accepted(batches, 0) == start + cwl);
    CHECK(accepted(batches, start - 1) == start + cwl);
    CHECK(accepted(batches, start) == start + cwl);
    CHECK(accepted(batches, start + 1) == start + 1 + cwl);
  }
  // A batch behind reads starts later, and so does who waits for it.
  HbmChannel channel = channel_of(c);
  read(channel, 0, address(c, 0, 0, 1));
  for (int i = 0; i < 8; ++i) write_batch(channel, 0, address(c, 0, 0, 0));
  CHECK(channel.write(Picoseconds(0), address(c, 0, 0, 0), 32).value == closed_row + rtw + cwl);
}

TEST_CASE("writes are accepted at the rate at which they drain, once the queue is full") {
  const HbmConfig c = device(0);
  HbmChannel channel = channel_of(c);
  std::int64_t now = 0;
  const auto write_all = [&](int batches) {
    for (std::int64_t sent = 0; sent < batches * HbmChannel::write_batch_bytes; sent += 256)
      now = channel.write(Picoseconds(now), address(c, 0, 0, 0), 256).value - cwl;
  };
  write_all(9);
  const std::int64_t full = now;
  write_all(20);
  CHECK(now - full == 20 * batch_time);
}

TEST_CASE("the bus loses time at each row of a matrix that is read in runs shorter than a chunk") {
  HbmConfig c = device(0);
  c.row_switch_ns = 0.5;
  // Two chunks of different bank groups, both rows open: the second follows on the bus.
  const auto second = [&](std::int64_t run) {
    HbmChannel channel = channel_of(c);
    const auto at = [&](std::int64_t group) {
      return HbmTiming(c).place_of(address(c, 0, 0, group));
    };
    for (const std::int64_t group : {0, 1}) channel.read(Picoseconds(0), at(group), 32, 32);
    CHECK(channel.read(Picoseconds(100000), at(0), 256, run).value == 100000 + cl + 8 * burst);
    return channel.read(Picoseconds(100000), at(1), 256, run).value - 100000 - cl;
  };
  CHECK(second(256) == 16 * burst);
  CHECK(second(128) == 16 * burst + 2 * 500);
  CHECK(second(32) == 16 * burst + 8 * 500);
  CHECK(second(1024) == 16 * burst);  // no end of a run in the chunk
}

TEST_CASE("a row of a matrix that is written costs its switch and a bank's share of tWR") {
  HbmConfig c = device();
  c.row_switch_ns = 0.5;
  const auto next_read = [&](std::int64_t run) {
    HbmChannel channel = channel_of(c);
    read(channel, 0, address(c, 0, 0, 1));
    const HbmPlace at = HbmTiming(c).place_of(address(c, 0, 0, 0));
    for (std::int64_t sent = 0; sent < HbmChannel::write_batch_bytes; sent += 256) {
      channel.write(Picoseconds(100000), at, 256, run);
    }
    return read(channel, 100000, address(c, 0, 0, 1)) - (100000 + cwl + wtr + open_row);
  };
  CHECK(next_read(256) == batch_time);
  // 32 rows of 128 B a batch.
  CHECK(next_read(128) == batch_time + 32 * (500 + wr / 16));
}

TEST_CASE("no data moves during a refresh, and requests wait for its end") {
  const HbmConfig c = device();
  const auto prepare = [&](HbmChannel& channel) {
    read(channel, refi - 200000, address(c, 0, 0, 0));
  };
  const auto done = [&](std::int64_t now, std::int64_t row) {
    HbmChannel channel = channel_of(c);
    prepare(channel);
    return read(channel, now, address(c, row, 0, 0));
  };
  // Begins: data that starts a picosecond before it still comes.
  CHECK(done(refi - cl - 1, 0) == refi - cl - 1 + open_row);
  CHECK(done(refi - cl, 0) == refi + rfc + burst);
  // A request within it waits for its end and finds the row closed.
  CHECK(done(refi, 0) == refi + rfc + closed_row);
  check_edge(c, prepare, address(c, 0, 0, 0), refi + rfc, closed_row);
  check_edge(c, prepare, address(c, 9, 0, 0), refi + rfc, closed_row);
}

TEST_CASE("refreshes come every tREFI, staggered over the channels") {
  const HbmConfig c = device();
  for (const int channels : {1, 4, 160}) {
    for (int index = 0; index < channels; index += 3) {
      const std::int64_t first = refi * (index + 1) / channels;
      for (const std::int64_t k : {0, 1, 7}) {
        const std::int64_t begin = first + k * refi, end = begin + rfc;
        for (const std::int64_t now : {begin, end - 1}) {
          HbmChannel channel(std::make_shared<HbmTiming>(c), index, channels);
          CHECK(read(channel, now, 0) == end + closed_row);
        }
        HbmChannel channel(std::make_shared<HbmTiming>(c), index, channels);
        CHECK(read(channel, end, 0) == end + closed_row);
      }
    }
  }
}

TEST_CASE("without refresh a row stays open for ever") {
  const HbmConfig c = device(0);
  HbmChannel channel = channel_of(c);
  read(channel, 0, 0);
  CHECK(read(channel, refi - cl, 0) == refi + burst);
  CHECK(read(channel, 10 * refi, 0) == 10 * refi + open_row);
  CHECK(channel.counters().row_misses == 1);
}

TEST_CASE("a stream reaches the peak, less the share of refresh") {
  for (const char* name : {"h100-sxm", "h200-sxm", "a100-sxm", "toy"}) {
    HbmConfig c = chip(name).hbm;
    INFO(name);
    c.bandwidth_gbps /= c.stacks * c.pseudo_channels_per_stack;
    c.stacks = c.pseudo_channels_per_stack = 1;
    const std::int64_t size = c.interleave_bytes;
    const auto stream = [&](std::int64_t i) { return i * size; };
    const double refreshed = 1 - c.trfc_ns / c.trefi_ns;
    CHECK(bandwidth(c, 40000, size, stream) == Approx(c.bandwidth_gbps * refreshed).epsilon(0.02));
    c.trfc_ns = 0;
    const double free = bandwidth(c, 40000, size, stream);
    CHECK(free <= c.bandwidth_gbps);
    CHECK(free >= 0.99 * c.bandwidth_gbps);
  }
}

TEST_CASE("a matrix in narrow boxes streams slower by the switches between its rows") {
  for (const char* name : {"h100-sxm", "h200-sxm", "a100-sxm", "toy"}) {
    HbmConfig c = chip(name).hbm;
    c.bandwidth_gbps /= c.stacks * c.pseudo_channels_per_stack;
    c.stacks = c.pseudo_channels_per_stack = 1;
    const double refreshed = c.bandwidth_gbps * (1 - c.trfc_ns / c.trefi_ns);
    const auto stream = [&](std::int64_t i) { return i * c.interleave_bytes; };
    for (const double switch_ns : {0.0, 0.5, 1.0}) {
      for (const std::int64_t run : {64, 128}) {
        INFO(name << ", " << switch_ns << " ns, rows of " << run << " B");
        c.row_switch_ns = switch_ns;
        const double transfer_ns = static_cast<double>(run) / c.bandwidth_gbps;
        CHECK(bandwidth(c, 40000, c.interleave_bytes, stream, run) ==
              Approx(refreshed / (1 + switch_ns / transfer_ns)).epsilon(0.02));
      }
    }
  }
}

TEST_CASE("random rows are bound by activates, banks or the bus, as the timing table says") {
  for (const char* name : {"h100-sxm", "h200-sxm", "a100-sxm", "toy"}) {
    for (const double trfc : {0.0, chip(name).hbm.trfc_ns}) {
      HbmConfig c = chip(name).hbm;
      c.bandwidth_gbps /= c.stacks * c.pseudo_channels_per_stack;
      c.stacks = c.pseudo_channels_per_stack = 1;
      c.trfc_ns = trfc;
      const std::int64_t banks = c.banks / c.bank_groups;
      for (const std::int64_t size : {32, 64, 128}) {
        INFO(name << ", " << size << " B, tRFC " << trfc);
        // Every request opens a new row of the next bank, group by group.
        const auto rows = [&](std::int64_t i) {
          return address(c, i / c.banks, i / c.bank_groups % banks, i % c.bank_groups);
        };
        CHECK(bandwidth(c, 40000, size, rows) == Approx(random_row_bound(c, size)).epsilon(0.02));
      }
    }
  }
}

TEST_CASE("with few banks the bank's cycle binds, not the activate slots") {
  HbmConfig c = device(0);
  c.banks = 4;
  c.bank_groups = 4;
  REQUIRE((c.tras_ns + c.trp_ns) / c.banks > c.trrd_ns);
  const auto rows = [&](std::int64_t i) { return address(c, i / 4, 0, i % 4); };
  CHECK(bandwidth(c, 40000, 32, rows) == Approx(32 / (48.0 / 4)).epsilon(0.02));
}

TEST_CASE("rows of one bank come one tRC after the other") {
  for (const double trfc : {0.0, 260.0}) {
    const HbmConfig c = device(trfc);
    const auto rows = [&](std::int64_t i) { return address(c, i, 0, 0); };
    CHECK(bandwidth(c, 20000, 32, rows) ==
          Approx(32 / 48.0 * (1 - trfc / c.trefi_ns)).epsilon(0.02));
  }
}

TEST_CASE("open rows of one bank group are bound by tCCD_L") {
  for (const double trfc : {0.0, 260.0}) {
    const HbmConfig c = device(trfc);
    const auto columns = [&](std::int64_t i) { return address(c, 0, i % 4, 2); };
    CHECK(bandwidth(c, 40000, 32, columns) == Approx(8.0 * (1 - trfc / c.trefi_ns)).epsilon(0.02));
  }
}

TEST_CASE("random addresses: conflicts cost less than a fifth of what even banks reach") {
  const HbmConfig c = device(0);
  const auto random = [&](std::int64_t i) {
    auto x = static_cast<std::uint64_t>(i) * 0x9E3779B97F4A7C15ULL;
    x ^= x >> 29;
    x *= 0xBF58476D1CE4E5B9ULL;
    return static_cast<std::int64_t>(x >> 34) & ~std::int64_t{31};
  };
  const double bound = random_row_bound(c, 32);
  const double reached = bandwidth(c, 40000, 32, random);
  CHECK(reached <= bound * 1.001);
  CHECK(reached >= bound * 0.8);
}

TEST_CASE("writes reach the peak less the share of refresh, and turning the bus costs its gaps") {
  const HbmConfig c = device();
  HbmChannel writes = channel_of(c);
  const std::int64_t batches = 500;
  for (std::int64_t i = 0; i < batches; ++i) write_batch(writes, 0, address(c, i, 0, 0));
  // The read after the last batch shows when its data ended.
  const std::int64_t end = read(writes, 0, address(c, 0, 0, 1)) - wtr - open_row;
  CHECK(static_cast<double>(batches * batch_time) / static_cast<double>(end) ==
        Approx(1 - 260.0 / 3900).epsilon(0.02));

  const HbmConfig still = device(0);
  HbmChannel mixed = channel_of(still);
  std::int64_t last = 0;
  for (std::int64_t i = 0; i < batches; ++i) {
    for (std::int64_t at = 0; at < HbmChannel::write_batch_bytes; at += 256)
      last = read(mixed, 0, i * HbmChannel::write_batch_bytes + at, 256);
    write_batch(mixed, 0, address(still, 1000 + i, 0, 0));
  }
  const double period = static_cast<double>(2 * batch_time + rtw + wtr + cl);
  CHECK(static_cast<double>(last) / static_cast<double>(batches) == Approx(period).epsilon(0.01));
}

TEST_CASE("a channel's answers depend on nothing but what it was asked") {
  const HbmConfig c = device();
  HbmChannel one = channel_of(c), other = channel_of(c);
  HbmChannel noise = channel_of(c);
  std::uint64_t x = 1;
  std::int64_t now = 0;
  for (int i = 0; i < 20000; ++i) {
    x = x * 6364136223846793005ULL + 1442695040888963407ULL;
    now += static_cast<std::int64_t>(x >> 50);
    const auto at = static_cast<std::int64_t>((x >> 20) & 0xFFFFE0);
    const std::int64_t size = 32 << ((x >> 60) & 1);
    const bool write = (x >> 62) == 0;
    const auto ask = [&](HbmChannel& channel) {
      return write ? channel.write(Picoseconds(now), at, size).value
                   : channel.read(Picoseconds(now), at, size).value;
    };
    const std::int64_t answer = ask(one);
    if (i % 3 == 0) read(noise, now, at ^ 4096);
    REQUIRE(ask(other) == answer);
    REQUIRE(answer > now);
    if (!write) REQUIRE(answer >= now + open_row);
  }
  CHECK(one.counters().row_hits == other.counters().row_hits);
}

TEST_CASE("requests that no refresh meddles with are answered as any others are") {
  for (const char* name : {"h100-sxm", "h200-sxm", "a100-sxm", "toy"}) {
    HbmConfig c = chip(name).hbm;
    for (const bool refreshes : {true, false}) {
      if (!refreshes) c.trfc_ns = 0;
      const auto timing = std::make_shared<HbmTiming>(c);
      HbmChannel quick(timing, 3, 8), plain(timing, 3, 8);
      std::uint64_t x = 1;
      std::int64_t now = 0;
      for (int i = 0; i < 50000; ++i) {
        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
        // Crowded for a while, then sparse.
        now += static_cast<std::int64_t>(x >> 50) * (i / 500 % 2 == 0 ? 1 : 6);
        const HbmPlace place = timing->place_of(static_cast<std::int64_t>((x >> 20) & 0xFFFE0));
        const std::int64_t size = 32 << ((x >> 60) & 3), run = (x >> 59) % 4 == 0 ? 32 : size;
        INFO(name << (refreshes ? "" : ", no refresh") << ", request " << i);
        if ((x >> 45) % 5 == 0) {
          REQUIRE(quick.write(Picoseconds(now), place, size, run) ==
                  plain.write(Picoseconds(now), place, size, run));
        } else {
          const HbmBurst burst = timing->burst_of(size, run);
          REQUIRE(quick.read(Picoseconds(now), place, burst) ==
                  plain.read_any(Picoseconds(now), place, burst));
        }
      }
      CHECK(quick.counters().row_hits == plain.counters().row_hits);
      CHECK(quick.counters().row_misses == plain.counters().row_misses);
      CHECK(quick.counters().read_bytes == plain.counters().read_bytes);
    }
  }
}

TEST_CASE("consecutive chunks visit every channel once a round") {
  for (const char* name : {"h100-sxm", "h200-sxm", "a100-sxm", "toy"}) {
    const HbmConfig c = chip(name).hbm;
    const Hbm hbm("hbm", c);
    const int channels = c.stacks * c.pseudo_channels_per_stack;
    INFO(name);
    for (const std::int64_t round : {0, 1, 2, 1000, 123456}) {
      std::set<int> visited;
      for (int i = 0; i < channels; ++i) {
        const std::int64_t first = (round * channels + i) * c.interleave_bytes;
        const int channel = hbm.channel_of(first);
        CHECK(hbm.channel_of(first + c.interleave_bytes - 1) == channel);
        CHECK((channel >= 0 && channel < channels));
        visited.insert(channel);
      }
      CHECK(visited.size() == static_cast<std::size_t>(channels));
    }
  }
}

TEST_CASE("strides of any power of two use all channels, about evenly") {
  for (const char* name : {"h100-sxm", "h200-sxm", "a100-sxm", "toy"}) {
    const HbmConfig c = chip(name).hbm;
    const Hbm hbm("hbm", c);
    const int channels = c.stacks * c.pseudo_channels_per_stack;
    for (int k = 7; k <= 20; ++k) {
      INFO(name << ", stride 2^" << k);
      const int each = 64;
      std::vector<int> visits(static_cast<std::size_t>(channels));
      for (std::int64_t i = 0; i < each * channels; ++i)
        ++visits[static_cast<std::size_t>(hbm.channel_of(i << k))];
      const auto used = std::count_if(visits.begin(), visits.end(), [](int n) { return n > 0; });
      CHECK(used >= channels * 95 / 100);
      // 64 at random vary by 8; the busiest of some hundred channels stays below four of that.
      CHECK(*std::max_element(visits.begin(), visits.end()) <= 2 * each);
    }
  }
}
