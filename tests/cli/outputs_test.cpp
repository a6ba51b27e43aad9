#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "tests/cli/program.h"

using namespace tessera::test;

namespace {

const std::string gemm = "gemm m=256 n=256 k=256 dtype=bf16";

std::vector<std::string> toy_run(std::vector<std::string> more) {
  std::vector<std::string> arguments = {"run", "--chip", "toy", "--op", gemm};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST_CASE("an output that cannot be written is refused and leaves nothing behind") {
  const ScratchFolder folder;
  for (const std::string& target :
       {folder / "none/a.json", folder.path().string(), std::string()}) {
    for (const char* flag : {"--json", "--csv", "--timeline"}) {
      const Outcome outcome = run(toy_run({flag, target}));
      INFO(flag << " " << target << "\n" << outcome.err);
      // An empty name is no output at all, or an error; never a file.
      if (!target.empty()) {
        CHECK(outcome.status == 2);
        CHECK(contains(outcome.err, std::string(flag) + ": cannot write '" + target + "'"));
        CHECK(outcome.out.empty());
      }
      CHECK(folder.names().empty());
    }
  }
}

TEST_CASE("an unwritable second output keeps the first from being written") {
  const ScratchFolder folder;
  const Outcome outcome =
      run(toy_run({"--json", folder / "a.json", "--csv", folder / "none/a.csv"}));
  CHECK(outcome.status == 2);
  CHECK(folder.names().empty());
}

TEST_CASE("two outputs to one place are refused") {
  const ScratchFolder folder;
  for (const std::string& target : {std::string("-"), folder / "a"}) {
    const Outcome outcome = run(toy_run({"--json", target, "--csv", target}));
    INFO(outcome.err);
    CHECK(outcome.status == 2);
    CHECK(outcome.out.empty());
    CHECK(contains(outcome.err, "two outputs go to '" + target + "'"));
    CHECK(folder.names().empty());
  }
}

TEST_CASE("a failed run leaves an older file as it was") {
  const ScratchFolder folder;
  const std::string file = folder.write("a.json", "old");
  CHECK(run({"run", "--chip", "toy", "--op", "gemm m=0", "--json", file}).status == 2);
  CHECK(folder.read("a.json") == "old");
  CHECK(folder.names() == std::vector<std::string>{"a.json"});
  chmod(file.c_str(), 0640);
  CHECK(run(toy_run({"--json", file})).status == 0);
  CHECK(folder.read("a.json").substr(0, 1) == "{");
  struct stat status {};
  REQUIRE(stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
}

TEST_CASE("a symbolic link stays one and its file is written") {
  const ScratchFolder folder;
  folder.write("real.json", "old");
  REQUIRE(symlink("real.json", (folder / "link.json").c_str()) == 0);
  CHECK(run(toy_run({"--json", folder / "link.json"})).status == 0);
  CHECK(std::filesystem::is_symlink(folder / "link.json"));
  CHECK(folder.read("real.json").substr(0, 1) == "{");
}

TEST_CASE("a full disk is an error") {
  ProgramOptions options;
  options.standard_output = "/dev/full";
  for (const std::vector<std::string>& arguments :
       {toy_run({}), toy_run({"--json", "-"}), std::vector<std::string>{"list"}}) {
    const Outcome outcome = Program(arguments, options).finish();
    INFO(outcome.err);
    CHECK(outcome.status == 2);
    CHECK(contains(outcome.err, "standard output: cannot be written"));
  }
  const Outcome outcome = run(toy_run({"--json", "/dev/full"}));
  CHECK(outcome.status == 2);
  CHECK(contains(outcome.err, "--json: cannot write '/dev/full'"));
}

TEST_CASE("an interrupted run ends with 130 and leaves nothing behind") {
  for (const int signal : {SIGINT, SIGTERM}) {
    const ScratchFolder folder;
    const std::string fifo = folder / "in.trace";
    REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
    Program program({"replay", "--chip", "toy", fifo, "--json", folder / "a.json"});
    // Opening the pipe waits for the program to read from it: by then its output is open.
    const int feed = open(fifo.c_str(), O_WRONLY);
    REQUIRE(feed >= 0);
    CHECK(folder.names().size() == 2);
    program.send(signal);
    const Outcome outcome = program.finish();
    close(feed);
    CHECK(outcome.status == 128 + signal);
    CHECK(folder.names() == std::vector<std::string>{"in.trace"});
  }
}

TEST_CASE("a timeline is written beside the report, the same with any number of jobs") {
  const ScratchFolder folder;
  const Outcome one = run(toy_run({"--timeline", folder / "a.json", "--jobs", "1"}));
  CHECK(one.status == 0);
  CHECK(contains(one.out, "cycles"));
  run(toy_run({"--timeline", folder / "b.json", "--jobs", "3", "--timeline-cores", "0-1"}));
  CHECK(contains(folder.read("a.json"), "\"core 1\""));
  CHECK(folder.read("a.json") == folder.read("b.json"));
  const Outcome all = run(toy_run({"--timeline", "-", "--timeline-cores", "all"}));
  CHECK(all.out.rfind("{\"displayTimeUnit\":", 0) == 0);
}

TEST_CASE("flags of a timeline that make no sense are refused") {
  const ScratchFolder folder;
  const struct {
    std::vector<std::string> flags;
    std::string message;
  } cases[] = {
      {{"--timeline-cores", "0"}, "--timeline-cores: there is no timeline; give --timeline FILE"},
      {{"--timeline-events", "500"}, "--timeline-events: there is no timeline"},
      {{"--timeline", folder / "t", "--timeline-cores", "0,99"}, "has no core 99; give cores from"},
      {{"--timeline", folder / "t", "--timeline-cores", "3-1"}, "--timeline-cores: 1 is out of"},
      {{"--timeline", folder / "t", "--timeline-cores", "x"}, "'x' is not a whole number"},
      {{"--timeline", folder / "t", "--timeline-events", "9"}, "--timeline-events: 9 is out of"},
  };
  for (const auto& c : cases) {
    const Outcome outcome = run(toy_run(c.flags));
    INFO(outcome.err);
    CHECK(outcome.status == 2);
    CHECK(contains(outcome.err, c.message));
    CHECK(folder.names().empty());
  }
}

TEST_CASE("a page is written whole, or refused with the reason where the build has none") {
  const ScratchFolder folder;
  const Outcome outcome = run(toy_run({"--html", folder / "run.html"}));
  INFO(outcome.err);
  if (outcome.status == 2) {
    CHECK(contains(outcome.err, "--html: this tessera was built without pages: "));
    CHECK(folder.names().empty());
    return;
  }
  CHECK(outcome.status == 0);
  CHECK(folder.names() == std::vector<std::string>{"run.html"});
  CHECK(contains(folder.read("run.html"), "\"kind\":\"run\""));
  CHECK(contains(outcome.out, "cycles"));
}
