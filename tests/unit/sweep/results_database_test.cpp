#include "sim/sweep/results_database.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "sim/sweep/results.h"
#include "sim/sweep/results_report.h"
#include "tests/support/scratch_folder.h"

namespace tessera {
namespace {

const DataFolders folders{{TESSERA_SOURCE_DIR "/configs/chips"}, {TESSERA_SOURCE_DIR "/models"}};

/// Of everything in the folder, hidden files included.
std::vector<std::string> names(const ScratchFolder& folder) {
  std::vector<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    all.push_back(entry.path().filename().string());
  return all;
}

/// A small sweep with its plan.
struct Example {
  explicit Example(const std::string& more = "", const std::string& version = "1.0")
      : sweep(parse_sweep("title: example\nchip: toy\nworkload: {op: gemm m=256 n=256 k=256 "
                          "dtype=bf16}\naxes: {l2.size_mib: [1, 2, 4]}\nmetrics: {area: 2 * "
                          "l2.size_mib}\n" +
                              more,
                          "s.yaml")),
        builder(sweep, folders),
        plan(make_plan(sweep, builder, version)) {}
  SweepFile sweep;
  PointBuilder builder;
  SweepPlan plan;
};

PointOutcome outcome(std::int64_t id, double time_us) {
  PointOutcome outcome;
  outcome.id = id;
  outcome.figures.bound = "hbm";
  outcome.figures.trace_digest = "t" + std::to_string(id);
  outcome.figures.metrics.assign(sweep_metrics().size(), 0.1 * static_cast<double>(id));
  outcome.figures.metrics[0] = time_us;
  outcome.own_metrics = {7};
  PointOperation op;
  op.name = "gemm";
  op.time_us = time_us / 3;
  op.cycles = 123;
  outcome.figures.operations = {op, op};
  return outcome;
}

std::string refusal(const std::function<void()>& act) {
  try {
    act();
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("a new database holds every point, pending, and reads back what is stored") {
  const ScratchFolder scratch;
  const std::string path = scratch.path() + "/r.db";
  const Example example;
  ResultsDatabase database = ResultsDatabase::create(path, example.sweep, example.plan);
  CHECK(database.open_points(false) == std::vector<std::int64_t>{1, 2, 3});
  database.store({outcome(3, 1.0 / 3), outcome(1, 1e-30)});
  PointOutcome failed;
  failed.id = 2;
  failed.status = PointStatus::timeout;
  failed.message = "took longer";
  database.store({failed});
  CHECK(database.open_points(false).empty());
  CHECK(database.open_points(true) == std::vector<std::int64_t>{2});
  CHECK(database.count(PointStatus::done) == 2);

  const SweepResults results = read_results(path);
  CHECK(results.title == "example");
  REQUIRE(results.points.size() == 3);
  CHECK(results.points[0].numbers[results.column("time_us")] == 1e-30);
  CHECK(results.points[2].numbers[results.column("time_us")] == 1.0 / 3);
  CHECK(results.points[2].numbers[results.column("area")] == 7);
  CHECK(results.points[2].numbers[results.column("l2.size_mib")] == 4);
  CHECK(results.points[1].status == PointStatus::timeout);
  CHECK(results.points[1].message == "took longer");
  CHECK(std::isnan(results.points[1].numbers[results.column("time_us")]));
  CHECK(results.points[0].on_front);
  CHECK(read_operations(path, 3).size() == 2);
  CHECK(read_operations(path, 3)[1].time_us == 1.0 / 9);
  CHECK(std::isnan(read_operations(path, 3)[1].error_total));
  CHECK(read_operations(path, 2).empty());
  CHECK(is_results_file(path));
}

TEST_CASE("only the finished file appears, and an existing one is refused") {
  const ScratchFolder scratch;
  const std::string path = scratch.path() + "/r.db";
  const Example example;
  { ResultsDatabase::create(path, example.sweep, example.plan); }
  CHECK(names(scratch) == std::vector<std::string>{"r.db"});
  CHECK(refusal([&] { ResultsDatabase::create(path, example.sweep, example.plan); }) ==
        path + ": exists; go on with --resume, or give another file");
  const std::string missing = scratch.path() + "/no/r.db";
  CHECK(refusal([&] {
          ResultsDatabase::create(missing, example.sweep, example.plan);
        }).find(missing + ": there is no folder") == 0);
}

TEST_CASE("another sweep's database is refused with what differs") {
  const ScratchFolder scratch;
  const std::string path = scratch.path() + "/r.db";
  const Example example;
  { ResultsDatabase::create(path, example.sweep, example.plan); }
  const auto opened = [&](const Example& other) {
    return refusal([&] { ResultsDatabase::open(path, other.sweep, other.plan); });
  };
  CHECK(opened(example) == "accepted");
  CHECK(opened(Example("set: {hbm.bandwidth_gbps: 50}\n"))
            .find("holds another sweep than s.yaml: its chip, workload or settings differ") !=
        std::string::npos);
  CHECK(opened(Example("skip_if: l2.size_mib > 2\n")).find("it has 3 points, not 2") !=
        std::string::npos);
  CHECK(opened(Example("", "2.0")).find("it was made by version 1.0 of the program, this is 2.0") !=
        std::string::npos);
}

TEST_CASE("what is no database of a sweep is refused") {
  const ScratchFolder scratch;
  const std::string text = scratch.write("t.db", "just some text that is long enough to be read\n");
  CHECK(refusal([&] { read_results(text); }).find("t.db: file is not a database") !=
        std::string::npos);
  CHECK_FALSE(is_results_file(text));
  const std::string other = scratch.path() + "/o.db";
  SqliteFile(other, SqliteFile::Mode::create).execute("CREATE TABLE t (x)");
  CHECK(refusal([&] { read_results(other); }).find("not a database of `tessera sweep`") !=
        std::string::npos);
  CHECK(refusal([&] { read_results(scratch.path() + "/none.db"); }).find("no such file") !=
        std::string::npos);
}

TEST_CASE("a merge takes what is pending here, once, and only from the same sweep") {
  const ScratchFolder scratch;
  const Example example;
  ResultsDatabase whole =
      ResultsDatabase::create(scratch.path() + "/w.db", example.sweep, example.plan);
  whole.store({outcome(1, 10)});
  {
    ResultsDatabase part =
        ResultsDatabase::create(scratch.path() + "/p.db", example.sweep, example.plan);
    part.store({outcome(1, 99), outcome(3, 30)});
  }
  CHECK(whole.merge(scratch.path() + "/p.db") == 1);
  CHECK(whole.merge(scratch.path() + "/p.db") == 0);
  const SweepResults results = read_results(scratch.path() + "/w.db");
  CHECK(results.points[0].numbers[results.column("time_us")] == 10);
  CHECK(results.points[2].numbers[results.column("time_us")] == 30);
  CHECK(results.points[1].status == PointStatus::pending);
  CHECK(read_operations(scratch.path() + "/w.db", 3).size() == 2);

  const Example other("set: {hbm.bandwidth_gbps: 50}\n");
  { ResultsDatabase::create(scratch.path() + "/o.db", other.sweep, other.plan); }
  CHECK(refusal([&] { whole.merge(scratch.path() + "/o.db"); }).find("holds another sweep") !=
        std::string::npos);
}

TEST_CASE("points that are done can be found by digest") {
  const ScratchFolder scratch;
  const Example example;
  {
    ResultsDatabase database =
        ResultsDatabase::create(scratch.path() + "/r.db", example.sweep, example.plan);
    database.store({outcome(2, 20)});
  }
  const auto done = ResultsDatabase::done_points(scratch.path() + "/r.db");
  REQUIRE(done.size() == 1);
  const PointOutcome& found = done.at(example.plan.digests[1]);
  CHECK(found.figures.metrics[0] == 20);
  CHECK(found.figures.trace_digest == "t2");
  CHECK(found.figures.operations.size() == 2);
}

TEST_CASE("a lock is held once, given back, and leaves no file") {
  const ScratchFolder scratch;
  const std::string path = scratch.path() + "/r.db";
  {
    const DatabaseLock lock(path);
    CHECK(names(scratch) == std::vector<std::string>{"r.db.lock"});
  }
  CHECK(names(scratch).empty());
  CHECK_NOTHROW(DatabaseLock(path));
  CHECK(refusal([&] { DatabaseLock(scratch.path() + "/no/r.db"); }).find("cannot be written") !=
        std::string::npos);
}

TEST_CASE("the report and its exports say the same, and a missing number is missing") {
  const ScratchFolder scratch;
  const Example example;
  {
    ResultsDatabase database =
        ResultsDatabase::create(scratch.path() + "/r.db", example.sweep, example.plan);
    PointOutcome failed;
    failed.id = 2;
    failed.status = PointStatus::crashed;
    failed.message = "its process was killed by signal 11, \"really\"";
    database.store({outcome(1, 12.5), failed});
  }
  const SweepResults results = read_results(scratch.path() + "/r.db");
  const std::string text = results_text(results);
  CHECK(text.find("3 points: 1 done, 1 crashed, 1 pending (tessera 1.0)") != std::string::npos);
  CHECK(text.find("2 crashed: its process was killed by signal 11") != std::string::npos);
  CHECK(text.find("12.5") != std::string::npos);

  const auto json = results_json(results);
  CHECK(json["schema"] == results_schema);
  CHECK(json["points"][0]["time_us"] == 12.5);
  CHECK(json["points"][0]["pareto"] == true);
  CHECK(json["points"][1]["time_us"].is_null());

  const std::string csv = results_csv(results);
  CHECK(csv.find("id,status,message,bound,pareto,l2.size_mib,time_us,") == 0);
  CHECK(csv.find("\n1,done,,hbm,1,1,12.5,") != std::string::npos);
  CHECK(csv.find("\n2,crashed,\"its process was killed by signal 11, \"\"really\"\"\",,0,2,,") !=
        std::string::npos);

  std::istringstream lines(results_jsonl(results));
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    CHECK(nlohmann::json::parse(line).size() == json["points"][0].size());
  CHECK(count == 3);
}

TEST_CASE("a database is locked beside the file itself, whatever link leads to it") {
  const ScratchFolder scratch;
  const std::string path = scratch.path() + "/r.db", link = scratch.path() + "/link.db";
  const Example example;
  ResultsDatabase::create(path, example.sweep, example.plan);
  std::filesystem::create_symlink(path, link);
  {
    const DatabaseLock lock(link);
    CHECK(std::filesystem::exists(path + ".lock"));
    CHECK_FALSE(std::filesystem::exists(link + ".lock"));
  }
  CHECK_FALSE(std::filesystem::exists(path + ".lock"));
}

}  // namespace
}  // namespace tessera
