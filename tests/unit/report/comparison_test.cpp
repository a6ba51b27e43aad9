#include "sim/report/comparison.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "sim/base/error.h"
#include "sim/report/csv.h"
#include "sim/report/json.h"
#include "tests/unit/report/example_run.h"

using namespace tessera;
using tessera::test::cycles_of;
using tessera::test::example_run;
using Json = nlohmann::ordered_json;

namespace {

/// A file of its own, removed at the end.
class SavedFile {
 public:
  explicit SavedFile(const std::string& text)
      : path_(std::filesystem::temp_directory_path() /
              ("tessera-report-" + std::to_string(getpid()) + "-" + std::to_string(++count))) {
    std::ofstream(path_) << text;
  }
  ~SavedFile() { std::filesystem::remove(path_); }
  SavedFile(const SavedFile&) = delete;
  SavedFile& operator=(const SavedFile&) = delete;
  std::string path() const { return path_.string(); }

 private:
  static inline int count = 0;
  std::filesystem::path path_;
};

SavedRun saved(const RunResult& run) {
  return read_saved_run(SavedFile(to_json(run).dump()).path());
}

std::string refusal(const std::string& text) {
  const SavedFile file(text);
  try {
    read_saved_run(file.path());
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

/// The norms, three executions in two layers, take 100 cycles more each, all waiting for HBM.
RunResult slower_run() {
  RunResult run = example_run();
  OpResult& norm = run.ops[1];
  norm.name = "layer[0].norm";
  norm.repeat = 2;
  norm.cycles += Cycles(100);
  cycles_of(norm, Cause::hbm) += 200;
  OpResult other = norm;
  other.name = "layer[1].norm";
  other.repeat = 1;
  run.ops.push_back(other);
  return run;
}

}  // namespace

TEST_CASE("a saved run says what the run said") {
  const RunResult run = example_run();
  const SavedRun read = saved(run);
  CHECK(read.json == to_json(run));
  CHECK(read.operations.size() == 2);
  CHECK(read.operations[1].total_us() == 1.5);
  CHECK(report_csv(read.json) == to_csv(run));
  const std::string text = to_text(read);
  for (const char* part : {"a gemm and three norms on toy", "2.50 us", "2500 at 1000 MHz", "mlp.up",
                           "hbm 90%", "waiting for data from DRAM"}) {
    INFO(part << " in\n" << text);
    CHECK(text.find(part) != std::string::npos);
  }
}

TEST_CASE("a report of before operations had a power is read, and the power follows") {
  const Json expected = to_json(example_run());
  Json json = expected;
  for (Json& layer : json["layers"]) layer.erase("power_w");
  json["layers"][1]["time_us"] = 0;
  const Json read = read_saved_run(SavedFile(json.dump()).path()).json;
  CHECK(read["layers"][0]["power_w"].get<double>() ==
        Approx(expected["layers"][0]["power_w"].get<double>()));
  CHECK(read["layers"][1]["power_w"] == 0);
}

TEST_CASE("what is no report of a run is refused with the reason") {
  CHECK(refusal("").find("it is no JSON object") != std::string::npos);
  CHECK(refusal("[1]").find("it is no JSON object") != std::string::npos);
  CHECK(refusal("{\"schema\":7}").find("schema: it is ''") != std::string::npos);
  CHECK(refusal("{\"schema\":\"tessera-sweep/1\"}").find("it is 'tessera-sweep/1'") !=
        std::string::npos);
  Json json = to_json(example_run());
  json.erase("power_w");
  CHECK(refusal(json.dump()).find("power_w") != std::string::npos);
  json = to_json(example_run());
  json["layers"][0]["cycles"] = "many";
  CHECK_FALSE(refusal(json.dump()).empty());
  json = to_json(example_run());
  json["layers"] = 7;
  CHECK_FALSE(refusal(json.dump()).empty());
  json = to_json(example_run());
  json["layers"][0]["stalls"] = {{"hbm", "x"}};
  CHECK_FALSE(refusal(json.dump()).empty());
  CHECK_THROWS_AS(read_saved_run("/no/such/file"), InputError);
  CHECK_THROWS_WITH(read_saved_run("/"), Catch::Contains("is a folder"));
}

TEST_CASE("a wrong key of a saved run is named, with what would be right") {
  const auto refused = [](const char* pointer, const Json& value) {
    Json json = to_json(example_run());
    json[Json::json_pointer(pointer)] = value;
    const std::string message = refusal(json.dump());
    CHECK(message.find("json.exception") == std::string::npos);
    return message.empty() ? message : message.substr(message.find(": ") + 2);
  };
  CHECK(refusal("{\"schema\":\"tessera-run/1\"}").find(": chip: is missing; write") !=
        std::string::npos);
  CHECK(refused("/chip", 7) == "chip: is no text; text in quotes");
  CHECK(refused("/cycles", -1) == "cycles: -1 is negative; a number from 0");
  CHECK(refused("/cycles", 0).empty());
  CHECK(refused("/cycles", 1.5) == "cycles: is no whole number; from 0 to 2^63 - 1");
  CHECK(refused("/cycles", std::uint64_t{1} << 63) ==
        "cycles: is no whole number; from 0 to 2^63 - 1");
  CHECK(refused("/time_us", -0.5) == "time_us: -0.5 is negative; a number from 0");
  CHECK(refused("/stalls", 3) == "stalls: is no object; keys with values in {}");
  CHECK(refused("/layers", Json::object()) == "layers: is no list; a list of the operations");
  CHECK(refused("/layers/1", 3) == "layers[1]: is no object; an operation with its numbers");
  CHECK(refused("/layers/1/power_w", -5) == "layers[1].power_w: -5 is negative; a number from 0");
  CHECK(refused("/layers/1/repeat", -2) == "layers[1].repeat: -2 is negative; a number from 0");
  CHECK(refused("/layers/0/stalls/hbm", nullptr) ==
        "layers[0].stalls.hbm: is no number; a number from 0");
  CHECK(refused("/layers/0/error", {{"total", 1}}) ==
        "layers[0].error.quantisation: is missing; write the report again with --json");
}

TEST_CASE("a comparison says by how much each operation's time changed, and for which cause") {
  RunResult before = example_run();
  before.ops[1].name = "layer.norm";
  const Comparison comparison = compare(saved(before), saved(slower_run()));
  REQUIRE(comparison.operations.size() == 2);
  // mlp.up is as it was; the norms of both layers are one operation, of 3 x 0.5 and 3 x 0.6 us.
  const OperationChange& gemm = comparison.operations[0];
  const OperationChange& norm = comparison.operations[1];
  CHECK(gemm.before.time_us == gemm.after.time_us);
  CHECK(norm.name == "layer.norm");
  CHECK(norm.before.time_us == Approx(1.5));
  CHECK(norm.after.time_us == Approx(1.8));
  const auto hbm = static_cast<std::size_t>(Cause::hbm);
  CHECK(norm.after.causes_us[hbm] - norm.before.causes_us[hbm] == Approx(0.3));
  for (std::size_t i = 0; i < cause_count; ++i) {
    if (i != hbm) CHECK(norm.after.causes_us[i] == Approx(norm.before.causes_us[i]).margin(1e-12));
  }
  CHECK(comparison.after_us[hbm] - comparison.before_us[hbm] == Approx(0.3));

  const std::string text = to_text(comparison);
  for (const char* part : {"layer.norm", "+20.0 %", "hbm +20.0 %", "+12.0 %"}) {
    INFO(part << " in\n" << text);
    CHECK(text.find(part) != std::string::npos);
  }
  const Json json = to_json(comparison);
  CHECK(json["schema"] == comparison_schema);
  CHECK(json["operations"][1]["change"].get<double>() == Approx(0.2));
  CHECK(json["figures"][0]["name"] == "time_us");
  CHECK(json["figures"][0]["after"].get<double>() == Approx(2.8));
  std::istringstream csv(to_csv(comparison));
  std::string header, row;
  std::getline(csv, header);
  std::getline(csv, row);
  CHECK(std::count(header.begin(), header.end(), ',') == std::count(row.begin(), row.end(), ','));
  CHECK(header.find(",change_hbm_us,") != std::string::npos);
}

TEST_CASE("operations that only one of the runs has are new or gone") {
  RunResult before = example_run(), after = example_run();
  after.ops[0].name = "mlp.gate";
  const Comparison comparison = compare(saved(before), saved(after));
  REQUIRE(comparison.operations.size() == 3);
  CHECK_FALSE(comparison.operations[0].after.present);
  CHECK_FALSE(comparison.operations[2].before.present);
  const std::string text = to_text(comparison);
  CHECK(text.find("gone") != std::string::npos);
  CHECK(text.find("new") != std::string::npos);
}
