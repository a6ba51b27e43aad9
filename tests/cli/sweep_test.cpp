#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/cli/program.h"

// Sweeps as their users run them, and what becomes of the results when something goes wrong.

namespace tessera::test {
namespace {

const std::string small = R"(title: small
chip: toy
workload: {op: gemm m=128 n=128 k=128 dtype=bf16}
axes:
  l2.size_mib: [1, 2, 4]
  hbm.bandwidth_gbps: {from: 50, to: 200, steps: 4}
metrics: {area: l2.size_mib * 3}
objectives: {time_us: min, area: min}
)";

/// Points that take some tenths of a second each: time to interfere.
const std::string slow = R"(chip: h100-sxm
workload: {op: gemm m=4096 n=4096 k=4096 dtype=bf16}
axes: {hbm.bandwidth_gbps: {from: 1000, to: 4000, steps: 8}}
)";

/// Waits for something that another process does; false after a minute.
bool eventually(const std::function<bool()>& happened) {
  for (int i = 0; i < 6000; ++i) {
    if (happened()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

std::string exported(const std::string& database) {
  const Outcome outcome = run({"report", database, "--jsonl", "-"});
  CHECK(outcome.status == 0);
  return outcome.out;
}

std::size_t done_points(const std::string& database) {
  const std::string lines = exported(database);
  std::size_t done = 0;
  for (std::size_t at = 0; (at = lines.find("\"status\":\"done\"", at)) != std::string::npos; ++at)
    ++done;
  return done;
}

/// Processes whose parent is `parent`.
std::vector<int> children_of(int parent) {
  std::vector<int> children;
  std::ifstream list("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) +
                     "/children");
  for (int child = 0; list >> child;) children.push_back(child);
  return children;
}

TEST_CASE("a sweep writes one file, and the report shows its front and sensitivities") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", small);
  const Outcome sweep = run({"sweep", file, "--out", folder / "r.db"});
  CHECK(sweep.status == 0);
  CHECK(contains(sweep.out, "12 of 12 points done"));
  CHECK(folder.names() == std::vector<std::string>{"r.db", "s.yaml"});
  const Outcome report = run({"report", folder / "r.db", "--json", folder / "r.json"});
  CHECK(report.status == 0);
  CHECK(contains(report.out, "Pareto front (least time_us, least area)"));
  CHECK(contains(report.out, "Sensitivities"));
  const auto json = nlohmann::json::parse(folder.read("r.json"));
  REQUIRE(json["points"].size() == 12);
  CHECK(json["points"][11]["l2.size_mib"] == 4);
  CHECK(json["points"][11]["hbm.bandwidth_gbps"] == 200);
  CHECK(json["points"][11]["area"] == 12);
  // The simulation is that of `run`.
  const Outcome one =
      run({"run", "--chip", "toy", "--op", "gemm m=128 n=128 k=128 dtype=bf16", "--set",
           "l2.size_mib=4", "--set", "hbm.bandwidth_gbps=200", "--no-precision", "--json", "-"});
  CHECK(nlohmann::json::parse(one.out)["cycles"] == json["points"][11]["cycles"]);
}

TEST_CASE("what a sweep finds does not depend on how many points run at a time") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", small);
  CHECK(run({"sweep", file, "--out", folder / "1.db", "--jobs", "1"}).status == 0);
  CHECK(run({"sweep", file, "--out", folder / "4.db", "--jobs", "4"}).status == 0);
  CHECK(exported(folder / "1.db") == exported(folder / "4.db"));
}

TEST_CASE("a sweep killed at any moment is resumed to the same content") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", slow);
  CHECK(run({"sweep", file, "--out", folder / "whole.db"}).status == 0);
  {
    Program program({"sweep", file, "--out", folder / "r.db", "--jobs", "2"});
    REQUIRE(eventually([&] { return std::filesystem::exists(folder / "r.db"); }));
    program.send(SIGKILL);
    CHECK(program.finish().status == -SIGKILL);
  }
  for (int kills = 0; kills < 3; ++kills) {
    const std::size_t before = done_points(folder / "r.db");
    Program program({"sweep", file, "--out", folder / "r.db", "--resume", "--jobs", "2"});
    CHECK(eventually([&] { return done_points(folder / "r.db") > before; }));
    const std::vector<int> points = children_of(program.id());
    program.send(SIGKILL);
    program.finish();
    // Nothing that it started goes on.
    CHECK(eventually([&] {
      for (const int child : points)
        if (kill(child, 0) == 0 && !children_of(child).empty()) return false;
      return true;
    }));
    if (done_points(folder / "r.db") == 8) break;
  }
  const Outcome rest = run({"sweep", file, "--out", folder / "r.db", "--resume"});
  CHECK(rest.status == 0);
  CHECK(exported(folder / "r.db") == exported(folder / "whole.db"));
  CHECK(folder.names() == std::vector<std::string>{"r.db", "s.yaml", "whole.db"});
  const Outcome again = run({"sweep", file, "--out", folder / "r.db", "--resume"});
  CHECK(contains(again.out, "8 of 8 points done; 0 in"));
}

TEST_CASE("a sweep that is asked to stop ends with 130 and can be resumed") {
  for (const int signal : {SIGINT, SIGTERM}) {
    const ScratchFolder folder;
    const std::string file = folder.write("s.yaml", slow);
    Program program({"sweep", file, "--out", folder / "r.db", "--jobs", "1"});
    REQUIRE(eventually([&] {
      return std::filesystem::exists(folder / "r.db") && !children_of(program.id()).empty();
    }));
    // As a terminal does: to the program and to what it has started.
    for (const int child : children_of(program.id())) kill(child, signal);
    program.send(signal);
    const Outcome outcome = program.finish();
    CHECK(outcome.status == 130);
    CHECK(contains(outcome.out, "pending"));
    CHECK_FALSE(contains(outcome.out, "crashed"));
    CHECK(folder.names() == std::vector<std::string>{"r.db", "s.yaml"});
    CHECK(run({"sweep", file, "--out", folder / "r.db", "--resume"}).status == 0);
    CHECK(done_points(folder / "r.db") == 8);
  }
}

TEST_CASE("a point whose process dies is recorded, and the others go on") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", slow);
  Program program({"sweep", file, "--out", folder / "r.db", "--jobs", "1"});
  REQUIRE(eventually([&] { return !children_of(program.id()).empty(); }));
  kill(children_of(program.id())[0], SIGSEGV);
  const Outcome outcome = program.finish();
  CHECK(outcome.status == 0);
  CHECK(contains(outcome.out, "7 of 8 points done, 1 crashed"));
  const Outcome report = run({"report", folder / "r.db"});
  CHECK(contains(report.out, "crashed: its process was killed by signal 11"));
  CHECK(run({"sweep", file, "--out", folder / "r.db", "--resume"}).status == 0);
  CHECK(done_points(folder / "r.db") == 7);  // as it is recorded
  CHECK(run({"sweep", file, "--out", folder / "r.db", "--resume", "--retry"}).status == 0);
  CHECK(done_points(folder / "r.db") == 8);
}

TEST_CASE("a point that takes too long or too much memory is recorded, and the others go on") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", R"(chip: h100-sxm
axes:
  op: [gemm m=128 n=128 k=128 dtype=bf16, gemm m=60000 n=60000 k=60000 dtype=bf16]
limits: {timeout_s: 3}
)");
  const Outcome late = run({"sweep", file, "--out", folder / "r.db"});
  CHECK(late.status == 0);
  CHECK(contains(late.out, "1 of 2 points done, 1 timeout"));
  CHECK(contains(exported(folder / "r.db"), "took longer than 3 s"));
#ifndef __SANITIZE_ADDRESS__  // it takes all the address space there is
  const std::string large = folder.write("m.yaml", R"(chip: toy
workload: {op: gemm m=128 n=128 k=128 dtype=bf16}
axes: {core.count: [2, 65536]}
limits: {memory_mib: 60}
)");
  const Outcome outcome = run({"sweep", large, "--out", folder / "m.db"});
  CHECK(outcome.status == 0);
  CHECK(contains(outcome.out, "1 of 2 points done, 1 out-of-memory"));
  CHECK(contains(exported(folder / "m.db"), "wanted more than 60 MiB of memory"));
#endif
}

TEST_CASE("a point that makes no chip is invalid, and says why") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", R"(chip: toy
workload: {op: gemm m=128 n=128 k=128 dtype=bf16}
axes: {clock.min_mhz: [100, 90000]}
)");
  const Outcome outcome = run({"sweep", file, "--out", folder / "r.db"});
  CHECK(outcome.status == 0);
  CHECK(contains(outcome.out, "1 of 2 points done, 1 invalid"));
  CHECK(contains(run({"report", folder / "r.db"}).out, "2 invalid: clock.min_mhz: 90000 is above"));
}

TEST_CASE("a database that exists, is another sweep's or is in use is refused") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", small);
  CHECK(run({"sweep", file, "--out", folder / "r.db"}).status == 0);
  const Outcome again = run({"sweep", file, "--out", folder / "r.db"});
  CHECK(again.status == 2);
  CHECK(again.err == folder / "r.db" + ": exists; go on with --resume, or give another --out\n");

  const std::string other = folder.write("o.yaml", slow);
  const Outcome wrong = run({"sweep", other, "--out", folder / "r.db", "--resume"});
  CHECK(wrong.status == 2);
  CHECK(contains(wrong.err, "holds another sweep than"));
  CHECK(
      contains(wrong.err, "its axes are l2.size_mib, hbm.bandwidth_gbps, not hbm.bandwidth_gbps"));

  const std::string text = folder.write("t.db", "no database, but some text\n");
  const Outcome none = run({"sweep", file, "--out", text, "--resume"});
  CHECK(none.status == 2);
  CHECK(contains(none.err, "t.db: file is not a database"));
  CHECK(folder.read("t.db") == "no database, but some text\n");

  Program first({"sweep", other, "--out", folder / "l.db"});
  REQUIRE(eventually([&] { return std::filesystem::exists(folder / "l.db"); }));
  const Outcome second = run({"sweep", other, "--out", folder / "l.db", "--resume"});
  CHECK(second.status == 2);
  CHECK(contains(second.err, "another sweep (process " + std::to_string(first.id()) + ")"));
  CHECK(first.finish().status == 0);
  CHECK(done_points(folder / "l.db") == 8);
}

TEST_CASE("a place that cannot be written is refused before anything runs") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", small);
  const Outcome missing = run({"sweep", file, "--out", folder / "no/r.db"});
  CHECK(missing.status == 2);
  CHECK(contains(missing.err, "no/r.db: cannot be written: No such file or directory"));
  const Outcome unwritable = run({"sweep", file, "--out", "/proc/r.db"});
  CHECK(unwritable.status == 2);
  CHECK(contains(unwritable.err, "/proc/r.db: cannot be written"));
  CHECK(run({"sweep", folder / "none.yaml", "--out", folder / "r.db"}).status == 2);
  CHECK(run({"sweep", file}).status == 2);
  CHECK(folder.names() == std::vector<std::string>{"s.yaml"});
}

TEST_CASE("a full disk ends the sweep with what is stored, and it can be resumed") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", R"(chip: toy
workload: {op: gemm m=128 n=128 k=128 dtype=bf16}
axes: {hbm.bandwidth_gbps: {from: 50, to: 200, steps: 40}}
)");
  ProgramOptions full;
  full.file_bytes = 8192;
  const Outcome none = run({"sweep", file, "--out", folder / "r.db"}, full);
  CHECK(none.status == 2);
  CHECK(contains(none.err, folder / "r.db" + ": "));
  CHECK(folder.names() == std::vector<std::string>{"s.yaml"});

  // Large enough for the plan, too small for the results.
  {
    Program program({"sweep", file, "--out", folder / "r.db", "--jobs", "1"});
    REQUIRE(eventually([&] { return std::filesystem::exists(folder / "r.db"); }));
    program.send(SIGKILL);
    program.finish();
  }
  full.file_bytes = static_cast<std::int64_t>(std::filesystem::file_size(folder / "r.db"));
  const Outcome some = run({"sweep", file, "--out", folder / "r.db", "--resume"}, full);
  CHECK(some.status == 2);
  CHECK(contains(some.err, "--resume goes on"));
  CHECK(run({"sweep", file, "--out", folder / "whole.db"}).status == 0);
  CHECK(run({"sweep", file, "--out", folder / "r.db", "--resume"}).status == 0);
  CHECK(exported(folder / "r.db") == exported(folder / "whole.db"));
}

TEST_CASE("the parts of a sweep are merged to the whole, once") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", small);
  CHECK(run({"sweep", file, "--out", folder / "whole.db"}).status == 0);
  for (const char* shard : {"1/3", "2/3", "3/3"}) {
    const std::string part = folder / (std::string(shard, 1) + ".db");
    const Outcome outcome = run({"sweep", file, "--out", part, "--shard", shard});
    CHECK(outcome.status == 0);
    CHECK(contains(outcome.out, "4 of 4 points done"));
    CHECK(contains(run({"report", part}).out, "4 of 12 points: 4 done"));
  }
  const Outcome merged = run({"sweep", file, "--out", folder / "m.db", "--merge", folder / "1.db",
                              "--merge", folder / "3.db"});
  CHECK(merged.status == 0);
  CHECK(contains(merged.out, "8 of 12 points done, 4 pending; 8 in"));
  CHECK(run({"sweep", file, "--out", folder / "m.db", "--resume", "--merge", folder / "2.db",
             "--merge", folder / "2.db"})
            .status == 0);
  CHECK(exported(folder / "m.db") == exported(folder / "whole.db"));

  CHECK(run({"sweep", file, "--out", folder / "x.db", "--shard", "4/3"}).status == 2);
  CHECK(run({"sweep", file, "--out", folder / "x.db", "--shard", "2"}).status == 2);
  CHECK(run({"sweep", file, "--out", folder / "x.db", "--shard", "13/13"}).status == 2);
}

TEST_CASE("a part of a sweep is resumed as that part, and never taken for another or the whole") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", small);
  const std::string part = folder / "part.db";
  CHECK(run({"sweep", file, "--out", part, "--shard", "1/2"}).status == 0);
  for (const std::vector<std::string>& other : {std::vector<std::string>{"--shard", "2/2"},
                                                {"--shard", "1/3"},
                                                {"--points", folder.write("ids", "2\n4\n")},
                                                {}}) {
    std::vector<std::string> words = {"sweep", file, "--out", part, "--resume"};
    words.insert(words.end(), other.begin(), other.end());
    const Outcome outcome = run(words);
    CHECK(outcome.status == 2);
    CHECK(contains(outcome.err, "is a part of the sweep, 6 of its 12 points"));
  }
  CHECK(run({"sweep", file, "--out", part, "--resume", "--shard", "1/2"}).status == 0);
  // The same part by its ids, in whatever order.
  const std::string ids = folder.write("same", "11\n1\n3\n5\n7\n9\n3\n");
  CHECK(run({"sweep", file, "--out", part, "--resume", "--points", ids}).status == 0);
  CHECK(run({"sweep", file, "--out", folder / "whole.db"}).status == 0);
  CHECK(
      contains(run({"sweep", file, "--out", folder / "whole.db", "--resume", "--shard", "1/2"}).err,
               "holds the whole sweep"));
}

TEST_CASE("a wrong flag leaves no database behind") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", small);
  const std::string out = folder / "r.db";
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"--jobs", "0"},
                                                {"--merge", folder / "none.db"},
                                                {"--shard", "9"}}) {
    std::vector<std::string> words = {"sweep", file, "--out", out};
    words.insert(words.end(), wrong.begin(), wrong.end());
    CHECK(run(words).status == 2);
    CHECK_FALSE(std::filesystem::exists(out));
  }
}

TEST_CASE("neither the database nor the summary goes over what a sweep reads") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", small);
  const std::string out = folder / "r.db";
  CHECK(run({"sweep", file, "--out", out}).status == 0);
  const std::string before = exported(out);
  CHECK(run({"sweep", file, "--out", out, "--resume", "--json", out}).status == 2);
  CHECK(run({"sweep", file, "--out", folder / "n.db", "--json", folder / "n.db"}).status == 2);
  CHECK(run({"sweep", file, "--out", folder / "n.db", "--json", file}).status == 2);
  CHECK(run({"sweep", file, "--out", out, "--resume", "--merge", out}).status == 2);
  CHECK(run({"sweep", file, "--out", out, "--resume", "--cache", out}).status == 2);
  CHECK(exported(out) == before);
  CHECK_FALSE(std::filesystem::exists(folder / "n.db"));
  CHECK(run({"sweep", file, "--out", folder / "n.db"}).status == 0);
}

TEST_CASE("a folder of files that no sweep wrote is not taken for a job's") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", small);
  std::filesystem::create_directory(folder / "r.db.tasks");
  const std::string kept = folder.write("r.db.tasks/thesis.txt", "precious");
  const Outcome outcome = run({"sweep", file, "--out", folder / "r.db", "--executor", "slurm"});
  CHECK(outcome.status == 2);
  CHECK(contains(outcome.err, "has thesis.txt, which no sweep wrote"));
  CHECK(std::filesystem::exists(kept));
  CHECK_FALSE(std::filesystem::exists(folder / "r.db"));
}

TEST_CASE("equal points run once, within a sweep and with the cache of another") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", R"(chip: toy
workload: {op: gemm m=128 n=128 k=128 dtype=bf16}
axes: {l2.size_mib: [1, 2, 1, 1]}
)");
  const Outcome first = run({"sweep", file, "--out", folder / "1.db"});
  CHECK(contains(first.out, "4 of 4 points done; 4 in"));
  CHECK(contains(first.out, "(2 from equal points)"));
  const std::string more = folder.write("m.yaml", R"(chip: toy
workload: {op: gemm m=128 n=128 k=128 dtype=bf16}
axes: {l2.size_mib: [1, 2, 4]}
metrics: {area: l2.size_mib}
)");
  const Outcome second = run({"sweep", more, "--out", folder / "2.db", "--cache", folder / "1.db"});
  CHECK(contains(second.out, "(2 from equal points)"));
  CHECK(run({"sweep", more, "--out", folder / "3.db"}).status == 0);
  CHECK(exported(folder / "2.db") == exported(folder / "3.db"));
}

TEST_CASE("the error of each point is studied where an objective asks for it") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", R"(chip: h100-sxm
axes:
  op: [linear m=64 n=256 k=256 dtype=bf16, linear m=64 n=256 k=256 dtype=fp8]
objectives: {time_us: min, error: min}
)");
  CHECK(run({"sweep", file, "--out", folder / "r.db"}).status == 0);
  const Outcome report = run({"report", folder / "r.db", "--json", "-"});
  const auto points = nlohmann::json::parse(report.out)["points"];
  CHECK(points[0]["error"] > 0);
  CHECK(points[1]["error"] > 2 * points[0]["error"].get<double>());
}

TEST_CASE("a sweep shows how far it is on a terminal, and its rate") {
  const ScratchFolder folder;
  const std::string file = folder.write("s.yaml", slow);
  ProgramOptions options;
  options.error_terminal = true;
  const Outcome outcome = run({"sweep", file, "--out", folder / "r.db"}, options);
  CHECK(outcome.status == 0);
  CHECK(contains(outcome.err, " of 8, "));
  CHECK(contains(outcome.err, " s left"));
}

}  // namespace
}  // namespace tessera::test
