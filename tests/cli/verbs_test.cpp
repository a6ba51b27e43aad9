#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/cli/program.h"

using namespace tessera::test;
using nlohmann::json;

namespace {

/// The text of a file of the source tree.
std::string source_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(std::string(TESSERA_SOURCE_DIR) + "/" + path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("the flag --version prints the project's version") {
  const Outcome outcome = run({"--version"});
  CHECK(outcome.status == 0);
  const std::string cmake = source_text("CMakeLists.txt");
  REQUIRE(contains(outcome.out, "tessera "));
  const std::string version = outcome.out.substr(8, outcome.out.size() - 9);
  CHECK(contains(cmake, "project(tessera VERSION " + version + " "));
}

TEST_CASE("every verb has a help with an example") {
  const std::vector<std::vector<std::string>> verbs = {{},
                                                       {"run"},
                                                       {"lower"},
                                                       {"replay"},
                                                       {"validate"},
                                                       {"calibrate"},
                                                       {"list"},
                                                       {"precision"},
                                                       {"precision", "gemm"},
                                                       {"precision", "accumulation"},
                                                       {"precision", "attention"},
                                                       {"mma"},
                                                       {"vectors"},
                                                       {"trace"},
                                                       {"trace", "check"},
                                                       {"trace", "stat"},
                                                       {"trace", "dump"},
                                                       {"trace", "pack"},
                                                       {"trace", "diff"}};
  for (std::vector<std::string> verb : verbs) {
    std::string name = "tessera";
    for (const std::string& word : verb) name += " " + word;
    verb.push_back("--help");
    const Outcome outcome = run(verb);
    INFO(name << "\n" << outcome.out << outcome.err);
    CHECK(outcome.status == 0);
    CHECK(outcome.err.empty());
    CHECK(contains(outcome.out, "Example"));
    CHECK(contains(outcome.out, "  " + name));
  }
}

TEST_CASE("the help of run and replay explains every number of the report") {
  const json numbers = json::parse(run({"list", "numbers", "--json", "-"}).out);
  for (const char* verb : {"run", "replay"}) {
    const std::string help = run({verb, "--help"}).out;
    for (const json& number : numbers["numbers"]) {
      INFO(verb << " " << number["name"]);
      CHECK(contains(help, "  " + number["name"].get<std::string>() + " "));
    }
  }
}

TEST_CASE("a wrong command line says what would be right and exits with 2") {
  struct Case {
    std::vector<std::string> arguments;
    std::string expected;
  };
  const std::vector<Case> cases = {
      {{}, "tessera --help"},
      {{"replya"}, "there is no verb 'replya'; did you mean 'replay'?"},
      {{"xyzzyx"}, "there is no verb 'xyzzyx'; give one of run, "},
      {{""}, "there is no verb ''"},
      {{"trace"}, "tessera trace --help"},
      {{"trace", "chekc"}, "trace: there is no verb 'chekc'; did you mean 'check'?"},
      {{"trace", "check"}, "FILE: missing"},
      {{"trace", "check", "--jason", "-", "x"}, "--jason: unknown flag; did you mean --json?"},
      {{"--verbose"}, "see `tessera --help`"},
      {{"run", "--chpi", "toy"}, "--chpi: unknown flag; did you mean --chip?"},
      {{"run", "--chip=toy", "--sed=a"}, "--sed: unknown flag; did you mean --set?"},
      {{"run", "extra"}, "unexpected argument 'extra'; see `tessera run --help`"},
      {{"run", "--chip"}, "--chip: "},
      {{"run"}, "--chip: missing; give a YAML file or one of "},
      {{"run", "--chip", "toy"}, "no workload"},
      {{"list", "chisp"}, "nothing is called 'chisp'; did you mean 'chips'?"},
      {{"list", "models", "--keys"}, "--keys: applies to chips"},
      {{"list", "models", "--markdown"}, "--markdown: applies to"},
      {{"replay", "--chip", "toy"}, "FILE: missing"},
      {{"lower", "--chip", "toy", "--op", "gemm m=64 n=64 k=64"}, "-o: missing"},
  };
  for (const Case& c : cases) {
    std::string line = "tessera";
    for (const std::string& argument : c.arguments) line += " " + argument;
    const Outcome outcome = run(c.arguments);
    INFO(line << "\n" << outcome.err);
    CHECK(outcome.status == 2);
    CHECK(outcome.out.empty());
    CHECK(contains(outcome.err, c.expected));
  }
}

TEST_CASE("list names the chips, models, operations and units") {
  const Outcome outcome = run({"list"});
  CHECK(outcome.status == 0);
  CHECK(outcome.err.empty());
  for (const char* part : {"chips:", "toy", "h100-sxm", "models:", "gpt3-175b", "174.60 B",
                           "ops:", "gemm", "m n k", "units:", "h100.e4m3", "wgmma"}) {
    INFO(part);
    CHECK(contains(outcome.out, part));
  }
}

TEST_CASE("list writes nothing but JSON when that goes to standard output") {
  for (const char* topic : {"chips", "models", "ops", "units", "numbers"}) {
    const Outcome outcome = run({"list", topic, "--json", "-"});
    INFO(topic);
    REQUIRE(outcome.status == 0);
    const json listing = json::parse(outcome.out);
    REQUIRE(listing.contains(topic));
    CHECK(listing.size() == 2);
    REQUIRE_FALSE(listing[topic].empty());
    for (const json& entry : listing[topic]) {
      CHECK_FALSE(entry["name"].get<std::string>().empty());
      CHECK_FALSE(entry.contains("error"));
    }
  }
  const json all = json::parse(run({"list", "--json", "-"}).out);
  for (const char* topic : {"chips", "models", "ops", "units"}) CHECK(all.contains(topic));
}

TEST_CASE("list chips with --keys is the reference of every key") {
  const json keys = json::parse(run({"list", "chips", "--keys", "--json", "-"}).out)["keys"];
  const std::string text = run({"list", "chips", "--keys"}).out;
  REQUIRE(keys.size() > 50);
  for (const json& key : keys) {
    INFO(key);
    CHECK(contains(text, "  " + key["key"].get<std::string>() + " "));
    CHECK_FALSE(key["meaning"].get<std::string>().empty());
  }
}

TEST_CASE("list numbers --markdown is the table of docs/report.md") {
  const Outcome outcome = run({"list", "numbers", "--markdown"});
  CHECK(outcome.status == 0);
  CHECK(contains(source_text("docs/report.md"), "\n" + outcome.out + "\n"));
}

TEST_CASE("a chip that cannot be read does not hide the others") {
  const ScratchFolder data;
  std::filesystem::create_directories(data.path() / "configs/chips");
  data.write("configs/chips/broken.yaml", "core: [");
  ProgramOptions options;
  options.data = data.path().string();
  const Outcome outcome = Program({"list", "chips"}, options).finish();
  INFO(outcome.out << outcome.err);
  CHECK(outcome.status == 0);
  CHECK(contains(outcome.out, "broken.yaml:"));
}
