#include "sim/chip/l2.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "tests/support/machine.h"

using namespace tessera;
using namespace tessera::test;

namespace {

// The toy chip's L2: 1 MiB in one partition, 8192 lines of 128 B. Rows below are one line.
constexpr std::int64_t segment = 128 * 128;

/// Reads `boxes` boxes of 128 rows of tensor x (16 KiB, a segment each). Its code also has a store
/// to every other tensor, which is never executed: the section is one that writes them.
OneKernel reading(std::int64_t rows, std::int64_t boxes, std::int64_t written_rows) {
  OneKernel k;
  k.tensor("x", rows, 64).tensor("y", written_rows, 64).barrier("full", 1, 1);
  const VarId i = 3;
  k.role("worker",
         {Loop{i, 0, boxes, 1}, Expect{0, segment}, Load{0, Expr::var(i, 128), 0, 128, 64}, Wait{0},
          End{}, Loop{i, 1, 1, 1}, Store{1, 0, 0, 64, 64}, End{}});
  return k;
}

std::int64_t written(const OneKernel& k, const std::vector<std::string>& overrides = {}) {
  return k.run(chip("toy", overrides)).ops[0].hbm_write.value;
}

}  // namespace

TEST_CASE("a section beyond the L2's size first evicts lines of the run before, dirty ones among") {
  // 1 MiB read, 1 MiB written: half of the lines that make room are dirty, and leave by segments.
  CHECK(written(reading(8192, 1, 8192)) == 0);
  CHECK(written(reading(8192, 2, 8192)) == segment);
  CHECK(written(reading(8192, 3, 8192)) == segment);
  CHECK(written(reading(8192, 64, 8192)) == 32 * segment);
  // A quarter: 1 of 4 MiB.
  CHECK(written(reading(3 * 8192, 4, 8192)) == segment);
  CHECK(written(reading(3 * 8192, 64, 8192)) == 16 * segment);
  // All of them have made room then; what was read since is clean.
  CHECK(written(reading(3 * 8192, 100, 8192)) == 16 * segment);
}

TEST_CASE("a section that the L2 holds finds it empty, as does one that writes nothing") {
  CHECK(written(reading(4096, 32, 4096)) == 0);
  CHECK(written(reading(4096, 32, 4096 + 128)) == 16 * segment);  // 32 segments of 0.508 dirty
  OneKernel k = reading(4 * 8192, 64, 64);
  k.kernel().roles[0].code.resize(5);  // without the store
  CHECK(written(k) == 0);
}

TEST_CASE("warm tensors take the place of old lines, and are not written back") {
  OneKernel k = reading(8192, 64, 8192);
  k.tensor("w", 4096, 64, true);
  // Half of the L2 is left to the run before.
  CHECK(written(k) == 16 * segment);
  k.section.tensors[2].rows = 8192;
  CHECK(written(k) == 0);
}

TEST_CASE("of a cache of keys and values no more is dirty than the section has to write") {
  OneKernel k = reading(8192, 64, 8192);
  k.tensor("cache", 4 * 8192, 64);
  k.section.tensors[2].kind = TensorKind::kv_cache;
  std::vector<Instruction>& code = k.kernel().roles[0].code;
  code.insert(code.end() - 1, Store{2, 0, 0, 64, 64});
  // 6 MiB touched; 1 MiB and what is appended written: a sixth, a quarter.
  CHECK(written(k) == 10 * segment);
  k.section.ops[0].compulsory_write = Bytes(1 << 19);
  CHECK(written(k) == 16 * segment);
  // A section that writes nothing but the cache counts as one that writes nothing.
  k.section.tensors[1].kind = TensorKind::kv_cache;
  CHECK(written(k) == 0);
}

TEST_CASE("where the L2 keeps far data twice, one that would fit otherwise finds it full") {
  const std::vector<std::string> two = {"l2.size_mib=2", "l2.partitions=2",
                                        "l2.link_bytes_per_cycle=64"};
  std::vector<std::string> replicating = two;
  replicating.emplace_back("l2.replicate_far=1");
  // 1 MiB read and 3/4 written, of two.
  CHECK(written(reading(8192, 64, 6144), two) == 0);
  CHECK(written(reading(8192, 64, 6144), replicating) > 0);
  CHECK(written(reading(4096, 32, 4096), replicating) == 0);
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
