#include "sim/report/policy_report.h"

#include <catch2/catch.hpp>
#include <sstream>

#include "sim/report/json.h"
#include "sim/report/table.h"
#include "tests/unit/report/example_run.h"

using namespace tessera;
using Catch::Contains;

namespace {

PolicyResult example_policy(std::size_t points) {
  PolicyResult policy;
  policy.decided = true;
  policy.wide = "bf16";
  policy.budget = 0.03;
  policy.wide_error = 0.003;
  policy.predicted_error = 0.02;
  policy.error = 0.0203;
  policy.clock_mhz = 1000;
  policy.wide_cycles = 10000;
  policy.cycles = 6000;
  policy.fastest_cycles = 5000;
  policy.least_cycles = 5900;
  policy.evaluations = 9;
  PolicyDecision decision;
  decision.layers = "1-46";
  decision.repeat = 46;
  decision.op = "mlp.up";
  decision.chosen = 1;
  decision.alternatives = {{"bf16", 1000, 0}, {"fp8", 600, 4e-4}};
  decision.reason = "fastest: " + std::string(200, 'x');
  policy.decisions = {decision};
  for (std::size_t i = 0; i < points; ++i) {
    const auto step = static_cast<double>(i);
    policy.curve.push_back(
        {10000 - static_cast<std::int64_t>(i), 0.003 + 0.001 * step, "bf16 1, fp8 3"});
  }
  policy.curve[points / 3] = {6000, 0.02, "the chosen one"};
  return policy;
}

}  // namespace

TEST_CASE("the policy's table has the choice, its reason and the curve in lines that fit") {
  const std::string text = policy_table(example_policy(200), 100, 12);
  for (const char* part : {"error 0.0203 within a budget of 0.03; all bf16 0.003", "saves 40.0 %",
                           "10.0 us", "bound for this budget 5.9 us", "1-46", "mlp.up", "0.02",
                           "fastest: xxx", "the chosen one"}) {
    CHECK_THAT(text, Contains(part));
  }
  std::istringstream stream(text);
  std::size_t points = 0, chosen = 0;
  for (std::string line; std::getline(stream, line);) {
    CHECK(line.size() <= 100);
    points += line.find("bf16 1, fp8 3") != std::string::npos ? 1 : 0;
    chosen += line.rfind("  * ", 0) == 0 ? 1 : 0;
  }
  CHECK(points == 12);
  CHECK(chosen == 1);
  CHECK_THAT(policy_table(example_policy(3), 100, 12), Contains("the chosen one"));
}

TEST_CASE("a budget below the wide precision's own error is said to be exceeded") {
  PolicyResult policy = example_policy(3);
  policy.budget = 0.001;
  CHECK_THAT(policy_table(policy, 100), Contains("all bf16, whose error of 0.0203 is beyond"));
}

TEST_CASE("the policy's JSON gives errors as relative RMSEs and marks the chosen point") {
  const auto json = policy_json(example_policy(9));
  CHECK(json["error_budget"] == 0.03);
  CHECK(json["decisions"][0]["precision"] == "fp8");
  CHECK(json["decisions"][0]["alternatives"][1]["added_error"] == 0.02);
  CHECK(json["curve"].size() == 9);
  CHECK(json["curve"][3]["chosen"] == true);
  CHECK(json["curve"][3]["time_us"] == 6);
  CHECK(json["curve"][4]["chosen"] == false);
}

TEST_CASE("a run shows a policy only where precisions were chosen") {
  RunResult run = test::example_run();
  run.policy = PolicyResult();
  CHECK(to_table(run).find("tessera's policy") == std::string::npos);
  CHECK_FALSE(to_json(run)["precision"].contains("policy"));
  run.policy = example_policy(5);
  CHECK_THAT(to_table(run), Contains("tessera's policy"));
  CHECK(to_json(run)["precision"]["policy"]["wide"] == "bf16");
}
