#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

using namespace tessera::test;
using nlohmann::json;

namespace {

constexpr const char* rows =
    "op,dtype,ranks,bytes,measured_us\n"
    "allgather,bf16,2,1024,9\nallgather,bf16,4,1024,11\nallgather,bf16,8,1024,15\n"
    "allgather,bf16,8,65536,20\nallreduce,bf16,8,1024,21\nallreduce,bf16,4,1024,14\n";

std::vector<std::string> calibration(const std::string& table, const std::string& to) {
  return {"calibrate",
          "--chip",
          "h100-sxm",
          "--measured",
          table,
          "-o",
          to,
          "--fit",
          "collective.start_us",
          "--fit",
          "link.latency_us",
          "--folds",
          "2",
          "--evaluations",
          "30"};
}

}  // namespace

TEST_CASE("calibrate writes a chip that validate finds closer, and says what it was fitted to") {
  const ScratchFolder folder;
  const std::string table = folder.write("rows.csv", rows), to = folder / "mine.yaml";
  const Outcome outcome = run(calibration(table, to));
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.status == 0);
  CHECK(contains(outcome.out, "held out"));
  const std::string yaml = folder.read("mine.yaml");
  CHECK(contains(yaml, "base: h100-sxm"));
  CHECK(contains(yaml, "rows.csv (6 rows)"));
  CHECK(contains(yaml, "# fitted; was 3.65, searched from 1 to 8"));
  const auto mape = [&](const std::string& chip) {
    const json report =
        json::parse(run({"validate", "--chip", chip, "--measured", table, "--json", "-"}).out);
    return report["classes"][0]["mape"].get<double>();
  };
  CHECK(mape(to) < mape("h100-sxm"));

  // A calibrated chip can be calibrated again; its base is found from the new file's folder.
  std::vector<std::string> again = calibration(table, folder / "again.yaml");
  again[2] = to;
  again.insert(again.end(), {"--json", folder / "again.json", "--set", "launch.gap_us=1.5"});
  REQUIRE(run(again).status == 0);
  CHECK(contains(folder.read("again.yaml"), "base: ./mine.yaml"));
  CHECK(contains(folder.read("again.yaml"), "gap_us: 1.5  # given by --set"));
  CHECK(json::parse(folder.read("again.json"))["error_after"]["n"] == 6);
  CHECK(run({"validate", "--chip", folder / "again.yaml", "--measured", table}).status == 0);
}

TEST_CASE("calibrate notes what speaks against its values, as text, JSON and in the chip file") {
  const ScratchFolder folder;
  const std::string table = folder.write("rows.csv", rows), to = folder / "mine.yaml";
  std::vector<std::string> arguments = calibration(table, to);
  std::replace(arguments.begin(), arguments.end(), std::string("2"), std::string("7"));
  std::replace(arguments.begin(), arguments.end(), std::string("30"), std::string("3"));
  arguments.insert(arguments.end(), {"--json", folder / "mine.json"});
  const Outcome outcome = run(arguments);
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.status == 0);
  CHECK(contains(outcome.out, "  held out  "));
  const json notes = json::parse(folder.read("mine.json"))["notes"];
  REQUIRE(notes.size() >= 2);
  for (const json& note : notes) {
    CHECK(contains(outcome.out, "\n  note: " + note.get<std::string>() + "\n"));
    CHECK(contains(folder.read("mine.yaml"), "\n#   note: " + note.get<std::string>() + "\n"));
  }
  CHECK(contains(outcome.out, "there are 6 rows: the cross-validation has 6 folds, not 7"));
  CHECK(contains(outcome.out, "3 evaluations are fewer than the 5"));
}

TEST_CASE("calibrate refuses what it cannot fit and writes nothing") {
  const ScratchFolder folder;
  const std::string table = folder.write("rows.csv", rows), to = folder / "mine.yaml";
  const auto refused = [&](const std::vector<std::string>& more, const std::string& why) {
    std::vector<std::string> arguments = calibration(table, to);
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run(arguments);
    INFO(outcome.err);
    CHECK(outcome.status == 2);
    CHECK(contains(outcome.err, why));
    CHECK(folder.names() == std::vector<std::string>{"rows.csv"});
  };
  refused({"--fit", "core.cuont"}, "did you mean 'core.count'?");
  refused({"--fit", "link.latency_us"}, "stands twice");
  refused({"--folds", "1"}, "--folds");
  refused({"--measured", folder / "none.csv"}, "none.csv");
  CHECK(run({"calibrate", "--chip", "h100-sxm", "--measured", table}).status == 2);
  CHECK(run({"calibrate", "--chip", "h100-sxm", "-o", to}).status == 2);
}
