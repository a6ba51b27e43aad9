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

namespace {

/// Runs `arguments` and holds them to a refusal for `flag`, whose value is the input `input`, with
/// everything in `folder` as it was.
void refused_as_input(const ScratchFolder& folder, const std::vector<std::string>& arguments,
                      const std::string& flag, const std::string& input) {
  std::vector<std::string> before;
  for (const std::string& name : folder.names()) before.push_back(name + folder.read(name));
  const Outcome outcome = run(arguments);
  INFO(arguments[0] << " " << flag << "\n" << outcome.out << outcome.err);
  CHECK(outcome.status == 2);
  CHECK(outcome.out.empty());
  CHECK(contains(outcome.err, flag + ": '"));
  CHECK(contains(outcome.err, "' is also the input " + input + "; choose another file"));
  std::vector<std::string> after;
  for (const std::string& name : folder.names()) after.push_back(name + folder.read(name));
  CHECK(before == after);
}

}  // namespace

TEST_CASE("no output goes over an input of its verb") {
  const ScratchFolder folder;
  const std::string chip = folder.write("c.yaml", "base: ./b.yaml\n");
  const std::string base = folder.write("b.yaml", "base: toy\n");
  const std::string trace = folder / "in.trace", saved = folder / "run.json";
  REQUIRE(run({"lower", "--chip", "toy", "--op", gemm, "-o", trace}).status == 0);
  REQUIRE(run(toy_run({"--json", saved})).status == 0);
  const std::string rows =
      folder.write("rows.csv", "op,rows,cols,dtype,measured_us\nadd,64,64,bf16,5\n");
  const std::string model = folder / "model.yaml";
  std::filesystem::copy_file(std::string(TESSERA_SOURCE_DIR) + "/models/llama-3.1-8b.yaml", model);
  const std::string tensors = folder.write("w.npy", "no numbers");
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& flag,
                           const std::string& input) {
    refused_as_input(folder, arguments, flag, input);
  };
  for (const char* flag : {"--json", "--csv", "--timeline"}) {
    refused({"replay", "--chip", "toy", trace, flag, trace}, flag, "FILE");
    for (const std::string& file : {chip, base})
      refused({"run", "--chip", chip, "--op", gemm, flag, file}, flag, "--chip");
    refused({"run", "--chip", "toy", "--model", model, "--phase", "decode", flag, model}, flag,
            "--model");
    refused(toy_run({"--tensors", folder.path().string(), flag, tensors}), flag, "--tensors");
  }
  for (const char* flag : {"--json", "--csv"}) {
    refused({"report", saved, flag, saved}, flag, "FILE");
    refused({"report", saved, trace, flag, trace}, flag, "OTHER");
  }
  for (const char* flag : {"--per-row", "--svg", "--json"})
    refused({"validate", "--chip", chip, "--measured", rows, flag, rows}, flag, "--measured");
  refused({"validate", "--chip", chip, "--measured", rows, "--json", base}, "--json", "--chip");
  refused({"calibrate", "--chip", chip, "--measured", rows, "-o", rows}, "--output", "--measured");
  refused({"calibrate", "--chip", chip, "--measured", rows, "-o", chip}, "--output", "--chip");
  refused({"lower", "--chip", chip, "--op", gemm, "-o", chip}, "-o", "--chip");
  refused({"lower", "--chip", "toy", "--model", model, "--phase", "decode", "-o", model}, "-o",
          "--model");
  for (const char* verb : {"check", "stat"})
    refused({"trace", verb, trace, "--json", trace}, "--json", "FILE");
  refused({"trace", "diff", trace, saved, "--json", saved}, "--json", "OTHER");
  for (const char* verb : {"pack", "dump"}) refused({"trace", verb, trace, trace}, "OUT", "FILE");
  refused({"vectors", "--unit", "bf16", "--chip", chip, "-o", chip}, "-o", "--chip");
  refused({"precision", "gemm", "--chip", chip, "--json", base}, "--json", "--chip");
  refused({"list", "units", "--chip", chip, "--json", chip}, "--json", "--chip");
}

TEST_CASE("an input is known by any path and link, and devices are none") {
  const ScratchFolder folder;
  const std::string trace = folder / "in.trace";
  REQUIRE(run({"lower", "--chip", "toy", "--op", gemm, "-o", trace}).status == 0);
  REQUIRE(symlink("in.trace", (folder / "symbolic").c_str()) == 0);
  REQUIRE(link(trace.c_str(), (folder / "hard").c_str()) == 0);
  for (const char* name : {"./in.trace", "symbolic", "hard"}) {
    refused_as_input(folder, {"replay", "--chip", "toy", trace, "--json", folder / name}, "--json",
                     "FILE");
    refused_as_input(folder, {"replay", "--chip", "toy", folder / name, "--json", trace}, "--json",
                     "FILE");
  }
  const Outcome two = run(toy_run({"--json", folder / "symbolic", "--csv", folder / "hard"}));
  CHECK(two.status == 2);
  CHECK(contains(two.err, "two outputs go to"));
  for (const char* sink : {"/dev/null", "-"})
    CHECK(run({"trace", "check", trace, "--json", sink}).status == 0);
  CHECK(run(toy_run({"--json", "/dev/null", "--csv", "/dev/null"})).status == 0);
  // An equal name elsewhere, and an older output, are other files.
  std::filesystem::create_directory(folder.path() / "other");
  for (int i = 0; i < 2; ++i)
    CHECK(run({"trace", "pack", trace, folder / "other/in.trace"}).status == 0);
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

namespace {

/// The outputs of the verbs beside `run`, each with what makes it: `in` stands for a small input
/// file that a test provides, `out` for the output.
struct Writer {
  const char* input;  ///< the name of the input file
  std::vector<std::string> arguments;
};
const Writer writers[] = {
    {"chip.yaml", {"lower", "--chip", "in", "--op", gemm, "-o", "out"}},
    {"in.trace", {"replay", "--chip", "toy", "in", "--csv", "out"}},
    {"in.trace", {"trace", "pack", "in", "out"}},
    {"in.trace", {"trace", "dump", "in", "out"}},
    {"in.trace", {"trace", "check", "in", "--json", "out"}},
    {"rows.csv", {"validate", "--chip", "toy", "--measured", "in", "--per-row", "out"}},
    {"rows.csv", {"validate", "--chip", "toy", "--measured", "in", "--svg", "out"}},
};

std::vector<std::string> command(const Writer& writer, const std::string& in,
                                 const std::string& out) {
  std::vector<std::string> arguments = writer.arguments;
  for (std::string& argument : arguments) {
    if (argument == "in") argument = in;
    if (argument == "out") argument = out;
  }
  return arguments;
}

/// The inputs that writers read.
void write_inputs(const ScratchFolder& folder) {
  folder.write("chip.yaml", "base: toy\n");
  REQUIRE(run({"lower", "--chip", "toy", "--op", gemm, "-o", folder / "in.trace"}).status == 0);
  folder.write("rows.csv", "op,rows,cols,dtype,measured_us\nadd,64,64,bf16,5\n");
}

}  // namespace

TEST_CASE("no verb writes into a folder that is missing or read-only") {
  const ScratchFolder inputs;
  write_inputs(inputs);
  for (const Writer& writer : writers) {
    for (const std::string& out :
         {inputs / "none/out", std::string("/sys/tessera-out"), inputs.path().string()}) {
      const Outcome outcome = run(command(writer, inputs / writer.input, out));
      INFO(writer.arguments[0] << " " << out << "\n" << outcome.err);
      CHECK(outcome.status == 2);
      CHECK(contains(outcome.err, "cannot write '" + out + "'"));
      CHECK(outcome.out.empty());
      CHECK(inputs.names().size() == 3);
    }
  }
}

TEST_CASE("a disk that fills up leaves the older file and nothing half-written") {
  const ScratchFolder inputs;
  write_inputs(inputs);
  for (const Writer& writer : writers) {
    const ScratchFolder folder;
    const std::string out = folder.write("out", "older");
    ProgramOptions options;
    options.file_bytes = 16;
    const Outcome outcome = Program(command(writer, inputs / writer.input, out), options).finish();
    INFO(writer.arguments[0] << "\n" << outcome.err);
    CHECK(outcome.status == 2);
    CHECK(contains(outcome.err, "cannot write '" + out + "'"));
    CHECK(folder.names() == std::vector<std::string>{"out"});
    CHECK(folder.read("out") == "older");
  }
}

TEST_CASE("a verb that is stopped leaves the older file and nothing half-written") {
  for (const Writer& writer : writers) {
    const ScratchFolder folder;
    const std::string fifo = folder / writer.input, out = folder.write("out", "older");
    REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
    Program program(command(writer, fifo, out));
    // Opening the pipe waits for the program to read from it: by then its output is open.
    const int feed = open(fifo.c_str(), O_WRONLY);
    REQUIRE(feed >= 0);
    program.send(SIGTERM);
    const Outcome outcome = program.finish();
    close(feed);
    INFO(writer.arguments[0]);
    CHECK(outcome.status == 128 + SIGTERM);
    CHECK(folder.read("out") == "older");
    CHECK(folder.names().size() == 2);
  }
}

TEST_CASE("a baseline that cannot be written stays as it was") {
  const ScratchFolder folder;
  REQUIRE(run({"lower", "--chip", "toy", "--op", gemm, "-o", folder / "a.trace"}).status == 0);
  const std::string older = R"({"schema": "tessera-regression/1", "traces": {}})";
  folder.write("baseline.json", older);
  ProgramOptions options;
  options.file_bytes = 64;
  const Outcome full = Program({"regress", folder.path().string(), "--update"}, options).finish();
  INFO(full.err);
  CHECK(full.status == 2);
  CHECK(contains(full.err, "--update: cannot write"));
  CHECK(folder.read("baseline.json") == older);
  CHECK(folder.names() == std::vector<std::string>{"a.trace", "baseline.json"});

  const std::string fifo = folder / "b.trace";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  Program program({"regress", folder.path().string(), "--update"});
  const int feed = open(fifo.c_str(), O_WRONLY);
  REQUIRE(feed >= 0);
  program.send(SIGTERM);
  const Outcome stopped = program.finish();
  close(feed);
  CHECK(stopped.status == 128 + SIGTERM);
  CHECK(folder.read("baseline.json") == older);
  CHECK(folder.names() == std::vector<std::string>{"a.trace", "b.trace", "baseline.json"});
}

TEST_CASE("a saved run is shown again, and two are compared") {
  const ScratchFolder folder;
  REQUIRE(run(toy_run({"--json", folder / "a.json", "--csv", folder / "a.csv"})).status == 0);
  REQUIRE(run(toy_run({"--set", "hbm.bandwidth_gbps=32", "--json", folder / "b.json"})).status ==
          0);
  const Outcome one = run({"report", folder / "a.json", "--csv", "-"});
  CHECK(one.status == 0);
  CHECK(one.out == folder.read("a.csv"));
  CHECK(contains(run({"report", folder / "a.json"}).out, "where the core-cycles went"));
  const Outcome two = run({"report", folder / "a.json", folder / "b.json"});
  CHECK(two.status == 0);
  CHECK(contains(two.out, "causes that moved"));
  CHECK(contains(run({"report", folder / "a.json", folder / "b.json", "--json", "-"}).out,
                 "\"tessera-comparison/1\""));
}

TEST_CASE("a report of what is no report is refused") {
  const ScratchFolder folder;
  const std::string file = folder.write("x.json", "{\"schema\": \"other\"}");
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"report"},
                                             {"report", file},
                                             {"report", folder / "none"},
                                             {"report", folder / "none", "--csv", folder / "none"},
                                             {"report", file, "--jsonl", folder / "y"},
                                             {"report", file, file, "--html", folder / "y"}}) {
    const Outcome outcome = run(arguments);
    INFO(outcome.err);
    CHECK(outcome.status == 2);
    CHECK(outcome.out.empty());
    CHECK(folder.names() == std::vector<std::string>{"x.json"});
  }
}
