#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

using namespace tessera::test;
using nlohmann::json;

namespace {

/// A folder with two traces and the baseline of them.
struct RegressionFolder : ScratchFolder {
  RegressionFolder() {
    lower("a.trace", "gemm m=128 n=128 k=128 dtype=bf16");
    std::filesystem::create_directory(path() / "deep");
    lower("deep/b.trace", "softmax rows=64 cols=64 dtype=bf16");
    REQUIRE(regress({"--update"}).status == 0);
  }
  void lower(const std::string& name, const std::string& op) const {
    REQUIRE(run({"lower", "--chip", "toy", "--op", op, "-o", *this / name}).status == 0);
  }
  Outcome regress(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"regress", path().string()});
    return run(more);
  }
  /// Changes the first `from` of the baseline.
  void edit(const std::string& from, const std::string& to) const {
    std::string text = read("baseline.json");
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    write("baseline.json", text.replace(at, from.size(), to));
  }
  json baseline() const { return json::parse(read("baseline.json")); }
};

}  // namespace

TEST_CASE("regress passes what has not moved, whatever the number of jobs") {
  const RegressionFolder folder;
  const Outcome one = folder.regress({"--jobs", "1"});
  CHECK(one.status == 0);
  CHECK(one.out == "2 cases: 2 same\n");
  CHECK(folder.regress({"--jobs", "8"}).out == one.out);
  const std::string before = folder.read("baseline.json");
  CHECK(folder.regress({"--update"}).status == 0);
  CHECK(folder.read("baseline.json") == before);
  CHECK(folder.names() == std::vector<std::string>{"a.trace", "baseline.json", "deep"});
}

TEST_CASE("regress fails where a trace takes another time, and says why") {
  const RegressionFolder folder;
  folder.lower("a.trace", "gemm m=128 n=128 k=256 dtype=bf16");
  const Outcome outcome = folder.regress({"--json", folder / "r.json", "--junit",
                                          folder / "junit.xml", "--markdown", folder / "r.md"});
  CHECK(outcome.status == 1);
  CHECK(contains(outcome.out, "2 cases: 1 same, 1 moved"));
  CHECK(contains(outcome.out, "a.trace"));
  CHECK(contains(outcome.out, "the trace changed"));
  CHECK_FALSE(contains(outcome.out, "deep/b.trace"));
  const json report = json::parse(folder.read("r.json"));
  CHECK(report["passed"] == false);
  REQUIRE(report["cases"].size() == 2);
  const json& moved = report["cases"][0];
  CHECK(moved["status"] == "moved");
  CHECK(moved["cycles"] > moved["cycles_was"]);
  // The causes' parts add up to the change of cycles.
  double sum = 0;
  for (const json& cause : moved["causes"]) {
    if (!cause["change_pct"].is_null()) sum += cause["change_pct"].get<double>();
  }
  CHECK(sum == Approx(moved["change_pct"].get<double>()));
  CHECK(contains(folder.read("junit.xml"), "failures=\"1\" errors=\"0\""));
  CHECK(contains(folder.read("r.md"), "| a.trace | toy |"));

  CHECK(folder.regress({"--tolerance", "1000"}).status == 0);
  CHECK(folder.regress({"--tolerance", "1000,cycles=0.1"}).status == 1);
  CHECK(folder.regress({"--update"}).status == 0);
  CHECK(folder.regress().status == 0);
}

TEST_CASE("a trace runs on every chip of its baseline, and a change of one is told apart") {
  const RegressionFolder folder;
  folder.write("mine.yaml", "base: toy\nname: mine\ndma: {latency_cycles: 4000}\n");
  folder.edit("\"toy\": {", "\"mine.yaml\": {}, \"toy\": {");
  const Outcome asked = folder.regress();
  CHECK(asked.status == 1);
  CHECK(contains(asked.out, "3 cases: 2 same, 1 added"));
  CHECK(folder.regress({"--update"}).status == 0);
  CHECK(folder.baseline()["traces"]["a.trace"]["mine.yaml"]["cycles"] >
        folder.baseline()["traces"]["a.trace"]["toy"]["cycles"]);
  folder.write("mine.yaml", "base: toy\nname: mine\ndma: {latency_cycles: 4001}\n");
  const Outcome changed = folder.regress();
  CHECK(changed.status == 1);
  CHECK(contains(changed.out, "the chip's values changed"));
  std::filesystem::remove(folder.path() / "mine.yaml");
  CHECK(contains(folder.regress().out, "1 failed"));
}

TEST_CASE("traces that are new, missing or unreadable fail without stopping the others") {
  const RegressionFolder folder;
  folder.lower("new.trace", "gelu rows=64 cols=64 dtype=bf16");
  const Outcome added = folder.regress();
  CHECK(added.status == 1);
  CHECK(contains(added.out, "3 cases: 2 same, 1 added"));
  CHECK(folder.regress({"--update"}).status == 0);
  CHECK(folder.baseline()["traces"].size() == 3);

  std::filesystem::remove(folder.path() / "new.trace");
  const Outcome missing = folder.regress();
  CHECK(missing.status == 1);
  CHECK(contains(missing.out, "3 cases: 2 same, 1 missing"));
  CHECK(folder.regress({"--update"}).status == 0);
  CHECK(folder.baseline()["traces"].size() == 2);

  folder.write("a.trace", "no trace\n");
  const Outcome failed = folder.regress({"--junit", "-"});
  CHECK(failed.status == 1);
  CHECK(contains(failed.out, "<error type=\"failed\" message=\""));
  CHECK(contains(failed.out, "<testcase classname=\"deep/b.trace\" name=\"toy\"/>"));
  const std::string before = folder.read("baseline.json");
  const Outcome update = folder.regress({"--update"});
  CHECK(update.status == 1);
  CHECK(contains(update.out, "is as it was"));
  CHECK(folder.read("baseline.json") == before);
}

TEST_CASE("a trace that blocks for ever is a failed case") {
  const RegressionFolder folder;
  const std::string deadlock =
      std::string(TESSERA_SOURCE_DIR) + "/tests/data/traces/deadlock.trace";
  std::filesystem::copy_file(deadlock, folder.path() / "deadlock.trace");
  const Outcome outcome = folder.regress();
  CHECK(outcome.status == 1);
  CHECK(contains(outcome.out, "3 cases: 2 same, 1 failed"));
  CHECK(contains(outcome.out, "deadlock"));
}

TEST_CASE("regress writes over no trace, no chip and no baseline of its folder") {
  const RegressionFolder folder;
  folder.write("base.yaml", "base: toy\n");
  folder.write("mine.yaml", "base: ./base.yaml\nname: mine\n");
  folder.edit("\"toy\": {", "\"mine.yaml\": {}, \"toy\": {");
  for (const char* name : {"a.trace", "deep/b.trace", "baseline.json", "mine.yaml", "base.yaml"}) {
    const std::string before = folder.read(name);
    for (const char* flag : {"--junit", "--markdown", "--json"}) {
      const Outcome outcome = folder.regress({flag, folder / name});
      INFO(flag << " " << name << "\n" << outcome.out << outcome.err);
      CHECK(outcome.status == 2);
      CHECK(contains(outcome.err, std::string(flag) + ": '" + (folder / name) +
                                      "' is also the input in DIR; choose another file"));
      CHECK(folder.regress({flag, folder / name, "--update"}).status == 2);
      CHECK(folder.read(name) == before);
    }
  }
  std::filesystem::remove(folder.path() / "baseline.json");
  CHECK(folder.regress({"--json", folder / "baseline.json"}).status == 2);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "baseline.json"));
}

TEST_CASE("a wrong folder, baseline or flag of regress is wrong input") {
  const RegressionFolder folder;
  const auto refused = [](const Outcome& outcome, const std::string& part) {
    INFO(outcome.out << outcome.err);
    CHECK(outcome.status == 2);
    CHECK(contains(outcome.err, part));
  };
  refused(run({"regress"}), "DIR: missing");
  refused(run({"regress", folder / "none"}), "is no folder");
  const ScratchFolder empty;
  refused(run({"regress", empty.path().string()}), "holds no traces");
  refused(folder.regress({"--tolerance", "cycle=1"}), "did you mean 'cycles'?");
  refused(folder.regress({"--tolerance", "1", "--update"}), "--tolerance: given with --update");
  refused(folder.regress({"--junit", folder / "none/x.xml"}), "--junit: cannot write");
  refused(folder.regress({"--junit", "-", "--json", "-"}), "two outputs go to '-'");
  refused(folder.regress({"--jobs", "0"}), "--jobs");
  // The advice can be followed: --update reads what it replaces.
  const std::string sound = folder.read("baseline.json");
  for (const char* wrong :
       {"{", "{\"schema\": \"other\", \"traces\": {}}", "{\"schema\": 1e999}"}) {
    folder.write("baseline.json", wrong);
    refused(folder.regress({"--update"}), "mend it, or delete it and write it anew with");
    CHECK(folder.read("baseline.json") == wrong);
  }
  std::filesystem::remove(folder.path() / "baseline.json");
  CHECK(folder.regress({"--update"}).status == 0);
  CHECK(folder.read("baseline.json") == sound);
  folder.edit("\"cycles\"", "\"cykles\"");
  refused(folder.regress(), "baseline.json: a.trace: toy: cycles is missing");
}
