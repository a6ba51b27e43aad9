#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

using namespace tessera::test;
using nlohmann::json;

namespace {

std::vector<std::string> auto_run(const std::string& chip, std::vector<std::string> more) {
  std::vector<std::string> arguments = {"run",     "--chip",      chip,    "--model", "gpt2-xl",
                                        "--phase", "prefill",     "--seq", "128",     "--layers",
                                        "2",       "--precision", "auto"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

json report_of(const std::vector<std::string>& arguments) {
  const Outcome outcome = run(arguments);
  INFO(outcome.err);
  REQUIRE(outcome.status == 0);
  return json::parse(outcome.out);
}

std::string precision_of(const json& report, const std::string& op) {
  for (const json& layer : report["layers"]) {
    if (layer["name"] == op) return layer["precision"];
  }
  return "";
}

}  // namespace

TEST_CASE("auto keeps within the budget, says why, and runs what it chose") {
  const json report = report_of(auto_run("h100-sxm", {"--json", "-"}));
  const json& policy = report["precision"]["policy"];
  CHECK(policy["wide"] == "bf16");
  CHECK(policy["error_budget"] == 0.03);
  CHECK(policy["error"] <= policy["error_budget"]);
  CHECK(policy["cycles"] <= policy["wide_cycles"]);
  CHECK(policy["least_cycles"] <= policy["cycles"]);
  CHECK(policy["fastest_cycles"] <= policy["cycles"]);
  REQUIRE(policy["decisions"].size() == 5);
  for (const json& decision : policy["decisions"]) {
    const std::string op = decision["operation"];
    INFO(op);
    CHECK(decision["layers"] == "0-1");
    CHECK_FALSE(decision["reason"].get<std::string>().empty());
    CHECK(decision["alternatives"].size() == (op == "attention.core" ? 2 : 4));
    CHECK(precision_of(report, "layer." + op) == decision["precision"]);
  }
  CHECK(contains(report["workload"], "--precision auto --error-budget 0.03"));
  int chosen = 0;
  for (const json& point : policy["curve"]) chosen += point["chosen"] ? 1 : 0;
  CHECK(chosen == 1);
}

TEST_CASE(
    "budgets: none leaves everything wide, a huge one takes the fastest, jobs do not matter") {
  const json none = report_of(auto_run("h100-sxm", {"--error-budget", "0", "--json", "-"}));
  const json& wide = none["precision"]["policy"];
  CHECK(wide["cycles"] == wide["wide_cycles"]);
  CHECK(precision_of(none, "layer.mlp.up") == "bf16");
  const json huge =
      report_of(auto_run("h100-sxm", {"--error-budget", "1e9", "--json", "-", "--jobs", "1"}));
  const json& fast = huge["precision"]["policy"];
  CHECK(fast["cycles"] == fast["fastest_cycles"]);
  CHECK(fast["curve"] ==
        report_of(auto_run("h100-sxm", {"--error-budget", "1e9", "--json", "-", "--jobs",
                                        "3"}))["precision"]["policy"]["curve"]);
  const Outcome table = run(auto_run("h100-sxm", {"--error-budget", "0"}));
  CHECK(contains(table.out, "tessera's policy: all bf16"));
}

TEST_CASE("a chip without fp8 leaves nothing to choose") {
  const json report = report_of(auto_run("a100-sxm", {"--json", "-"}));
  CHECK_FALSE(report["precision"].contains("policy"));
  CHECK(contains(report["notes"].dump(), "a100-sxm has no fp8: everything stays bf16"));
  CHECK(contains(report["workload"], "--precision auto"));
  CHECK(precision_of(report, "layer.mlp.up") == "bf16");
}

TEST_CASE("auto and its budget are refused where they mean nothing") {
  const auto refused = [](const std::vector<std::string>& arguments,
                          const std::vector<std::string>& parts) {
    const Outcome outcome = run(arguments);
    INFO(outcome.err);
    CHECK(outcome.status == 2);
    CHECK(outcome.out.empty());
    for (const std::string& part : parts) CHECK(contains(outcome.err, part));
  };
  for (const char* wrong : {"x", "-0.1", "nan", "inf", "0.1x", "1e400"}) {
    refused(auto_run("toy", {"--error-budget", wrong}), {"--error-budget: ", wrong});
  }
  refused(auto_run("toy", {"--no-precision"}), {"--no-precision: --precision auto needs"});
  refused({"run", "--chip", "toy", "--model", "gpt2-xl", "--phase", "prefill", "--seq", "16",
           "--precision", "fp8", "--error-budget", "0.1"},
          {"--error-budget: applies to --precision auto only"});
  refused({"run", "--chip", "toy", "--op", "gemm m=1 n=1 k=1", "--precision", "auto"},
          {"--precision: applies to --model only"});
  const ScratchFolder folder;
  refused({"lower", "--chip", "toy", "--model", "gpt2-xl", "--phase", "prefill", "--seq", "16",
           "--precision", "auto", "-o", folder / "a.trace"},
          {"--precision: auto is decided by simulations"});
}
