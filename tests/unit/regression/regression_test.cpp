#include <catch2/catch.hpp>

#include "sim/base/error.h"
#include "sim/regression/baseline.h"
#include "sim/regression/comparison.h"
#include "sim/regression/regression_report.h"

using namespace tessera;
using Catch::Contains;

namespace {

std::int64_t& at(Measurement& m, Metric metric) {
  return m.metrics[static_cast<std::size_t>(metric)];
}
std::int64_t& at(Measurement& m, Cause cause) {
  return m.core_cycles[static_cast<std::size_t>(cause)];
}

/// 1000 cycles of 10 cores: 6000 core-cycles multiplying, 3000 waiting for DRAM, 1000 idle.
Measurement measurement() {
  Measurement m;
  m.trace_digest = "t";
  m.chip_digest = "c";
  at(m, Metric::cycles) = 1000;
  at(m, Metric::time_ns) = 600;
  at(m, Metric::hbm_read_bytes) = 5000;
  at(m, Cause::tensor_core) = 6000;
  at(m, Cause::hbm) = 3000;
  at(m, Cause::idle) = 1000;
  m.ops = {{"norm", 400}, {"gemm", 600}};
  return m;
}

CaseResult compared(const Measurement& was, const Measurement& is,
                    const Tolerances& tolerances = {}) {
  CaseResult result;
  result.trace = "a.trace";
  result.chip = "toy";
  result.was = was;
  result.is = is;
  compare(result, tolerances);
  return result;
}

/// 4.1 % more cycles, 3.8 of which wait for DRAM.
Measurement slower() {
  Measurement m = measurement();
  at(m, Metric::cycles) = 1041;
  at(m, Cause::hbm) = 3380;
  at(m, Cause::idle) = 1030;
  m.ops = {{"norm", 400}, {"gemm", 641}};
  return m;
}

std::string complaint(const std::string& text) {
  try {
    parse_baseline(text, "baseline.json");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

std::string refused_tolerance(const std::string& text) {
  try {
    parse_tolerances(text, "--tolerance");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t place = text.find(from);
  REQUIRE(place != std::string::npos);
  return text.replace(place, from.size(), to);
}

}  // namespace

TEST_CASE("equal measurements are the same and one cycle more has moved") {
  CHECK(compared(measurement(), measurement()).status == CaseStatus::same);
  Measurement one_more = measurement();
  ++at(one_more, Metric::cycles);
  const CaseResult result = compared(measurement(), one_more);
  CHECK(result.status == CaseStatus::moved);
  REQUIRE(result.metrics.size() == 1);
  CHECK(result.metrics[0].what == "cycles");
  CHECK(result.metrics[0].percent == Approx(0.1));
  CHECK(fails(result.status));
}

TEST_CASE("a change is told by its causes, whose parts add up to it") {
  const CaseResult result = compared(measurement(), slower());
  REQUIRE(result.causes.size() == 2);
  CHECK(result.causes[0].what == "hbm");
  CHECK(result.causes[0].percent + result.causes[1].percent == Approx(4.1));
  CHECK(summary(result) ==
        "+4.1 % cycles: waiting for data from DRAM +3.8, no block to run: too few tiles, or the "
        "tail +0.3");
  REQUIRE(result.ops.size() == 1);
  CHECK(result.ops[0].what == "gemm");
  CHECK(result.ops[0].percent == Approx(6.8333).epsilon(0.001));
}

TEST_CASE("a tolerance holds at its own value and not beyond") {
  Measurement is = measurement();
  at(is, Metric::cycles) = 1020;
  CHECK(compared(measurement(), is, parse_tolerances("2", "")).status == CaseStatus::within);
  CHECK(compared(measurement(), is, parse_tolerances("1.99", "")).status == CaseStatus::moved);
  CHECK(compared(measurement(), is, parse_tolerances("cycles=2", "")).status == CaseStatus::within);
  CHECK(compared(measurement(), is, parse_tolerances("time_ns=2", "")).status == CaseStatus::moved);
  CHECK(compared(measurement(), is, parse_tolerances("5,cycles=1", "")).status ==
        CaseStatus::moved);
  at(is, Metric::cycles) = 980;
  CHECK(compared(measurement(), is, parse_tolerances("2", "")).status == CaseStatus::within);
  at(is, Metric::cycles) = 979;
  CHECK(compared(measurement(), is, parse_tolerances("2", "")).status == CaseStatus::moved);
}

TEST_CASE("a cause is held to a tolerance in percent of all core-cycles") {
  Measurement is = measurement();
  at(is, Cause::hbm) = 3100;
  at(is, Cause::idle) = 900;
  CHECK(compared(measurement(), is).status == CaseStatus::moved);
  CHECK(compared(measurement(), is, parse_tolerances("core_cycles=1", "")).status ==
        CaseStatus::within);
  CHECK(compared(measurement(), is, parse_tolerances("core_cycles=0.9", "")).status ==
        CaseStatus::moved);
  CHECK_THAT(summary(compared(measurement(), is)), Contains("cycles as before: waiting"));
}

TEST_CASE("what was 0 and is not has moved by any tolerance") {
  Measurement is = measurement();
  at(is, Metric::hbm_write_bytes) = 1;
  const CaseResult result = compared(measurement(), is, parse_tolerances("1000", ""));
  CHECK(result.status == CaseStatus::moved);
  CHECK_THAT(summary(result), Contains("hbm_write_bytes from 0"));
}

TEST_CASE("a wrong tolerance is refused with the nearest metric") {
  CHECK_THAT(refused_tolerance("cycle=1"), Contains("--tolerance: there is no metric 'cycle'; did "
                                                    "you mean 'cycles'?"));
  for (const char* text : {"", "x", "-1", "nan", "inf", "1,", "cycles=", "=1", "1e9", "1 %"})
    CHECK_THAT(refused_tolerance(text), Contains("--tolerance: "));
  CHECK(refused_tolerance("1.5,cycles=0,core_cycles=2").empty());
}

TEST_CASE("a baseline written and read is the same") {
  Baseline baseline;
  baseline.traces["b/x \"y\".trace"]["toy"] = measurement();
  baseline.traces["b/x \"y\".trace"]["h100-sxm"] = slower();
  baseline.traces["a.trace"]["toy"] = std::nullopt;
  const std::string text = to_text(baseline);
  const Baseline again = parse_baseline(text, "baseline.json");
  CHECK(again.traces == baseline.traces);
  CHECK(to_text(again) == text);
  // One number a line: what a review reads.
  CHECK_THAT(text, Contains("\n        \"hbm_read_bytes\": 5000,\n"));
  CHECK_THAT(text, Contains("\n          \"tensor_core\": 6000,\n"));
}

TEST_CASE("a wrong baseline is refused with the place") {
  Baseline baseline;
  baseline.traces["a.trace"]["toy"] = measurement();
  const std::string text = to_text(baseline);
  CHECK_THAT(complaint(""), Contains("baseline.json:1: not JSON"));
  CHECK_THAT(complaint("{\n\n]"), Contains("baseline.json:3: not JSON"));
  CHECK_THAT(complaint("{}"), Contains("schema is missing"));
  CHECK_THAT(complaint(R"({"schema": "other", "traces": {}})"), Contains("schema: is not"));
  CHECK_THAT(complaint(R"({"schema": "x", "schema": "y"})"), Contains("schema: stands twice"));
  CHECK_THAT(complaint(std::string(100'000, '[')), Contains("holds a list"));
  CHECK_THAT(complaint(replaced(text, "\"cycles\"", "\"cycle\"")),
             Contains("a.trace: toy: cycles is missing"));
  CHECK_THAT(complaint(replaced(text, "\"cycles\": 1000", "\"cycles\": -1")),
             Contains("a.trace: toy: cycles: is no whole number"));
  CHECK_THAT(complaint(replaced(text, "\"tensor_core\"", "\"tensor_cores\"")),
             Contains("core_cycles: unknown key tensor_cores; did you mean tensor_core?"));
  CHECK_THAT(complaint(std::string((16 << 20) + 1, ' ')), Contains("too long"));
}

TEST_CASE("a report counts its cases and shows those that are not the same") {
  std::vector<CaseResult> results = {compared(measurement(), measurement()),
                                     compared(measurement(), slower())};
  results[1].trace = "b<|>.trace";
  results.emplace_back();
  results[2].trace = "c.trace";
  results[2].status = CaseStatus::failed;
  results[2].failure = "c.trace:3: wrong\n  in & detail \x01";
  results.emplace_back();
  results[3].trace = "d.trace";
  results[3].chip = "toy";
  results[3].status = CaseStatus::missing;
  results[3].was = measurement();

  CHECK(tally(results) == "4 cases: 1 same, 1 moved, 1 missing, 1 failed");
  const std::string table = regression_table(results);
  CHECK_THAT(table, Contains("1041          1000     +4.1 %"));
  CHECK_THAT(table, Contains("cycles of operations: gemm 600 -> 641 (+6.8 %)"));
  CHECK_THAT(table, Contains("trace and chip are the same: the simulator changed"));
  CHECK_THAT(table, !Contains("a.trace"));
  CHECK_THAT(table, !Contains("\x01"));

  const std::string markdown = regression_markdown(results, "nightly");
  CHECK_THAT(markdown, Contains("### nightly\n\n4 cases: 1 same"));
  CHECK_THAT(markdown,
             Contains("| b\\<\\|>.trace | toy | 1041 | 1000 | **+4.1 %** | +4.1 % cycles"));
  CHECK(regression_markdown({results[0]}, "t") == "### t\n\n1 case: 1 same\n");

  const std::string junit = regression_junit(results, "s");
  CHECK_THAT(junit, Contains("<testsuite name=\"s\" tests=\"4\" failures=\"2\" errors=\"1\">"));
  CHECK_THAT(junit, Contains("<testcase classname=\"a.trace\" name=\"toy\"/>"));
  CHECK_THAT(junit, Contains("<testcase classname=\"b&lt;|&gt;.trace\" name=\"toy\">"));
  CHECK_THAT(junit,
             Contains("<error type=\"failed\" message=\"c.trace:3: wrong   in &amp; detail ?"));

  const nlohmann::ordered_json json = regression_json(results, "dir");
  CHECK(json["passed"] == false);
  CHECK(json["counts"]["moved"] == 1);
  CHECK(json["cases"][1]["change_pct"].get<double>() == Approx(4.1));
  CHECK(json["cases"][1]["causes"][0]["name"] == "hbm");
  CHECK(json["cases"][3]["cycles"].is_null());
}

TEST_CASE("a change is put down to the trace, the chip or the simulator") {
  Measurement is = slower();
  const auto table = [&] { return regression_table({compared(measurement(), is)}); };
  CHECK_THAT(table(), Contains("the simulator changed"));
  is.chip_digest = "d";
  CHECK_THAT(table(), Contains("the chip's values changed"));
  is.trace_digest = "u";
  CHECK_THAT(table(), Contains("the trace and the chip's values changed"));
  is.chip_digest = "c";
  CHECK_THAT(table(), Contains("the trace changed"));
  // Digests alone fail nothing: numbers do.
  Measurement renamed = measurement();
  renamed.trace_digest = "u";
  CHECK(compared(measurement(), renamed).status == CaseStatus::same);
}
