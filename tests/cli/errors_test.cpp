#include <catch2/catch.hpp>

#include "tests/cli/program.h"

using namespace tessera::test;

namespace {

const std::string gemm = "gemm m=256 n=256 k=256 dtype=bf16";

/// Runs, and checks that the input was refused with a message that holds every one of `parts`.
void check_refused(const std::vector<std::string>& arguments,
                   const std::vector<std::string>& parts) {
  std::string line = "tessera";
  for (const std::string& argument : arguments) line += " " + argument;
  const Outcome outcome = run(arguments);
  INFO(line << "\n" << outcome.err);
  CHECK(outcome.status == 2);
  CHECK(outcome.out.empty());
  CHECK_FALSE(contains(outcome.err, "internal"));
  for (const std::string& part : parts) {
    INFO(part);
    CHECK(contains(outcome.err, part));
  }
}

void check_model_refused(const std::string& model, const std::vector<std::string>& parts) {
  check_refused({"run", "--chip", "toy", "--model", model, "--phase", "prefill", "--seq", "16"},
                parts);
}

const char* const llama = R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
 "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2, "vocab_size": 100,
 "max_position_embeddings": 64, "hidden_act": "silu"})";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a wrong chip is refused with file and line and key") {
  const ScratchFolder folder;
  check_refused({"run", "--chip", folder / "none.yaml", "--op", gemm}, {"none.yaml"});
  check_refused({"run", "--chip", "h1000-sxm", "--op", gemm}, {"--chip", "h1000-sxm", "h100-sxm"});
  const auto refused = [&](const std::string& text, const std::vector<std::string>& parts) {
    check_refused({"run", "--chip", folder.write("chip.yaml", text), "--op", gemm}, parts);
  };
  refused("base: toy\nl2: {size_mib: [\n", {"chip.yaml:"});
  refused("base: toy\nl2:\n  sizemib: 4\n", {"chip.yaml:3: ", "sizemib", "size_mib"});
  refused("base: toy\nl2:\n  size_mib: four\n", {"chip.yaml:3: ", "l2.size_mib", "four"});
  refused("base: toy\nl2:\n  size_mib: -1\n", {"chip.yaml:3: ", "l2.size_mib"});
  refused("base: toy\nl2:\n  size_mib: 99999999999999999999\n", {"chip.yaml:3: ", "l2.size_mib"});
  refused("base: toy\nhbm:\n  bandwidth_gbps: 3.35 TB/s\n",
          {"chip.yaml:3: ", "hbm.bandwidth_gbps", "3350"});
  refused("", {"chip.yaml"});
}

TEST_CASE("a wrong override is refused with the nearest key") {
  const auto refused = [](const std::string& set, const std::vector<std::string>& parts) {
    check_refused({"run", "--chip", "toy", "--set", set, "--op", gemm}, parts);
  };
  refused("l2.sizemib=4", {"--set", "l2.size_mib"});
  refused("l2.size_mib=0", {"--set", "l2.size_mib"});
  refused("l2.size_mib=nan", {"--set", "l2.size_mib"});
  refused("l2.size_mib", {"--set"});
  refused("=", {"--set"});
}

TEST_CASE("a wrong model file is refused with what is wrong in it") {
  const ScratchFolder folder;
  const auto refused = [&](const std::string& name, const std::string& text,
                           const std::vector<std::string>& parts) {
    check_model_refused(folder.write(name, text), parts);
  };
  refused("a.json", "{\"model_type\": \"llama\",\n \"hidden_size\": }", {"a.json:2: "});
  refused("a.json", "", {"a.json"});
  refused("a.json", "[]", {"a.json"});
  refused("a.json", "{}", {"a.json", "model_type"});
  refused("a.json", replaced(llama, "llama", "mamba"), {"a.json", "model_type", "mamba"});
  refused("a.json", replaced(llama, "\"num_attention_heads\": 4,", ""),
          {"a.json", "num_attention_heads"});
  refused("a.json", replaced(llama, ": 4,", ": 0,"), {"a.json", "num_attention_heads"});
  refused("a.json", replaced(llama, ": 4,", ": -4,"), {"a.json", "num_attention_heads"});
  refused("a.json", replaced(llama, ": 4,", ": \"four\","), {"a.json", "num_attention_heads"});
  refused("a.json", replaced(llama, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1e99"),
          {"a.json", "num_hidden_layers"});
  refused("a.json", replaced(llama, "\"hidden_size\": 64", "\"hidden_size\": 9223372036854775807"),
          {"a.json", "hidden_size"});
  refused("a.yaml", "layers: [", {"a.yaml:"});
  refused("a.yaml", "family: llama\nlayesr: 2\n", {"a.yaml:2: ", "layesr", "layers"});
  refused("a.onnx", "x", {"a.onnx"});
  check_model_refused("gpt3", {"--model", "gpt3"});
  check_model_refused(folder / "none.json", {"--model", "none.json"});
  check_model_refused(folder.path().string(), {"--model", "config.json"});
}

TEST_CASE("sizes that are zero or negative or too large or no numbers are refused") {
  const auto refused = [](const std::string& flag, const std::string& value) {
    std::vector<std::string> arguments = {"run",     "--chip",  "h100-sxm", "--model",
                                          "gpt2-xl", "--phase", "prefill"};
    if (flag != "--seq") arguments.insert(arguments.end(), {"--seq", "16"});
    arguments.insert(arguments.end(), {flag, value});
    check_refused(arguments, {flag + ": ", "give a "});
  };
  for (const char* flag : {"--batch", "--seq", "--past", "--layers", "--tp", "--jobs"})
    for (const char* value :
         {"-1", "99999999999999999999", "2147483648", "1.5", "1e3", "many", "0x10", "", " 1"}) {
      if (*value != '\0') refused(flag, value);
    }
  for (const char* flag : {"--batch", "--seq", "--layers", "--tp", "--jobs"}) refused(flag, "0");
  for (const char* op :
       {"gemm m=0 n=16 k=16", "gemm m=-16 n=16 k=16", "gemm m=99999999999999999999 n=16 k=16",
        "gemm m=1000000000 n=1000000000 k=1000000000", "gemm m=a n=16 k=16", "gemm m=16 n=16",
        "gemm m=16 m=16 n=16 k=16", "gemm m=16 n=16 k=16 dtype=bf61", "gem m=16 n=16 k=16", "",
        "gemm m=16 n=16 k=16 q=3", "allreduce ranks=0 bytes=16", "softmax rows=0 cols=0",
        "attention batch=1 q_len=1 kv_len=0 heads=1 kv_heads=1 head_dim=64"}) {
    check_refused({"run", "--chip", "toy", "--op", op}, {"--op"});
  }
}

TEST_CASE("workload flags that contradict each other are refused") {
  const std::vector<std::string> base = {"run", "--chip", "toy"};
  const auto refused = [&](std::vector<std::string> more, const std::vector<std::string>& parts) {
    more.insert(more.begin(), base.begin(), base.end());
    check_refused(more, parts);
  };
  refused({"--op", gemm, "--model", "gpt2-xl"}, {"--op: given with --model"});
  refused({"--op", gemm, "--seq", "16"}, {"--seq: applies to --model only"});
  refused({"--op", gemm, "--clock-mhz", "100000"}, {"--clock-mhz", "1 to 10000"});
  refused({"--model", "gpt2-xl"}, {"--phase: missing"});
  refused({"--model", "gpt2-xl", "--phase", "prefil"}, {"phase", "prefill"});
  refused({"--model", "gpt2-xl", "--phase", "prefill"}, {"--seq: missing"});
  refused({"--model", "gpt2-xl", "--phase", "prefill", "--seq", "8", "--precision", "bf17"},
          {"--precision", "bf16"});
  refused({"--model", "gpt2-xl", "--phase", "prefill", "--seq", "8", "--tp", "7"}, {"--tp", "7"});
  refused({"--model", "gpt2-xl", "--phase", "prefill", "--seq", "8", "--layers", "49"},
          {"--layers", "48"});
}

TEST_CASE("a malformed trace is refused with file and line") {
  const ScratchFolder folder;
  const std::string trace = folder / "gemm.trace";
  REQUIRE(run({"lower", "--chip", "toy", "--op", gemm, "-o", trace}).status == 0);
  const std::string text = folder.read("gemm.trace");
  const auto refused = [&](const std::string& content, const std::vector<std::string>& parts) {
    const std::string file = folder.write("bad.trace", content);
    check_refused({"replay", "--chip", "toy", file}, parts);
    for (const char* verb : {"check", "stat", "dump"}) check_refused({"trace", verb, file}, parts);
  };
  refused("", {"bad.trace:"});
  refused("hello\n", {"bad.trace:1: "});
  refused(std::string("\x28\xb5\x2f\xfd garbage", 12), {"bad.trace:"});
  refused(std::string(100, '\0'), {"bad.trace:"});
  refused(text.substr(0, text.size() / 2), {"bad.trace:"});
  refused(text + "nonsense here\n", {"bad.trace:"});
  check_refused({"replay", "--chip", "toy", folder / "none.trace"}, {"none.trace"});
  check_refused({"replay", "--chip", "toy", folder.path().string()}, {"directory"});
}

TEST_CASE("a deadlocked trace is a failed simulation that says who waits for whom") {
  const ScratchFolder folder;
  REQUIRE(run({"lower", "--chip", "toy", "--op", gemm, "-o", folder / "a.trace"}).status == 0);
  // Without its digest line a trace may be edited. The producer waits for what it fills itself.
  std::string text = folder.read("a.trace");
  const std::size_t digest = text.find("\ndigest ");
  REQUIRE(digest != std::string::npos);
  text.erase(digest + 1, text.find('\n', digest + 1) - digest);
  const std::string file = folder.write("stuck.trace", replaced(text, "wait empty", "wait full"));

  const Outcome replayed =
      run({"replay", "--chip", "toy", file, "--json", folder / "a.json", "--csv", "-"});
  INFO(replayed.err);
  CHECK(replayed.status == 3);
  CHECK(replayed.out.empty());
  for (const char* part : {"deadlock", "kernel gemm", "producer", "consumer", "barrier full"})
    CHECK(contains(replayed.err, part));
  CHECK(folder.names() == std::vector<std::string>{"a.trace", "stuck.trace"});

  const Outcome checked = run({"trace", "check", file});
  INFO(checked.out << checked.err);
  CHECK(checked.status == 1);
  CHECK(contains(checked.out, "deadlock"));
}

TEST_CASE("replay refuses whatever trace check refuses") {
  const ScratchFolder folder;
  REQUIRE(run({"lower", "--chip", "toy", "--op", gemm, "-o", folder / "a.trace"}).status == 0);
  std::string text = folder.read("a.trace");
  const std::size_t digest = text.find("\ndigest ");
  REQUIRE(digest != std::string::npos);
  text.erase(digest + 1, text.find('\n', digest + 1) - digest);
  const auto refused = [&](const std::string& from, const std::string& to,
                           const std::string& finding) {
    INFO(from << " -> " << to);
    const std::string file = folder.write("bad.trace", replaced(text, from, to));
    const Outcome checked = run({"trace", "check", "--chip", "toy", file});
    INFO(checked.out << checked.err);
    CHECK(checked.status == 1);
    CHECK(contains(checked.out, finding));
    check_refused({"replay", "--chip", "toy", file, "--json", "-"}, {"bad.trace", finding});
  };
  // What only a run without time can see: a result that is not stored, work nobody waits for.
  refused("store C", "load A", "");
  refused("mma_wait 0", "", "never waited for");
  refused("section op repeat 1", "section op repeat 1000000000", "repeat is 1000000000");
  CHECK(run({"replay", "--chip", "toy", folder.write("good.trace", text)}).status == 0);
}

TEST_CASE("work beyond any bound is refused in time, not begun") {
  check_refused({"run", "--chip", "h100-sxm", "--allow-oversubscription", "--op",
                 "gemm m=500000 n=500000 k=500000 dtype=bf16"},
                {"workload: 'op' takes ", " s on h100-sxm even at its peaks", "smaller sizes"});
  check_refused({"run", "--chip", "h100-sxm", "--allow-oversubscription", "--op",
                 "allreduce ranks=8 bytes=100000000000000 dtype=bf16"},
                {"even at its peaks"});
}

TEST_CASE("a collective exchange has to fit the memory") {
  const std::string op = "allgather ranks=8 bytes=200000000000 dtype=bf16";
  check_refused({"run", "--chip", "h100-sxm", "--op", op},
                {"memory: the workload needs 200.0 GB", "more than the 85.9 GB of h100-sxm"});
  const Outcome forced =
      run({"run", "--chip", "h100-sxm", "--allow-oversubscription", "--op", op, "--csv", "-"});
  CHECK(forced.status == 0);
}

TEST_CASE("what is simulated is checked for a second YAML document") {
  const ScratchFolder folder;
  check_model_refused(
      folder.write("a.yaml",
                   "family: llama\nlayers: 2\nhidden: 64\nheads: 4\ninter: 128\nvocab: 100\n"
                   "max_positions: 32\n---\nlayers: 3\n"),
      {"a.yaml:8: a second document"});
  check_refused(
      {"run", "--chip", folder.write("c.yaml", "base: toy\n---\nbase: toy\n"), "--op", gemm},
      {"c.yaml:2: a second document"});
}
