#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

using namespace tessera::test;
using nlohmann::json;

namespace {

const std::string gemm = "gemm m=256 n=256 k=256 dtype=bf16";

/// `run` on the toy chip, with more arguments.
std::vector<std::string> toy_run(std::vector<std::string> more) {
  std::vector<std::string> arguments = {"run", "--chip", "toy"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

json without_simulator(const std::string& text) {
  json report = json::parse(text);
  report.erase("simulator");
  report.erase("notes");
  return report;
}

}  // namespace

TEST_CASE("run prints a table and nothing on standard error") {
  const Outcome outcome = run(toy_run({"--op", gemm}));
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.status == 0);
  CHECK(outcome.err.empty());
  for (const char* part : {"toy", "cycles", "TFLOP/s", "roofline", "where the core-cycles went"})
    CHECK(contains(outcome.out, part));
  CHECK_FALSE(contains(outcome.out, "\x1b"));
}

TEST_CASE("run writes nothing but JSON when that goes to standard output") {
  const Outcome outcome = run(toy_run({"--op", gemm, "--json", "-"}));
  INFO(outcome.err);
  REQUIRE(outcome.status == 0);
  CHECK(outcome.err.empty());
  const json report = json::parse(outcome.out);
  CHECK(report["chip"] == "toy");
  CHECK(report["cycles"] > 0);
  CHECK(report["flops"] == 2LL * 256 * 256 * 256);
  CHECK_FALSE(report["digest"].get<std::string>().empty());
  CHECK_FALSE(report["tool_version"].get<std::string>().empty());
  CHECK_FALSE(report["workload"].get<std::string>().empty());
  CHECK(report["tensor_core_utilization"] > 0);
  CHECK(report["tensor_core_utilization"] <= 1);
  CHECK(report["hbm_utilization"] <= 1);
  CHECK(report["time_us"] >= report["roofline_us"]);
  double stalls = 0;
  for (const auto& [cause, fraction] : report["stalls"].items()) stalls += fraction.get<double>();
  CHECK(stalls == 1.0);
  long long cycles = 0;
  for (const json& layer : report["layers"])
    cycles += layer["cycles"].get<long long>() * layer["repeat"].get<long long>();
  CHECK(report["cycles"] == cycles);
}

TEST_CASE("run writes JSON and CSV files beside the table") {
  const ScratchFolder folder;
  const Outcome outcome =
      run(toy_run({"--op", gemm, "--json", folder / "a.json", "--csv", folder / "a.csv"}));
  INFO(outcome.err);
  REQUIRE(outcome.status == 0);
  CHECK(contains(outcome.out, "roofline"));
  CHECK(folder.names() == std::vector<std::string>{"a.csv", "a.json"});
  CHECK(json::parse(folder.read("a.json"))["chip"] == "toy");
  CHECK(contains(folder.read("a.csv"), "chip,workload,name,op,"));

  const Outcome csv = run(toy_run({"--op", gemm, "--csv", "-"}));
  CHECK(csv.out == folder.read("a.csv"));
}

TEST_CASE("repetition and the number of jobs change no bit of the report") {
  const std::vector<std::string> model = {"--model", "gpt2-xl", "--phase",  "prefill",
                                          "--seq",   "16",      "--layers", "2",
                                          "--json",  "-",       "--set",    "hbm.size_gib=80"};
  const auto report = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = toy_run(model);
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run(arguments);
    INFO(outcome.err);
    REQUIRE(outcome.status == 0);
    return outcome.out;
  };
  const json first = without_simulator(report({}));
  CHECK(first == without_simulator(report({"--jobs", "1"})));
  CHECK(first == without_simulator(report({"--jobs", "7"})));
  const json each = without_simulator(report({"--no-reuse", "--jobs", "2"}));
  CHECK(each["reused_sections"] == 0);
  CHECK(each["cycles"] == first["cycles"]);
}

TEST_CASE("run reports the numerical error of the workload, and can leave it out") {
  const std::vector<std::string> linear = {"--op", "linear m=64 n=128 k=256 dtype=fp8", "--json",
                                           "-"};
  const auto report = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"run", "--chip", "h100-sxm"};
    arguments.insert(arguments.end(), linear.begin(), linear.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run(arguments);
    INFO(outcome.err);
    REQUIRE(outcome.status == 0);
    return json::parse(outcome.out);
  };
  const json studied = report({});
  const json& error = studied["layers"][0]["error"];
  for (const char* part : {"quantisation", "accumulation", "total", "propagated"})
    CHECK(error[part]["rel_rmse"] > 0);
  CHECK(error["sampled"] < error["outputs"]);
  CHECK(studied["precision"]["recipe"] == "current");
  CHECK(report({"--seed", "2"})["precision"]["seed"] == 2);
  const json exact = report({"--exact", "--recipe", "token"});
  CHECK(exact["layers"][0]["error"]["sampled"] == 64 * 128);
  CHECK(exact["precision"]["recipe"] == "token");
  const json bare = report({"--no-precision"});
  CHECK(bare["precision"].empty());
  CHECK(bare["layers"][0]["error"].empty());
  CHECK(bare["cycles"] == studied["cycles"]);
}

TEST_CASE("flags of the numerical study that do not fit are refused") {
  const auto refused = [](std::vector<std::string> more, const std::string& part) {
    std::vector<std::string> arguments = {"run", "--chip", "h100-sxm", "--op", gemm};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run(arguments);
    INFO(outcome.err);
    CHECK(outcome.status == 2);
    CHECK(contains(outcome.err, part));
  };
  refused({"--recipe", "curent"}, "did you mean 'current'?");
  refused({"--recipe", "current"}, "no operation computes in FP8");
  refused({"--tensors", "no-such-folder"}, "no-such-folder");
  refused({"--seed", "-1"}, "--seed");
  refused({"--no-precision", "--exact"}, "--no-precision");
}

TEST_CASE("a key of the chip can be overridden") {
  const std::string op = "add rows=2048 cols=2048 dtype=bf16";
  const auto time = [&](const std::string& bandwidth) {
    const Outcome outcome =
        run(toy_run({"--op", op, "--set", "hbm.bandwidth_gbps=" + bandwidth, "--json", "-"}));
    INFO(outcome.err);
    REQUIRE(outcome.status == 0);
    return json::parse(outcome.out)["time_us"].get<double>();
  };
  CHECK(time("128") < time("64"));
}

TEST_CASE("a lowered trace replays to the same numbers") {
  const ScratchFolder folder;
  const std::string trace = folder / "gemm.trace";
  const Outcome lowered = run({"lower", "--chip", "toy", "--op", gemm, "-o", trace});
  INFO(lowered.err);
  REQUIRE(lowered.status == 0);
  CHECK(folder.names() == std::vector<std::string>{"gemm.trace"});
  const Outcome replayed = run({"replay", "--chip", "toy", trace, "--json", "-"});
  INFO(replayed.err);
  REQUIRE(replayed.status == 0);
  CHECK(without_simulator(replayed.out) ==
        without_simulator(run(toy_run({"--op", gemm, "--no-precision", "--json", "-"})).out));
  CHECK(json::parse(replayed.out)["precision"].empty());
  CHECK(contains(replayed.out, "numerical error is not studied"));

  const Outcome printed = run({"lower", "--chip", "toy", "--op", gemm, "-o", "-"});
  CHECK(printed.out == folder.read("gemm.trace"));
}

TEST_CASE("a Hugging Face config.json runs") {
  const Outcome outcome =
      run({"run", "--chip", "h100-sxm", "--model",
           std::string(TESSERA_SOURCE_DIR) + "/tests/data/hf/bert-large.json", "--phase", "prefill",
           "--seq", "128", "--layers", "1", "--json", "-"});
  INFO(outcome.err);
  REQUIRE(outcome.status == 0);
  CHECK(json::parse(outcome.out)["layers"].size() > 3);
}

TEST_CASE("a workload beyond the memory of the chip says by how much") {
  const std::vector<std::string> big = {"--model", "llama-2-7b", "--phase",
                                        "decode",  "--past",     "64"};
  const Outcome refused = run(toy_run(big));
  INFO(refused.err);
  CHECK(refused.status == 2);
  CHECK(refused.out.empty());
  CHECK(contains(refused.err, "weights 13."));
  CHECK(contains(refused.err, " GB more than the 1.1 GB of toy"));
  CHECK(contains(refused.err, "--allow-oversubscription"));

  std::vector<std::string> allowed = toy_run(big);
  allowed.insert(allowed.end(), {"--layers", "6", "--allow-oversubscription"});
  const Outcome warned = run(allowed);
  INFO(warned.out << warned.err);
  CHECK(warned.status == 0);
  CHECK(contains(warned.out, "note: memory oversubscribed"));
}

TEST_CASE("an exchange between chips is bound by the link and has its roofline") {
  // The switch adds: 9/8 of 400 MB at the 450 GB/s of one direction, of which 0.69 is reached.
  const Outcome outcome = run({"run", "--chip", "h100-sxm", "--op",
                               "allreduce ranks=8 bytes=400000000 dtype=bf16", "--json", "-"});
  REQUIRE(outcome.status == 0);
  const json result = json::parse(outcome.out);
  CHECK(result["bound"] == "link");
  CHECK(result["roofline_us"].get<double>() == Approx(9.0 / 8 * 400e6 / 450e3).epsilon(0.001));
  CHECK(result["roofline_fraction"].get<double>() > 0.6);
  CHECK(result["roofline_fraction"].get<double>() < 0.69);
}

TEST_CASE("the memory behind the L2 can be chosen, and the report says which it was") {
  const std::vector<std::string> line = {
      "run", "--chip", "h100-sxm", "--op", "add rows=4096 cols=8192 dtype=bf16", "--json", "-"};
  const auto with = [&](const std::string& memory) {
    std::vector<std::string> arguments = line;
    arguments.insert(arguments.end(), {"--memory", memory});
    return run(arguments);
  };
  const json usual = json::parse(run(line).out);
  const json hbm = json::parse(with("hbm").out);
  const json fixed = json::parse(with("fixed-latency").out);
  CHECK(hbm["digest"] == usual["digest"]);
  CHECK(hbm["cycles"] == usual["cycles"]);
  CHECK(fixed["digest"] != usual["digest"]);
  CHECK(fixed["cycles"] < usual["cycles"]);
  CHECK(contains(fixed["notes"].dump(), "the memory is the fixed-latency model"));
  const Outcome wrong = with("fixed-latancy");
  CHECK(wrong.status == 2);
  CHECK(contains(wrong.err, "--memory: there is no memory model 'fixed-latancy'"));
  CHECK(contains(wrong.err, "did you mean 'fixed-latency'?"));
}

TEST_CASE("a terminal sees how far a simulation has come, and at the end nothing of it") {
  ProgramOptions options;
  options.error_terminal = true;
  const std::vector<std::string> line = {
      "run", "--chip", "h100-sxm", "--op", "gemm m=8192 n=8192 k=8192 dtype=bf16", "--json", "-"};
  const Outcome seen = Program(line, options).finish();
  REQUIRE(seen.status == 0);
  CHECK(contains(seen.err, "simulating gemm m=8192"));
  CHECK(contains(seen.err, " of at least "));
  const std::string erased = "\r\x1b[K";
  CHECK(seen.err.compare(seen.err.size() - erased.size(), erased.size(), erased) == 0);
  const Outcome blind = run(line);
  CHECK(blind.err.empty());
  json a = json::parse(seen.out), b = json::parse(blind.out);
  a.erase("simulator");
  b.erase("simulator");
  CHECK(a == b);
}

TEST_CASE("positions that a model does not have are noted, not refused") {
  const auto notes = [](const std::string& model, const std::string& past) {
    const Outcome outcome = run({"run", "--chip", "h100-sxm", "--model", model, "--phase", "decode",
                                 "--past", past, "--layers", "1", "--json", "-"});
    REQUIRE(outcome.status == 0);
    return json::parse(outcome.out)["notes"].dump();
  };
  CHECK_FALSE(contains(notes("gpt3-175b", "2047"), "positions"));
  CHECK(contains(notes("gpt3-175b", "2048"),
                 "gpt3-175b has learned 2048 positions and cannot really run 2049"));
  CHECK(contains(notes("llama-2-7b", "4096"),
                 "llama-2-7b was made for 4096 positions, not for 4097"));
}

TEST_CASE("a field of a config.json that is not taken into account is named") {
  const ScratchFolder folder;
  const std::string file = folder.write("m.json", R"({"model_type": "llama", "hidden_size": 64,
 "intermediate_size": 128, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 100,
 "max_position_embeddings": 64, "quantization_config": {"quant_method": "fp8"}, "moe_experts": 4})");
  const Outcome outcome = run({"run", "--chip", "toy", "--model", file, "--phase", "prefill",
                               "--seq", "16", "--json", "-"});
  REQUIRE(outcome.status == 0);
  const std::string notes = json::parse(outcome.out)["notes"].dump();
  CHECK(contains(notes, "quantization_config"));
  CHECK(contains(notes, "moe_experts"));
}
