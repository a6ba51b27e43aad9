#include "tests/hardware/measurement.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "sim/base/error.h"
#include "sim/frontend/op_text.h"
#include "sim/validation/measured_table.h"
#include "tests/cli/program.h"

using namespace hardware;

namespace {

std::vector<Operation> plan(const std::string& text) {
  std::istringstream stream(text);
  return read_plan(stream);
}

}  // namespace

TEST_CASE("a plan is operations, one a line, with comments") {
  const std::vector<Operation> operations =
      plan("# shapes\n\ngemm m=16 n=32 k=64 dtype=bf16  # small\nsoftmax rows=8 cols=9 dtype=fp16");
  REQUIRE(operations.size() == 2);
  CHECK(operations[0].op == "gemm");
  CHECK(operations[0].size("k") == 64);
  CHECK(operations[0].fields.at("dtype") == "bf16");
  CHECK(operations[1].text() == "softmax cols=9 dtype=fp16 rows=8");
  CHECK_THROWS_WITH(operations[1].size("m"), Catch::Contains("m is missing"));
  CHECK_THROWS_WITH(operations[1].size("dtype"), Catch::Contains("not a positive whole number"));
}

TEST_CASE("a wrong line of a plan is named") {
  CHECK_THROWS_WITH(plan("gemm m=1\ngemm m"), "line 2: 'm' is not FIELD=VALUE");
  CHECK_THROWS_WITH(plan("gemm m="), "line 1: 'm=' is not FIELD=VALUE");
  CHECK_THROWS_WITH(plan("gemm q=1"), "line 1: 'q' is no field of an operation");
  CHECK_THROWS_WITH(plan("gemm m=1 m=2"), "line 1: 'm' stands twice");
  CHECK_THROWS_WITH(plan("m=1"), "line 1: begins with a field");
}

TEST_CASE("the plan that comes with the program is of operations tessera knows") {
  std::ifstream file(std::string(TESSERA_SOURCE_DIR) + "/tests/hardware/plan.txt");
  const std::vector<Operation> operations = read_plan(file);
  CHECK(operations.size() > 100);
  for (const Operation& operation : operations) {
    INFO(operation.text());
    CHECK_NOTHROW(tessera::op_graph(operation.text()));
  }
}

TEST_CASE("samples are summed up by median and deciles") {
  const Samples five = summary({5, 1, 4, 2, 3});
  CHECK(five.median == 3);
  CHECK(five.p10 == 1);
  CHECK(five.p90 == 5);
  CHECK(five.count == 5);
  CHECK(summary({1, 2, 3, 10}).median == 2.5);
  CHECK(summary({7}).p90 == 7);
  std::vector<double> hundred;
  for (int i = 100; i >= 1; --i) hundred.push_back(i);
  CHECK(summary(hundred).p10 == 10);
  CHECK(summary(hundred).p90 == 90);
  CHECK_THROWS(summary({}));
}

TEST_CASE("a row is repeated for as long as validate is told") {
  CHECK(rotations_of_replay(5000, 1) == 1);
  CHECK(rotations_of_replay(2499, 4) == 2);
  CHECK(rotations_of_replay(70000, 2) == 1);
  CHECK(rotations_of_replay(1, 64) == 31);
  CHECK(rotations_of_replay(1e-3, 1) == 2000);
  CHECK(rotations_of_replay(1, 4000) == 1);
  for (const double replay_us : {700.0, 2500.0, 5000.0, 7000.0, 16000.0}) {
    const Replays replays = replays_of_row(replay_us);
    INFO(replay_us);
    CHECK((replays.warm + replays.measured) * replay_us == Approx(row_ms * 1e3).margin(replay_us));
    CHECK(replays.measured <= 15);
  }
  CHECK(replays_of_row(5000).warm == 2);
  CHECK(replays_of_row(5000).measured == 15);
  CHECK(replays_of_row(1e6).warm == 2);
  CHECK(replays_of_row(1e6).measured == 3);
}

TEST_CASE("the table it writes is one that validate reads") {
  const tessera::test::ScratchFolder folder;
  const std::string gpu = "NVIDIA X, 1 GB";
  const Row gemm = {
      plan("gemm m=256 n=256 k=256 dtype=bf16")[0], {20.5, 20, 21, 9}, "cuBLASLt, cold"};
  const Row add = {
      plan("add rows=512 cols=1024 dtype=bf16")[0], {30.25, 30, 31, 9}, "own \"kernel\""};
  const std::string file = folder.write(
      "gpu.csv", measured_header() + measured_line(gemm, gpu) + measured_line(add, gpu));
  const tessera::MeasuredTable table = tessera::read_measured(file);
  REQUIRE(table.rows.size() == 2);
  CHECK(table.rows[0].measured_us == 20.5);
  CHECK(table.rows[0].source == "NVIDIA X, 1 GB: cuBLASLt, cold; median of 9, p10 20, p90 21");
  CHECK(table.rows[1].field("cols") == "1024");
  const tessera::test::Outcome outcome =
      tessera::test::run({"validate", "--chip", "toy", "--measured", file, "--duration",
                          std::to_string(static_cast<int>(row_ms)) + "ms", "--json", "-"});
  INFO(outcome.err);
  CHECK(outcome.status == 0);
}

TEST_CASE("a row of kernels alone is one to validate") {
  CHECK(sums_of_launches({1, 2, 3, 4, 5, 6}, 3) == std::vector<double>{3, 7, 11});
  CHECK(sums_of_launches({1, 2}, 2) == std::vector<double>{1, 2});
  CHECK_THROWS_WITH(sums_of_launches({1, 2, 3}, 2), "3 kernels of 2 launches");
  CHECK_THROWS(sums_of_launches({}, 2));
  CHECK_THROWS(sums_of_launches({1}, 0));
  const tessera::test::ScratchFolder folder;
  const Row row = {plan("gemm m=256 n=256 k=256 dtype=bf16")[0],
                   {20.5, 20, 21, 9},
                   std::string("cuBLASLt, ") + kernel_only + " by CUPTI"};
  const std::string file =
      folder.write("gpu.kernel.csv", measured_header() + measured_line(row, "GPU"));
  CHECK(tessera::read_measured(file).rows.at(0).is_kernel_time());
}

TEST_CASE("a growing file has its name when it is finished, and its lines before") {
  const tessera::test::ScratchFolder folder;
  GrowingFile file(folder / "a.csv", "head\n");
  file.finish();
  CHECK(folder.names().empty());
  file.add("1\n");
  CHECK(folder.names() == std::vector<std::string>{"a.csv.part"});
  file.add("2\n");
  CHECK(file.lines() == 2);
  CHECK(folder.read("a.csv.part") == "head\n1\n2\n");
  file.finish();
  CHECK(folder.names() == std::vector<std::string>{"a.csv"});
  CHECK(folder.read("a.csv") == "head\n1\n2\n");
  folder.write("b.csv.part", "of a run that died\n");
  GrowingFile again(folder / "b.csv", "head\n");
  again.add("3\n");
  CHECK(folder.read("b.csv.part") == "head\n3\n");
  GrowingFile nowhere(folder / "no/c.csv", "head\n");
  CHECK_THROWS_WITH(nowhere.add("1\n"), Catch::Contains("cannot be written"));
}

TEST_CASE("facts, names and rotations") {
  CHECK(facts_csv({{"L2 read", "8 MiB, all cores", 5500.5, "GB/s"}}) ==
        "quantity,conditions,value,unit\nL2 read,\"8 MiB, all cores\",5500.5,GB/s\n");
  CHECK(file_stem("NVIDIA H100 80GB HBM3") == "h100-80gb-hbm3");
  CHECK(file_stem("Tesla V100-SXM2 (x)") == "tesla-v100-sxm2-x");
  CHECK(file_stem("??") == "gpu");
  CHECK(rotated_copies(50 << 20, 50 << 20, 64) == 4);
  CHECK(rotated_copies(1 << 20, 50 << 20, 64) == 64);
  CHECK(rotated_copies(std::size_t{8} << 30, 50 << 20, 64) == 2);
  CHECK(rotated_copies(0, 50 << 20, 64) == 2);
}

TEST_CASE("the clock of the cores is that of those seen at both moments") {
  const std::vector<Tick> first = {{1000, 500}, {0, 0}, {7000, 500}, {5000, 500}};
  const std::vector<Tick> last = {{3000, 1500}, {9000, 1500}, {0, 0}, {7500, 1500}};
  CHECK(mean_clock_mhz(first, last) == 2250);
  CHECK(mean_clock_mhz({{1000, 500}}, {{0, 0}}) == 0);
  CHECK(mean_clock_mhz({}, {}) == 0);
}
