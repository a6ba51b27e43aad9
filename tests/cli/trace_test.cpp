#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

using namespace tessera::test;
using nlohmann::json;

namespace {

/// A scratch folder with the trace of a small GEMM as gemm.trace.
struct TraceFolder : ScratchFolder {
  TraceFolder() { lower("gemm.trace", "256"); }

  void lower(const std::string& name, const std::string& k) const {
    REQUIRE(run({"lower", "--chip", "toy", "--op", "gemm m=256 n=256 k=" + k, "-o", *this / name})
                .status == 0);
  }
};

}  // namespace

TEST_CASE("trace check finds a lowered trace sound") {
  const TraceFolder folder;
  const Outcome outcome = run({"trace", "check", folder / "gemm.trace"});
  CHECK(outcome.status == 0);
  CHECK(outcome.err.empty());
  CHECK(outcome.out == folder / "gemm.trace: sound\n");

  const Outcome as_json =
      run({"trace", "check", "--chip", "toy", folder / "gemm.trace", "--json", "-"});
  CHECK(as_json.status == 0);
  CHECK(json::parse(as_json.out)["sound"] == true);
}

TEST_CASE("trace check against a chip that is too small finds what does not fit") {
  const TraceFolder folder;
  const Outcome outcome = run({"trace", "check", "--chip", "toy", "--set", "scratchpad.size_kib=32",
                               folder / "gemm.trace", "--json", "-"});
  INFO(outcome.out << outcome.err);
  CHECK(outcome.status == 1);
  const json result = json::parse(outcome.out);
  CHECK(result["sound"] == false);
  REQUIRE_FALSE(result["findings"].empty());
  CHECK(result["findings"][0]["rule"] == "budget");
  CHECK(result["findings"][0]["kernel"] == "gemm");
}

TEST_CASE("pack and dump are lossless and pack is smaller") {
  const TraceFolder folder;
  const std::string text = folder.read("gemm.trace");
  REQUIRE(run({"trace", "pack", folder / "gemm.trace", folder / "gemm.ttb"}).status == 0);
  CHECK(folder.read("gemm.ttb").size() < text.size());
  CHECK(run({"trace", "dump", folder / "gemm.ttb"}).out == text);
  REQUIRE(run({"trace", "dump", folder / "gemm.ttb", folder / "again.trace"}).status == 0);
  CHECK(folder.read("again.trace") == text);
  CHECK(run({"trace", "pack", folder / "gemm.ttb", "-"}).out == folder.read("gemm.ttb"));

  const Outcome from_text = run({"replay", "--chip", "toy", folder / "gemm.trace", "--csv", "-"});
  CHECK(from_text.status == 0);
  CHECK(run({"replay", "--chip", "toy", folder / "gemm.ttb", "--csv", "-"}).out == from_text.out);
  CHECK(run({"trace", "pack", folder / "gemm.trace"}).status == 2);
}

TEST_CASE("replaying on another chip than the trace was lowered for is noted") {
  const TraceFolder folder;
  const std::string trace = folder / "gemm.trace";
  CHECK_FALSE(contains(run({"replay", "--chip", "toy", trace}).out, "was lowered for"));
  CHECK(contains(run({"replay", "--chip", "h100-sxm", trace}).out,
                 "note: the trace was lowered for toy, not for h100-sxm"));
  CHECK(contains(run({"replay", "--chip", "toy", "--set", "l2.size_mib=8", trace}).out,
                 "note: the trace was lowered for toy with other values"));
}

TEST_CASE("trace stat counts what a GEMM does") {
  const TraceFolder folder;
  const Outcome outcome = run({"trace", "stat", folder / "gemm.trace"});
  INFO(outcome.out << outcome.err);
  CHECK(outcome.status == 0);
  CHECK(contains(outcome.out, "op/gemm"));

  const json result = json::parse(run({"trace", "stat", folder / "gemm.trace", "--json", "-"}).out);
  REQUIRE(result["kernels"].size() == 1);
  const json& kernel = result["kernels"][0];
  CHECK(kernel["complete"] == true);
  CHECK(kernel["mma_flops"] == 2LL * 256 * 256 * 256);
  CHECK(kernel["store_bytes"] == 2LL * 256 * 256);
  CHECK(kernel["executed"]["mma"] > 0);
  CHECK(kernel["executed"]["load"] > 0);
}

TEST_CASE("trace diff says what changed and exits with 1") {
  const TraceFolder folder;
  folder.lower("other.trace", "512");
  const Outcome same = run({"trace", "diff", folder / "gemm.trace", folder / "gemm.trace"});
  CHECK(same.status == 0);
  const Outcome differ = run({"trace", "diff", folder / "gemm.trace", folder / "other.trace"});
  INFO(differ.out << differ.err);
  CHECK(differ.status == 1);
  CHECK(differ.err.empty());
  CHECK(contains(differ.out, "256"));
  CHECK(contains(differ.out, "512"));

  const Outcome as_json =
      run({"trace", "diff", folder / "gemm.trace", folder / "other.trace", "--json", "-"});
  CHECK(as_json.status == 1);
  const json result = json::parse(as_json.out);
  CHECK(result["same"] == false);
  CHECK_FALSE(result["differences"].empty());
  CHECK(run({"trace", "diff", folder / "gemm.trace"}).status == 2);
  CHECK(run({"trace", "diff", folder / "gemm.trace", folder / "none"}).status == 2);
}
