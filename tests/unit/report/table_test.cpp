#include "sim/report/table.h"

#include <catch2/catch.hpp>
#include <sstream>

#include "tests/unit/report/example_run.h"

using namespace tessera;
using tessera::test::example_run;

namespace {

std::size_t widest(const std::string& text) {
  std::size_t width = 0;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) width = std::max(width, line.size());
  return width;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string without_escapes(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      i = text.find('m', i);
    } else {
      plain += text[i];
    }
  }
  return plain;
}

}  // namespace

TEST_CASE("the table names the headline numbers") {
  const std::string table = to_table(example_run());
  for (const char* part :
       {"a gemm and three norms on toy", "2.50 us", "2,500 at 1000 MHz", "0.03 TFLOP/s",
        "32.0 % of 0.10 TFLOP/s", "6.40 GB/s", "64.0 % of 10.0 GB/s", "9.00 kB", "7.00 kB",
        "43.8 %", "50.0 W", "hbm", "2.00 us, 80.0 % achieved"}) {
    INFO(part << "\n" << table);
    CHECK(contains(table, part));
  }
}

TEST_CASE("the table's operations carry the time of all repeats") {
  const std::string table = to_table(example_run(), {false, 120});
  INFO(table);
  CHECK(contains(table, "norm"));
  CHECK(contains(table, "x3"));
  CHECK(contains(table, "1.50 us"));
  CHECK(contains(table, "60.0"));
  CHECK(contains(table, "hbm 90%, launch 10%"));
}

TEST_CASE("the table has the power of each operation where there is room") {
  RunResult run = example_run();
  run.ops[0].energy_j = 650e-6;  // in a microsecond
  run.ops[1].energy_j = 0;
  const std::string table = to_table(run, {false, 140});
  INFO(table);
  CHECK(contains(table, "  W  bound"));
  CHECK(contains(table, "  650  compute"));
  CHECK(contains(table, "    -  hbm"));
  CHECK_FALSE(contains(to_table(run, {false, 80}), "  W  bound"));
}

TEST_CASE("the table shows numerical errors where they were studied") {
  const std::string table = to_table(example_run(), {false, 140});
  INFO(table);
  CHECK(contains(table, "% err out"));
  CHECK(contains(table, "seed 7"));
  CHECK(contains(table, "16 of 2048 tokens"));
  CHECK(contains(table, "behind the first layer 1 % [0.9, 1.1]"));
  CHECK(contains(table, "1.4 %"));
  RunResult bare = example_run();
  bare.ops[0].error = OpError();
  bare.precision = PrecisionResult();
  const std::string without = to_table(bare, {false, 140});
  CHECK_FALSE(contains(without, "err"));
}

TEST_CASE("the table says where the core-cycles went, largest first") {
  const std::string table = to_table(example_run());
  INFO(table);
  const std::size_t hbm = table.find("60.0 %  #############");
  const std::size_t tensor = table.find("32.0 %  #######");
  REQUIRE(hbm != std::string::npos);
  REQUIRE(tensor != std::string::npos);
  CHECK(hbm < tensor);
  CHECK_FALSE(contains(table, "special_function"));
}

TEST_CASE("the table keeps to its width from 80 columns on") {
  RunResult run = example_run();
  run.ops[0].name = "a.very.long.name.of.an.operation.that.nobody.would.choose";
  run.ops[0].core_cycles = {1, 3, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43};
  run.ops[0].cycles = Cycles(123456789012);
  for (const int width : {80, 90, 100, 110, 120, 160}) {
    const std::string table = to_table(run, {false, width});
    INFO(width << "\n" << table);
    CHECK(widest(table) <= static_cast<std::size_t>(width));
  }
  CHECK(to_table(run, {false, -5}) == to_table(run, {false, 80}));
}

TEST_CASE("the table explains the causes at 100 columns") {
  RunResult run = example_run();
  run.ops[0].core_cycles.fill(1);
  const std::string table = to_table(run, {false, 100});
  for (std::size_t i = 0; i < cause_count; ++i) {
    INFO(table);
    CHECK(contains(table, std::string(meaning(static_cast<Cause>(i))) + "\n"));
  }
}

TEST_CASE("colour changes the escapes and nothing else") {
  const std::string plain = to_table(example_run(), {false, 100});
  const std::string coloured = to_table(example_run(), {true, 100});
  CHECK_FALSE(contains(plain, "\x1b"));
  CHECK(contains(coloured, "\x1b["));
  CHECK(without_escapes(coloured) == plain);
}

TEST_CASE("the table ends with the notes") {
  RunResult run = example_run();
  CHECK_FALSE(contains(to_table(run), "note:"));
  run.notes = {"the model is 3 GB larger than the memory"};
  CHECK(contains(to_table(run), "\n  note: the model is 3 GB larger than the memory\n"));
}

TEST_CASE("a long list of operations shows the longest and says how many it left out") {
  RunResult run = example_run();
  run.ops[1].repeat = 1000;
  for (int i = 0; i < 200; ++i) {
    run.ops.push_back(run.ops[0]);
    run.ops.back().name = "op" + std::to_string(i);
  }
  const std::string table = to_table(run);
  INFO(table);
  CHECK(contains(table, "norm"));
  CHECK(contains(table, "... and 142 shorter ones"));
}

TEST_CASE("control characters of a name never reach the terminal") {
  RunResult run = example_run();
  run.workload = "evil\x1b[2J";
  run.ops[0].name = "x\ny";
  const std::string table = to_table(run);
  CHECK_FALSE(contains(table, "\x1b"));
  CHECK(contains(table, "x?y"));
}

TEST_CASE("an empty run is a table without operations") {
  const std::string table = to_table(RunResult{});
  CHECK(contains(table, "bound"));
  CHECK_FALSE(contains(table, "nan"));
  CHECK_FALSE(contains(table, "inf"));
  CHECK_FALSE(contains(table, "where the core-cycles went"));
}
