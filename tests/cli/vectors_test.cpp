#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/program.h"

using namespace tessera::test;
using nlohmann::json;

namespace {

Outcome run_on(const std::string& input, std::vector<std::string> arguments) {
  const ScratchFolder folder;
  ProgramOptions options;
  options.standard_input = folder.write("rows", input);
  return run(arguments, options);
}

}  // namespace

TEST_CASE("vectors go straight into mma --check") {
  const std::vector<std::vector<std::string>> units = {
      {"--unit", "h100.e4m3"},
      {"--unit", "ada.e5m2", "--out", "f16"},
      {"--unit", "a100.tf32"},
      {"--unit", "e4m3", "--chip", "toy", "--set", "fp8_unit.products=5"}};
  for (const std::vector<std::string>& unit : units) {
    std::vector<std::string> vectors = {"vectors", "--count", "64", "--steps", "2"};
    std::vector<std::string> mma = {"mma", "--check"};
    vectors.insert(vectors.end(), unit.begin(), unit.end());
    mma.insert(mma.end(), unit.begin(), unit.end());
    const Outcome rows = run(vectors);
    INFO(rows.err);
    REQUIRE(rows.status == 0);
    const Outcome checked = run_on(rows.out, mma);
    CHECK(checked.status == 0);
    CHECK(checked.out == "64 rows, 0 mismatches\n");
  }
}

TEST_CASE("mma exits with 1 and says which row differs when the unit is another") {
  const Outcome rows = run({"vectors", "--unit", "h100.e4m3", "--count", "100"});
  const Outcome checked = run_on(rows.out, {"mma", "--unit", "e4m3", "--chip", "toy", "--set",
                                            "fp8_unit.fraction_bits=12", "--check"});
  CHECK(checked.status == 1);
  CHECK(contains(checked.out, "100 rows, "));
  CHECK(contains(checked.err, "stdin:"));
  CHECK(contains(checked.err, "expected "));
}

TEST_CASE("a chip lists its own units and mma computes with them") {
  const ScratchFolder folder;
  const std::string chip =
      folder.write("mine.yaml", "base: toy\nfp8_unit: {products: 4, fraction_bits: 3}\n");
  const json listing = json::parse(run({"list", "units", "--chip", chip, "--json", "-"}).out);
  bool found = false;
  for (const json& unit : listing["units"]) {
    if (unit["name"] != "mine.e4m3") continue;
    found = true;
    CHECK(unit["k"] == 4);
    CHECK(unit["fraction_bits"] == 3);
  }
  CHECK(found);
  // 1 + 2^-4 in three fraction bits.
  const std::string row =
      "3f800000 3d800000 00000000 00000000 3f800000 3f800000 00000000 00000000 00000000\n";
  for (const char* unit : {"e4m3", "mine.e4m3"})
    CHECK(run_on(row, {"mma", "--unit", unit, "--chip", chip}).out == "3f800000\n");
  CHECK(contains(run({"list", "chips", "--chip", chip}).err, "--chip: applies to units"));
}

TEST_CASE("wrong vectors and rows are refused with what would be right") {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"vectors"}, "--unit: missing"},
      {{"mma"}, "--unit: missing"},
      {{"vectors", "--unit", "h100.e4m4"}, "did you mean 'h100.e4m3'?"},
      {{"vectors", "--unit", "e4m3"}, "there is no unit 'e4m3'"},
      {{"vectors", "--unit", "h100.e4m3", "--out", "f64"}, "give f32 or f16"},
      {{"vectors", "--unit", "h100.bf16", "--out", "f16"}, "no FP16 accumulator"},
      {{"vectors", "--unit", "h100.e4m3", "--count", "0"}, "--count: 0 is out of range"},
      {{"vectors", "--unit", "h100.e4m3", "--count", "many"}, "--count"},
      {{"vectors", "--unit", "h100.e4m3", "--seed", "-1"}, "--seed"},
      {{"vectors", "--unit", "h100.e4m3", "--steps", "2000"}, "--steps: 2000 is out of range"},
      {{"vectors", "--unit", "h100.e4m3", "--count", "10000000"}, "at most 100000000 operands"},
      {{"vectors", "--unit", "h100.e4m3", "--format", "csv"}, "give rows, hex or memh"},
      {{"vectors", "--unit", "h100.e4m3", "-o", "/nonexistent/x"}, "-o"},
      {{"mma", "--unit", "e4m3", "--chip", "toy", "--set", "fp8_unit.products=-1"},
       "fp8_unit.products"},
      {{"mma", "--unit", "e2m1", "--chip", "toy"}, "h100 has no unit for e2m1"},
      {{"mma", "--unit", "e4m3", "--set", "fp8_unit.products=2"}, "--chip: missing"},
  };
  for (const auto& [arguments, reason] : cases) {
    const Outcome outcome = run(arguments);
    CAPTURE(arguments, outcome.err);
    CHECK(outcome.status == 2);
    CHECK(outcome.out.empty());
    CHECK(contains(outcome.err, reason));
  }
  const Outcome binary = run_on(std::string("\x00\xff\x80 1\n", 6), {"mma", "--unit", "h100.e4m3"});
  CHECK(binary.status == 2);
  CHECK(contains(binary.err, "stdin:1: word 1: "));
}
