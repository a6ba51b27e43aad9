#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/program.h"

using namespace tessera::test;
using nlohmann::json;

namespace {

std::vector<std::string> gemm(std::vector<std::string> flags) {
  flags.insert(flags.begin(), {"precision", "gemm", "--m", "64", "--n", "64", "--k", "512"});
  return flags;
}

json gemm_json(std::vector<std::string> flags) {
  flags.insert(flags.end(), {"--json", "-"});
  const Outcome outcome = run(gemm(flags));
  INFO(outcome.err);
  REQUIRE(outcome.status == 0);
  return json::parse(outcome.out);
}

}  // namespace

TEST_CASE("precision gemm reports each cause of error in its JSON") {
  const json report = gemm_json({"--format", "e4m3", "--unit", "h100", "--accumulate", "fast",
                                 "--dist", "normal", "--scaling", "tensor", "--seed", "1"});
  CHECK(report["quantisation"]["rel_rmse"].get<double>() == Approx(3.73e-2).epsilon(0.05));
  CHECK(report["accumulation"]["rel_rmse"].get<double>() == Approx(3.3e-4).epsilon(0.3));
  CHECK(report["accumulation"]["max_over_rms"].get<double>() > 0);
  CHECK(report["total"]["rel_rmse"].get<double>() == Approx(3.73e-2).epsilon(0.05));
  CHECK(report["total"]["sqnr_db"].get<double>() == Approx(28.6).margin(0.5));
  CHECK(report["total"]["max_over_rms"].get<double>() > 0.05);
  CHECK(report["outputs"] == 4096);
  CHECK(report["sampled"] == false);
  CHECK(report["a"]["dynamic_range"].get<double>() > 10);
}

TEST_CASE("precision gemm gives the same bytes on every processor and any number of jobs") {
  const std::string first = run(gemm({"--json", "-", "--jobs", "1", "--isa", "portable"})).out;
  CHECK_FALSE(first.empty());
  CHECK(run(gemm({"--json", "-", "--jobs", "3"})).out == first);
  CHECK(run(gemm({"--json", "-", "--seed", "2"})).out != first);
}

TEST_CASE("precision gemm samples with an interval") {
  const json report = gemm_json({"--sample", "512"});
  CHECK(report["sampled"] == true);
  CHECK(report["outputs"] == 512);
  CHECK(report["total"]["rel_rmse_interval"][0] < report["total"]["rel_rmse"]);
  CHECK(report["total"]["rel_rmse_interval"][1] > report["total"]["rel_rmse"]);
  const Outcome text = run(gemm({"--sample", "512"}));
  CHECK(contains(text.out, "512 of 4096 outputs, in 8 random blocks"));
  CHECK(contains(text.out, "95 % interval"));
}

TEST_CASE("precision gemm knows every format and scaling that a unit has") {
  for (const char* flags : {"fp16 h100 none", "bf16 a100 none", "tf32 a100 none", "e4m3 ada tensor",
                            "e5m2 h100 token", "e4m3 h100 block", "e4m3 b200 mx", "e2m1 b200 mx",
                            "e2m1 b200 nvfp4", "e3m2 b200 tensor", "fp32 h100 none"}) {
    CAPTURE(flags);
    const std::string text = flags;
    const std::size_t first = text.find(' '), second = text.rfind(' ');
    const json report = gemm_json({"--format", text.substr(0, first), "--unit",
                                   text.substr(first + 1, second - first - 1), "--scaling",
                                   text.substr(second + 1)});
    CHECK(report["total"]["rel_rmse"].get<double>() > 0);
    CHECK(report["total"]["rel_rmse"].get<double>() < 0.3);
  }
  const json report = gemm_json({"--scaling", "block"});
  CHECK(report["accumulate"] == "promote128");
  CHECK(report["b_scaling"] == "128x128");
}

TEST_CASE("precision shows what a unit of one's own costs") {
  const auto accumulation = [](const std::vector<std::string>& flags) {
    return gemm_json(flags)["accumulation"]["rel_rmse"].get<double>();
  };
  const double hopper = accumulation({});
  CHECK(accumulation({"--chip", "h100-sxm"}) == hopper);
  CHECK(accumulation({"--chip", "h100-sxm", "--unit", "h100-sxm.e4m3"}) == hopper);
  CHECK(accumulation({"--chip", "h100-sxm", "--unit", "b200"}) == accumulation({"--unit", "b200"}));
  const double finer = accumulation({"--chip", "h100-sxm", "--set", "fp8_unit.fraction_bits=17",
                                     "--set", "fp8_unit.output_fraction_bits=17"});
  CHECK(finer > 0);
  CHECK(finer < hopper / 16);  // four bits more, and more products that lose none

  const ScratchFolder folder;
  const std::string chip = folder.write("mine.yaml",
                                        "base: h100-sxm\nname: mine\ndescription: coarse\n"
                                        "fp8_unit: {products: 16, fraction_bits: 9}\n");
  const json coarse = gemm_json({"--chip", chip, "--unit", "e4m3"});
  CHECK(coarse["unit"] == "mine.e4m3");
  CHECK(coarse["accumulation"]["rel_rmse"].get<double>() > 8 * hopper);
  CHECK(gemm_json({"--chip", chip, "--format", "fp32"})["unit"] == "fp32 lanes");

  const Outcome sums = run({"precision", "accumulation", "--m", "32", "--n", "32", "--k", "512",
                            "--dist", "normal", "--chip", chip, "--json", "-"});
  INFO(sums.err);
  REQUIRE(sums.status == 0);
  CHECK(json::parse(sums.out)["unit"] == "mine.e4m3");
  CHECK(json::parse(sums.out)["rows"][0]["rel_rmse"].get<double>() > 8 * hopper);
}

TEST_CASE("precision refuses what there is not, and says what there is") {
  struct Mistake {
    std::vector<std::string> flags;
    std::string message;
  };
  const std::vector<Mistake> mistakes = {
      {{"--format", "e4m4"}, "did you mean 'e4m3'?"},
      {{"--format", "int32"}, "--format: int32 is no format of operands"},
      {{"--unit", "h10"}, "--unit: there is no unit 'h10'; did you mean 'h100'?"},
      {{"--unit", "a100"}, "a100 has no tensor core for e4m3; give --format fp16|bf16|tf32"},
      {{"--unit", "h100.fp16"}, "h100.fp16 does not multiply e4m3; give --format fp16"},
      {{"--unit", "e5m2", "--chip", "h100-sxm"}, "e5m2 does not multiply e4m3; give --format e5m2"},
      {{"--unit", "h100-sxm.fp16", "--chip", "h100-sxm"}, "or --unit h100-sxm.e4m3"},
      {{"--unit", "h10", "--chip", "h100-sxm"}, "did you mean 'h100'?"},
      {{"--set", "fp8_unit.products=16"}, "--chip: missing"},
      {{"--format", "e2m1", "--chip", "h100-sxm"}, "h100 has no unit for e2m1"},
      {{"--scaling", "mx"}, "h100.e4m3 takes no mx scales"},
      {{"--scaling", "row"}, "--scaling: there is no scaling 'row'; give one of none, tensor"},
      {{"--scaling", "block", "--accumulate", "fast"}, "give promote128 with block scaling"},
      {{"--accumulate", "slow"}, "give fast or promote128"},
      {{"--dist", "gauss"}, "there is no distribution 'gauss'"},
      {{"--sample", "-1"}, "--sample: -1 is out of range"},
      {{"--seed", "x"}, "--seed: 'x' is not a whole number"},
      {{"--isa", "mmx"}, "--isa: this processor does not run 'mmx'"},
      {{"--accumulator", "f16", "--format", "bf16"}, "accumulates in FP16 nowhere"},
      {{"--output", "e4m3"}, "results are not e4m3"},
      {{"--scalling", "mx"}, "did you mean --scaling?"},
  };
  for (const Mistake& mistake : mistakes) {
    const Outcome outcome = run(gemm(mistake.flags));
    INFO(outcome.out << outcome.err);
    CHECK(outcome.status == 2);
    CHECK(contains(outcome.err, mistake.message));
  }
  CHECK(contains(run({"precision", "gemm", "--k", "0"}).err, "--k: 0 is out of range"));
  CHECK(contains(run({"precision", "gemm", "--n", "16777216"}).err,
                 "--n: an operand of 16777216 x 4096 is too large"));
  CHECK(contains(run({"precision", "gem"}).err, "did you mean 'gemm'?"));
  CHECK(run({"precision"}).status == 2);
  CHECK(contains(run({"precision", "attention", "--head-dim", "96"}).err,
                 "--head-dim: 96 is no power of two"));
  CHECK(contains(run({"precision", "attention", "--unit", "a100"}).err,
                 "a100 has no tensor core for e4m3"));
  CHECK(contains(run({"precision", "accumulation", "--k", "32,,64"}).err, "has an empty part"));
}

TEST_CASE("precision accumulation compares fast and promoted, attention its recipes") {
  const Outcome sums = run({"precision", "accumulation", "--m", "64", "--n", "64", "--k", "1024",
                            "--dist", "normal,halfnormal", "--json", "-"});
  REQUIRE(sums.status == 0);
  const json rows = json::parse(sums.out)["rows"];
  REQUIRE(rows.size() == 4);
  CHECK(rows[0]["accumulate"] == "fast");
  CHECK(rows[0]["rel_rmse"].get<double>() == Approx(5.3e-4).epsilon(0.15));
  CHECK(rows[1]["rel_rmse"].get<double>() == Approx(1.27e-4).epsilon(0.15));
  CHECK(rows[2]["rel_rmse"].get<double>() == Approx(1.5e-2).epsilon(0.15));
  CHECK(rows[2]["bias"].get<double>() < -0.01);
  CHECK(rows[3]["rel_rmse"].get<double>() == Approx(5.9e-4).epsilon(0.15));

  const std::vector<std::string> attention = {"precision",  "attention", "--seq",     "256",
                                              "--head-dim", "32",        "--queries", "32",
                                              "--seeds",    "2"};
  const Outcome text = run(attention);
  CHECK(text.status == 0);
  CHECK(contains(text.out, "fp8-flash3"));
  std::vector<std::string> with_json = attention;
  with_json.insert(with_json.end(), {"--accumulate", "exact", "--json", "-"});
  const json recipes = json::parse(run(with_json).out)["recipes"];
  REQUIRE(recipes.size() == 7);
  CHECK(recipes[0]["recipe"] == "fp16-baseline");
  CHECK(recipes[0]["rmse"].size() == 2);
}
