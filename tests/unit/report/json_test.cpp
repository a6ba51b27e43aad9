#include "sim/report/json.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <set>
#include <sstream>

#include "sim/report/csv.h"
#include "sim/report/glossary.h"
#include "tests/unit/report/example_run.h"

using namespace tessera;
using tessera::test::example_run;
using Json = nlohmann::ordered_json;

namespace {

/// Keys of `json` as the glossary writes them.
std::set<std::string> keys(const Json& json, const std::string& prefix = "") {
  std::set<std::string> all;
  for (const auto& [key, value] : json.items()) {
    all.insert(prefix + key);
    if (prefix + key == "layers") {
      for (const Json& layer : value) {
        for (const auto& [layer_key, unused] : layer.items()) all.insert("layers." + layer_key);
        all.merge(keys(layer["error"], "layers.error."));
      }
    } else if (prefix + key == "activity") {
      for (const Json& section : value) all.merge(keys(section, "activity."));
    } else if (value.is_object()) {
      all.merge(keys(value, prefix + key + "."));
    }
  }
  return all;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) all.push_back(line);
  return all;
}

}  // namespace

TEST_CASE("the JSON has every agreed key") {
  const Json json = to_json(example_run());
  for (const char* key :
       {"schema",         "tool_version",    "chip",        "workload",
        "digest",         "cycles",          "time_us",     "clock_mhz",
        "flops",          "tflops",          "bound",       "tensor_core_utilization",
        "hbm_read_bytes", "hbm_write_bytes", "hbm_gbps",    "hbm_utilization",
        "l2_hit_rate",    "power_w",         "roofline_us", "stalls",
        "layers",         "precision",       "simulator"}) {
    INFO(key);
    CHECK(json.contains(key));
  }
  REQUIRE(json["layers"].size() == 2);
  for (const char* key : {"name", "op", "precision", "cycles", "time_us", "flops", "hbm_bytes",
                          "bound", "roofline_us", "error", "repeat", "stalls", "power_w"}) {
    INFO(key);
    CHECK(json["layers"][0].contains(key));
  }
  for (const char* key : {"wall_s", "events", "cycles_per_s", "peak_rss_bytes"}) {
    INFO(key);
    CHECK(json["simulator"].contains(key));
  }
  CHECK(json["layers"][0]["error"].is_object());
  CHECK(json["precision"].is_object());
}

TEST_CASE("the JSON carries the run's numbers") {
  const Json json = to_json(example_run());
  CHECK(json["cycles"] == 2500);
  CHECK(json["time_us"].get<double>() == Approx(2.5));
  CHECK(json["bound"] == "hbm");
  CHECK(json["layers"][1]["name"] == "norm");
  CHECK(json["layers"][1]["op"] == "rmsnorm");
  CHECK(json["layers"][1]["repeat"] == 3);
  CHECK(json["layers"][1]["cycles"] == 500);
  CHECK(json["layers"][1]["hbm_bytes"] == 4000);
  CHECK(json["simulator"]["cycles_per_s"].get<double>() == Approx(3000));
  double sum = 0;
  for (const auto& [cause, fraction] : json["stalls"].items()) sum += fraction.get<double>();
  CHECK(sum == 1.0);
  CHECK(json["stalls"].size() == cause_count);
}

TEST_CASE("the JSON carries what happened over time, in exact counts") {
  const Json json = to_json(example_run());
  REQUIRE(json["activity"].size() == 1);
  const Json& section = json["activity"][0];
  CHECK(section["section"] == "layer");
  CHECK(section["repeat"] == 3);
  CHECK(section["time_us"] == 0.5);
  CHECK(section["bin_us"] == 0.4);
  CHECK(section["hbm_read_bytes"] == Json::array({1500, 500}));
  CHECK(section["tensor_flops"] == Json::array({0, 70}));
  CHECK(section["energy_j"] == Json::array({0.375, 0.125}));
  REQUIRE(section["kernels"].size() == 1);
  CHECK(section["kernels"][0]["layer"] == 1);
  CHECK(section["kernels"][0]["start_us"] == 0.1);
  CHECK(section["kernels"][0]["time_us"] == 0.4);
}

TEST_CASE("stalls still sum to 1 after a round trip through text") {
  RunResult run = example_run();
  run.ops[0].core_cycles = {1, 3, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43};
  const Json json = Json::parse(to_json(run).dump());
  for (const Json& stalls : {json["stalls"], json["layers"][0]["stalls"]}) {
    double sum = 0;
    for (const auto& [cause, fraction] : stalls.items()) sum += fraction.get<double>();
    CHECK(sum == 1.0);
  }
}

TEST_CASE("the error of an operation that was studied is in the JSON and the CSV") {
  const Json json = to_json(example_run());
  const Json& error = json["layers"][0]["error"];
  CHECK(error["quantisation"]["rel_rmse"] == 0.03);
  CHECK(error["total"]["interval"] == Json::array({0.035, 0.045}));
  CHECK(error["propagated"]["sqnr_db"] == 26.0);
  CHECK(error["input"]["underflow"] == 0.25);
  CHECK(error["outputs"] == 4096);
  CHECK(error["sampled"] == 64);
  CHECK(json["layers"][1]["error"].empty());
  CHECK(json["precision"]["seed"] == 7);
  CHECK(json["precision"]["layer_output_error"] == 0.01);
  const std::vector<std::string> rows = lines(to_csv(example_run()));
  CHECK(rows[0].find(",error_total,error_propagated,error_sampled,stall_") != std::string::npos);
  CHECK(rows[1].find(",0.03,0.001,0.04,0.05,64,") != std::string::npos);
  CHECK(rows[2].find(",,,,,,") != std::string::npos);
  CHECK(to_json(RunResult{})["precision"].empty());
}

TEST_CASE("without the simulator part equal results give equal bytes") {
  RunResult other = example_run();
  other.simulator.wall_s = 99;
  other.simulator.peak_rss_bytes = 7;
  const std::string text = to_json(example_run(), SimulatorPart::leave_out).dump();
  CHECK(text == to_json(other, SimulatorPart::leave_out).dump());
  CHECK(text.find("simulator") == std::string::npos);
  CHECK(to_json(example_run()).dump() != to_json(other).dump());
}

TEST_CASE("an empty run is valid JSON with finite numbers") {
  const std::string text = to_json(RunResult{}).dump();
  CHECK(text.find("null") == std::string::npos);
  const Json json = Json::parse(text);
  CHECK(json["layers"].empty());
  CHECK(json["layers"].is_array());
  CHECK(json["time_us"] == 0.0);
}

TEST_CASE("the CSV has one row per operation under one header") {
  RunResult run = example_run();
  run.workload = "a \"quoted\", workload";
  const std::vector<std::string> rows = lines(to_csv(run));
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].rfind("chip,workload,name,op,precision,repeat,cycles,time_us,", 0) == 0);
  CHECK(rows[1].rfind("toy,\"a \"\"quoted\"\", workload\",mlp.up,linear,bf16,1,1000,1,", 0) == 0);
  run.workload = "plain";
  const std::vector<std::string> plain = lines(to_csv(run));
  const auto commas = [](const std::string& row) {
    return std::count(row.begin(), row.end(), ',');
  };
  CHECK(commas(plain[0]) == commas(plain[1]));
  CHECK(commas(plain[0]) == commas(plain[2]));
  CHECK(lines(to_csv(RunResult{})).size() == 1);
}

TEST_CASE("the glossary explains every key of the JSON, and nothing else") {
  std::set<std::string> explained;
  for (const NumberEntry& entry : glossary()) {
    INFO(entry.name);
    CHECK(explained.insert(entry.name).second);
    CHECK_FALSE(entry.sentence.empty());
  }
  RunResult run = example_run();
  run.policy.decided = true;
  CHECK(explained == keys(to_json(run)));
}

TEST_CASE("the glossary's text keeps to the width asked for") {
  for (const int width : {80, 100, 120})
    for (const std::string& line : lines(glossary_text(width)))
      CHECK(static_cast<int>(line.size()) <= width);
  CHECK_FALSE(glossary_text(-1).empty());
}

TEST_CASE("docs/report.md holds the current glossary") {
  std::ifstream file(TESSERA_SOURCE_DIR "/docs/report.md");
  std::ostringstream text;
  text << file.rdbuf();
  INFO("refresh the table with the output of `tessera list numbers --markdown`");
  CHECK(text.str().find("\n" + glossary_markdown() + "\n") != std::string::npos);
}
