#include "sim/chip/l2.h"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <utility>

#include "sim/base/overfull_sets.h"
#include "tests/support/machine.h"

using namespace tessera;
using namespace tessera::test;

namespace {

// The toy chip's L2: 1 MiB in one partition, 8192 lines of 128 B. Rows below are one line.
constexpr std::int64_t segment = 128 * 128;

/// Reads `boxes` boxes of 128 rows of tensor x (16 KiB, a segment each). Its code also has a store
/// to tensor y, which is never executed: the section is one that writes it.
OneKernel reading(std::int64_t rows, std::int64_t boxes, std::int64_t written_rows) {
  OneKernel k;
  k.tensor("x", rows, 64).tensor("y", written_rows, 64).barrier("full", 1, 1);
  const VarId i = 3;
  k.role("worker",
         {Loop{i, 0, boxes, 1}, Expect{0, segment}, Load{0, Expr::var(i, 128), 0, 128, 64}, Wait{0},
          End{}, Loop{i, 1, 1, 1}, Store{1, 0, 0, 64, 64}, End{}});
  return k;
}

/// Writes the segments [first, end) of tensor y, which has `rows` rows, for each pair in turn.
OneKernel writing(std::int64_t rows,
                  const std::vector<std::pair<std::int64_t, std::int64_t>>& ranges) {
  OneKernel k;
  k.tensor("y", rows, 64);
  const VarId i = 3;
  std::vector<Instruction> code;
  for (const auto& [first, end] : ranges) {
    code.insert(code.end(),
                {Loop{i, first, end, 1}, Store{0, Expr::var(i, 128), 0, 128, 64}, End{}});
  }
  code.emplace_back(StoreWait{0});
  k.role("worker", code);
  return k;
}

/// Segments written to memory.
std::int64_t written(const OneKernel& k, const std::vector<std::string>& overrides = {},
                     const SimulationOptions& options = {}) {
  const std::int64_t bytes = k.run(chip("toy", overrides), options).ops[0].hbm_write.value;
  CHECK(bytes % segment == 0);
  return bytes / segment;
}

/// A toy with two partitions, cores 0 and 1 near the first; pipes so wide that they do not show.
/// `near` and `far` are what a read of a segment alone takes: the port (64 B a cycle) or the link,
/// the latency of its way, copy engine and barrier.
struct Halves {
  int link_bytes = 64, far_latency = 500, replicate = 0, read_bytes = 32768;
  ChipConfig chip() const {
    return test::chip("toy", {"l2.size_mib=2", "l2.partitions=2", "l2.near_latency_cycles=200",
                              fmt::format("l2.far_latency_cycles={}", far_latency),
                              fmt::format("l2.link_bytes_per_cycle={}", link_bytes),
                              fmt::format("l2.replicate_far={}", replicate),
                              fmt::format("l2.read_bytes_per_cycle={}", read_bytes),
                              "l2.write_bytes_per_cycle=32768", "dma.max_outstanding_kib=4096"});
  }
  std::int64_t near() const { return segment / 64 + 200 + 100 + 20; }
  std::int64_t far() const { return segment / link_bytes + far_latency + 100 + 20; }
};

/// Core `core` (one block on each) reads those segments of a warm tensor, all at once, `times`
/// over.
OneKernel warm_reading(const std::vector<std::int64_t>& segments, int core = 0, int times = 1) {
  OneKernel k;
  k.tensor("x", 32 * 128, 64, true).barrier("full", 1, 1);
  k.kernel().grid = 4;
  const VarId i = 3;
  // Blocks before `core` find nothing to do, those after it nothing either.
  std::vector<Instruction> code = {Loop{i, core, Expr::var(var_cluster, 1, 1), 1000},
                                   Loop{i + 1, Expr::var(var_cluster), core + 1, 1000}};
  for (int time = 0; time < times; ++time) {
    code.emplace_back(Expect{0, static_cast<std::int64_t>(segments.size()) * segment});
    for (const std::int64_t s : segments) code.emplace_back(Load{0, s * 128, 0, 128, 64});
    code.emplace_back(Wait{0});
  }
  code.insert(code.end(), {End{}, End{}});
  k.role("worker", code);
  return k;
}

/// Of the 32 segments of that tensor those whose home is not near core 0.
std::vector<std::int64_t> far_segments() {
  std::vector<std::int64_t> far;
  for (std::int64_t s = 0; s < 32; ++s) {
    if (warm_reading({s}).cycles(Halves().chip()) != Halves().near()) far.push_back(s);
  }
  REQUIRE(far.size() >= 8);
  return far;
}

/// Whole segments of a share of `segments`.
std::int64_t whole(double segments) { return static_cast<std::int64_t>(std::floor(segments)); }

const SimulationOptions& after_flush() {
  static const SimulationOptions options = [] {
    SimulationOptions o;
    o.before.flushed = true;
    return o;
  }();
  return options;
}

}  // namespace

TEST_CASE("old lines make room first, and those of overfull sets that their run wrote are dirty") {
  // 1 MiB read and as much written: at a load of 2 all but 0.07 % of the sets are overfull, so
  // 0.4997 of each segment that makes room leaves.
  REQUIRE(overfull_share(2) == Approx(0.99934).epsilon(1e-5));
  CHECK(written(reading(8192, 1, 8192)) == 0);
  CHECK(written(reading(8192, 2, 8192)) == 0);
  CHECK(written(reading(8192, 3, 8192)) == 1);
  CHECK(written(reading(8192, 64, 8192)) == 31);
  // 3 MiB and 7/8: all sets are overfull.
  CHECK(written(reading(3 * 8192, 64, 7168)) == whole(64 * 0.875 / 3.875));
  // All old lines have made room then; what was read since is clean.
  CHECK(written(reading(3 * 8192, 100, 7168)) == whole(64 * 0.875 / 3.875));
}

TEST_CASE("lines that stay until the next run writes them again do not leave") {
  // At a load of 1 half of the sets are overfull, at half of it hardly any.
  CHECK(written(reading(4096, 32, 4096)) == whole(32 * overfull_share(1) / 2));
  CHECK(written(reading(4096, 32, 4096)) == 8);
  CHECK(written(reading(2048, 16, 2048)) == 0);
  // One that writes nothing leaves nothing dirty.
  OneKernel k = reading(4 * 8192, 64, 64);
  k.kernel().roles[0].code.resize(5);  // without the store
  CHECK(written(k) == 0);
}

TEST_CASE("warm tensors take the place of old lines, and are not written back") {
  OneKernel k = reading(8192, 64, 8192);
  k.tensor("w", 4096, 64, true);
  // Half of the L2 is left to the run before.
  CHECK(written(k) == whole(32 * overfull_share(2) / 2));
  k.section.tensors[2].rows = 8192;
  CHECK(written(k) == 0);
}

TEST_CASE("of a cache of keys and values no more is dirty than the section has to write") {
  OneKernel k = reading(8192, 64, 4096);
  k.tensor("cache", 4 * 8192, 64);
  k.section.tensors[2].kind = TensorKind::kv_cache;
  std::vector<Instruction>& code = k.kernel().roles[0].code;
  code.insert(code.end() - 1, Store{2, 0, 0, 64, 64});
  // 5.5 MiB brought; half a MiB and what is appended written.
  CHECK(written(k) == whole(64 * 0.5 / 5.5));
  k.section.ops[0].compulsory_write = Bytes(1 << 19);
  CHECK(written(k) == whole(64 * 1.0 / 5.5));
  // A section that writes nothing but the cache counts as one that writes nothing.
  k.section.tensors[1].kind = TensorKind::kv_cache;
  CHECK(written(k) == 0);
}

TEST_CASE("what the L2 holds of all copies that a benchmark goes through in turn is found there") {
  // 32 segments of x are read, half of the L2.
  const auto fetched = [](int copies, bool warm = false) {
    OneKernel k;
    k.tensor("x", 4096, 64, warm).barrier("full", 1, 1);
    const VarId i = 3;
    k.role("worker", {Loop{i, 0, 32, 1}, Expect{0, segment}, Load{0, Expr::var(i, 128), 0, 128, 64},
                      Wait{0}, End{}});
    SimulationOptions options;
    options.before.copies = copies;
    return static_cast<double>(k.run(chip("toy"), options).ops[0].hbm_read.value) / (32 * segment);
  };
  CHECK(fetched(0) == 1);
  CHECK(fetched(1) == Approx(overfull_share(0.5)).margin(0.01));
  CHECK(fetched(2) == Approx(overfull_share(1)).margin(0.02));
  CHECK(fetched(3) == Approx(overfull_share(1.5)).margin(0.02));
  CHECK(fetched(6) == Approx(1).margin(0.001));
  // Each run reads the same inputs; without repetition they have just been written.
  CHECK(fetched(1, true) == Approx(overfull_share(0.5)).margin(0.01));
  CHECK(fetched(6, true) == fetched(1, true));
  CHECK(fetched(0, true) == 0);
}

TEST_CASE("where the L2 keeps far data twice, what a run loads fills more of it") {
  const std::vector<std::string> two = {"l2.size_mib=2", "l2.partitions=2",
                                        "l2.link_bytes_per_cycle=64"};
  std::vector<std::string> replicating = two;
  replicating.emplace_back("l2.replicate_far=1");
  // 40 of the 96 segments of y are written, each pushing out an old one; x, 1 MiB, is loaded by
  // code that is never executed.
  const auto with_load = [](bool warm) {
    OneKernel k = writing(96 * 128, {{0, 40}});
    k.tensor("x", 8192, 64, warm);
    std::vector<Instruction>& code = k.kernel().roles[0].code;
    code.insert(code.end(), {Loop{3, 1, 1, 1}, Load{1, 0, 0, 64, 64}, End{}});
    return k;
  };
  const auto check = [&](bool warm, const std::vector<std::string>& chip, double loaded_mib) {
    const double brought = loaded_mib + 1.5;
    const std::int64_t all = whole(40 * overfull_share(brought / 2) * 1.5 / brought);
    // Each of the two partitions leaves part of a segment.
    const std::int64_t leave = written(with_load(warm), chip);
    CHECK(leave <= all);
    CHECK(leave >= all - 1);
    return all;
  };
  // Once; what one core reads in one partition or two; what all read in both.
  CHECK(check(false, two, 1) == 20);
  CHECK(check(false, replicating, 1.5) == 19);
  CHECK(check(true, replicating, 2) == 17);
}

TEST_CASE(
    "a hit takes the latency of its way, near in one half of the cores and far in the other") {
  const Halves halves;
  const ChipConfig on = halves.chip();
  std::int64_t near = 0;
  for (std::int64_t s = 0; s < 32; ++s) {
    INFO("segment " << s);
    const std::int64_t first = warm_reading({s}, 0).cycles(on);
    CHECK((first == halves.near() || first == halves.far()));
    near += first == halves.near() ? 1 : 0;
    // Cores 0 and 1 are near one partition, 2 and 3 near the other.
    CHECK(warm_reading({s}, 1).cycles(on) == first);
    CHECK(warm_reading({s}, 2).cycles(on) == halves.near() + halves.far() - first);
    CHECK(warm_reading({s}, 3).cycles(on) == halves.near() + halves.far() - first);
  }
  // Homes are hashed: about half.
  CHECK(near >= 8);
  CHECK(near <= 24);
  // A far way no longer than the near one shows in nothing.
  const Halves alike{64, 200};
  for (const std::int64_t s : far_segments())
    CHECK(warm_reading({s}).cycles(alike.chip()) == alike.near());
}

TEST_CASE("reads of far data pass the link between the partitions, one behind the other") {
  const std::vector<std::int64_t> far = far_segments();
  const auto count = static_cast<std::int64_t>(far.size());
  std::vector<std::int64_t> near;
  for (std::int64_t s = 0; s < 32; ++s) {
    if (std::find(far.begin(), far.end(), s) == far.end()) near.push_back(s);
  }
  for (const int link : {8, 16, 32}) {
    const Halves halves{link};
    CHECK(warm_reading(far).cycles(halves.chip()) == count * segment / link + 500 + 100 + 20);
    // Near data passes the core's port alone.
    CHECK(warm_reading(near).cycles(halves.chip()) ==
          static_cast<std::int64_t>(near.size()) * segment / 64 + 200 + 100 + 20);
    const OpResult op = warm_reading(far).run(halves.chip()).ops[0];
    CHECK(op.hbm_read.value == 0);
    CHECK(op.core_cycles[static_cast<std::size_t>(Cause::l2)] >= count * segment / link + 500);
    CHECK(op.core_cycles[static_cast<std::size_t>(Cause::noc)] == 0);
  }
  // A link as wide as twice the port: the port is what they wait for, and the far latency hides
  // behind it.
  CHECK(warm_reading(far).cycles(Halves{128}.chip()) == count * segment / 64 + 200 + 100 + 20);
}

TEST_CASE("far data passes its home's read pipe as well") {
  // A partition's pipe moves half of l2.read_bytes_per_cycle: 16 B a cycle.
  const Halves narrow{64, 500, 0, 32};
  CHECK(warm_reading({far_segments().front()}).cycles(narrow.chip()) ==
        segment / 16 + 500 + 100 + 20);
}

TEST_CASE("what is far is near the second time where the near partition keeps a copy") {
  const Halves keeps{64, 500, 1}, keeps_not;
  const std::int64_t s = far_segments().front();
  CHECK(warm_reading({s}, 0, 2).cycles(keeps_not.chip()) == 2 * keeps_not.far());
  CHECK(warm_reading({s}, 0, 2).cycles(keeps.chip()) == keeps.far() + keeps.near());
}

TEST_CASE("stores to far data take the far latency and the link until they are seen") {
  const std::vector<std::int64_t> far = far_segments();
  const auto store = [&](std::size_t count, bool waits) {
    OneKernel k;
    k.tensor("y", 32 * 128, 64);
    std::vector<Instruction> code;
    for (std::size_t i = 0; i < count; ++i) code.emplace_back(Store{0, far[i] * 128, 0, 128, 64});
    if (waits) code.insert(code.end(), {StoreWait{0}, Setup{100000}});
    k.role("worker", code);
    return k;
  };
  for (const int link : {8, 64}) {
    const ChipConfig on = Halves{link}.chip();
    // Scratchpad and copy engine, 20 and 100, as for every store.
    CHECK(store(1, false).cycles(on) == segment / link + 500 + 20 + 100);
    CHECK(store(4, false).cycles(on) == 4 * segment / link + 500 + 20 + 100);
    // Who reuses the scratchpad waits for the port alone.
    CHECK(store(4, true).cycles(on) == 4 * segment / 64 + 20 + 100 + 100000);
  }
}

TEST_CASE("a section that writes more than may be dirty finds as much dirty, and pushes it out") {
  // 4096 lines may be: 32 segments.
  const std::vector<std::string> half = {"l2.max_dirty_percent=50"};
  CHECK(written(writing(32 * 128, {{0, 32}}), half) == 0);
  CHECK(written(writing(33 * 128, {{0, 33}}), half) == 33);
  CHECK(written(writing(33 * 128, {{0, 1}}), half) == 1);
  CHECK(written(writing(60 * 128, {{0, 60}}), half) == 60);
  // As many as the L2 holds: half of the sets are overfull, as above.
  CHECK(written(writing(64 * 128, {{0, 64}})) == whole(64 * overfull_share(1)));
  CHECK(written(writing(65 * 128, {{0, 65}})) == 65);
  // Lines that are dirty already push none out.
  CHECK(written(writing(33 * 128, {{0, 10}, {0, 10}}), half) == 10);
}

TEST_CASE("of dirty lines beyond the limit the oldest are written, and stay in the L2") {
  const std::vector<std::string> half = {"l2.max_dirty_percent=50"};
  // A cache of keys and values to which nothing has to be appended leaves nothing dirty.
  const auto cache = [](const std::vector<std::pair<std::int64_t, std::int64_t>>& ranges) {
    OneKernel k = writing(64 * 128, ranges);
    k.section.tensors[0].kind = TensorKind::kv_cache;
    return k;
  };
  CHECK(written(cache({{0, 32}}), half) == 0);
  CHECK(written(cache({{0, 33}}), half) == 1);
  CHECK(written(cache({{0, 40}}), half) == 8);
  // Segments 8 to 39 are dirty still; 0 to 7 are not, and push out 8 to 15 when they are again.
  CHECK(written(cache({{0, 40}, {8, 40}}), half) == 8);
  CHECK(written(cache({{0, 40}, {0, 8}}), half) == 16);
  CHECK(written(cache({{0, 40}, {0, 8}, {16, 40}}), half) == 16);
  CHECK(written(cache({{0, 40}, {0, 8}, {15, 16}}), half) == 17);
  // What was written to memory need not be when it makes room: 40 segments and 64 are read.
  OneKernel k = cache({{0, 40}});
  k.tensor("x", 8192, 64).barrier("full", 1, 1);
  std::vector<Instruction>& code = k.kernel().roles[0].code;
  code.insert(code.end(), {Loop{3, 0, 64, 1}, Expect{0, segment},
                           Load{1, Expr::var(3, 128), 0, 128, 64}, Wait{0}, End{}});
  CHECK(written(k, half) == 8 + 32);
}

TEST_CASE("after a flush nothing is warm, and as many lines as may be are dirty") {
  const std::vector<std::string> quarter = {"l2.max_dirty_percent=25"};
  // Old lines in the order of their age, a quarter of them dirty.
  CHECK(written(reading(8192, 64, 128), quarter, after_flush()) == 16);
  CHECK(written(reading(8192, 32, 128), quarter, after_flush()) == 8);
  CHECK(written(reading(8192, 64, 128), quarter) == 0);
  // What is written pushes out as much.
  CHECK(written(writing(16 * 128, {{0, 16}}), quarter, after_flush()) == 16);
  CHECK(written(writing(16 * 128, {{0, 16}}), quarter) == 0);

  OneKernel k = reading(4096, 32, 128);
  k.section.tensors[0].warm = true;
  CHECK(k.run(chip("toy")).ops[0].hbm_read.value == 0);
  const RunResult flushed = k.run(chip("toy"), after_flush());
  CHECK(flushed.ops[0].hbm_read.value == 32 * segment);
  CHECK(std::count(flushed.notes.begin(), flushed.notes.end(), "the L2 was flushed before") == 1);
}

TEST_CASE("old dirty lines that the limit has sent to memory are clean when they make room") {
  // 32 of 64 segments are dirty. What is written pushes all of them out, then 64 are read.
  OneKernel k = writing(33 * 128, {{0, 33}});
  k.tensor("x", 8192, 64).barrier("full", 1, 1);
  std::vector<Instruction>& code = k.kernel().roles[0].code;
  code.insert(code.end(), {Loop{3, 0, 31, 1}, Expect{0, segment},
                           Load{1, Expr::var(3, 128), 0, 128, 64}, Wait{0}, End{}});
  CHECK(written(k, {"l2.max_dirty_percent=50"}) == 33);
  // Warm lines are clean: all that is left to the run before is dirty, and no more.
  k.section.tensors[1].warm = true;
  k.section.tensors[1].rows = 48 * 128;
  CHECK(written(k, {"l2.max_dirty_percent=50"}) == 16 + 1);
}

TEST_CASE("who writes waits until memory has taken the lines that make room") {
  // Each segment pushes an old one out: a batch of 4 KiB on each of four channels, 256 ns each.
  const auto cycles = [](std::int64_t segments, std::int64_t after,
                         const SimulationOptions& options) {
    const ChipConfig wide = chip("toy", {"hbm.trfc_ns=0", "noc.core_write_bytes_per_cycle=16384",
                                         "l2.write_bytes_per_cycle=16384"});
    OneKernel k = writing(64 * 128, {{0, segments}});
    k.kernel().roles[0].code.emplace_back(Setup{after});
    return k.run(wide, options).ops.front().cycles.value;
  };
  // Seen by `signal` and the end of the kernel, and by store_wait.
  for (const std::int64_t after : {0, 1000}) {
    // One cycle a segment through the port, and what follows it.
    const std::int64_t rest = cycles(1, after, {}) - 1;
    CHECK(cycles(8, after, {}) == rest + 8);
    // Memory takes a write tCWL after it comes,
    CHECK(cycles(1, after, after_flush()) == rest + 5);
    CHECK(cycles(8, after, after_flush()) == rest + 8);
    // or when the batch eight before it starts: the first one tCWL after it came.
    CHECK(cycles(9, after, after_flush()) == rest + 5 + 5);
    CHECK(cycles(10, after, after_flush()) == rest + 5 + 256 + 5);
    CHECK(cycles(20, after, after_flush()) == rest + 5 + 11 * 256 + 5);
  }
}

TEST_CASE("a box narrower than its tensor's rows loses bus time at each row of the matrix") {
  const auto cycles = [](std::int64_t cols, double switch_ns) {
    OneKernel k;
    k.tensor("x", 64, cols).barrier("full", 1, 1);
    k.role("worker", {Expect{0, 8192}, Load{0, 0, 0, 64, 64}, Wait{0}});
    return k.cycles(chip("toy", {"hbm.trfc_ns=0", fmt::format("hbm.row_switch_ns={}", switch_ns)}));
  };
  // 8192 B on four channels: eight chunks of 256 B each, 16 ns a chunk; way, row and column,
  // copy engine and barrier (core_test.cpp). Of the last chunk's loss nobody waits.
  const std::int64_t around = 300 + 30 + 100 + 20;
  CHECK(cycles(64, 1) == around + 8 * 16);  // whole rows: one behind the other
  CHECK(cycles(128, 0) == around + 8 * 16);
  CHECK(cycles(128, 1) == around + 8 * 16 + 7 * 2);  // two rows of 128 B a chunk
  CHECK(cycles(128, 2.5) == around + 8 * 16 + 7 * 5);
}
