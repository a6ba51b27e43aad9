#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"
#include "tests/support/graph_folder.h"

namespace tessera::test {
namespace {

struct Study {
  GraphFolder model;
  ScratchFolder folder;
  std::string sentences;

  Study() {
    fill_tiny_encoder(model);
    model.write();
    sentences = folder.write("sentences.txt", "# letters\nabc\nabd\nfgh\nh h\nfeed a bee\n");
  }

  Outcome operator()(std::vector<std::string> more) const {
    more.insert(more.begin(),
                {"precision", "model", "--model", model.path(), "--sentences", sentences});
    return run(more);
  }
};

TEST_CASE("precision model reports embeddings, rankings and products of each recipe as JSON") {
  const Study study;
  const Outcome outcome = study({"--json", "-"});
  REQUIRE(outcome.status == 0);
  const auto json = nlohmann::json::parse(outcome.out);
  CHECK(json["sentences"] == 5);
  CHECK(json["nearest"][0]["line"] == 2);
  REQUIRE(json["recipes"].size() == 12);
  const auto& fp32 = json["recipes"][0];
  CHECK(fp32["recipe"] == "fp32");
  CHECK(fp32["embedding"]["rel_rmse"] == 0.0);
  CHECK(fp32["ranking"]["pairs"] == 10);
  for (const auto& recipe : json["recipes"]) {
    INFO(recipe["recipe"]);
    for (const char* key : {"rel_rmse", "cosine_mean", "cosine_min", "cosine_min_line"}) {
      CHECK(recipe["embedding"].contains(key));
    }
    for (const char* key : {"spearman", "kendall", "top1_changes", "largest_change"}) {
      CHECK(recipe["ranking"].contains(key));
    }
    REQUIRE(recipe["gemms"].size() == 1);
    CHECK(recipe["gemms"][0]["node"] == "hidden/MatMul");
    for (const char* key : {"quantisation", "accumulation", "total", "propagated"}) {
      CHECK(recipe["gemms"][0][key].contains("rel_rmse"));
    }
  }
  CHECK(study({"--json", "-", "--jobs", "1"}).out == outcome.out);
}

TEST_CASE("precision model prints a table, of products too if asked for") {
  const Study study;
  const Outcome outcome = study({"--recipe", "fp8-block", "--recipe", "nvfp4", "--layers"});
  REQUIRE(outcome.status == 0);
  CHECK(contains(outcome.out, "h100.e4m3"));
  CHECK(contains(outcome.out, "b200.e2m1"));
  CHECK(contains(outcome.out, "MatMul"));
  CHECK_FALSE(contains(study({"--recipe", "fp8-block"}).out, "MatMul"));
}

TEST_CASE("precision model refuses what it does not know, with the nearest that it does") {
  const Study study;
  const auto refused = [&](const std::vector<std::string>& more, const std::string& text) {
    const Outcome outcome = study(more);
    INFO(outcome.err);
    CHECK(outcome.status == 2);
    CHECK(contains(outcome.err, text));
  };
  refused({"--recipe", "fp8-blok"}, "did you mean 'fp8-block'?");
  refused({"--unit", "h10"}, "did you mean 'h100'?");
  refused({"--attention", "fp4"}, "give same or bf16");
  refused({"--batch", "0"}, "--batch");
  study.folder.write("sentences.txt", "abc\n\xFF\n");
  refused({}, "sentences.txt:2: is not UTF-8");
  study.folder.write("sentences.txt", "abc\n");
  refused({}, "1 sentences; give 2 to 4096");
}

TEST_CASE("precision model refuses a model whose download was cut short") {
  const Study study;
  study.model.write("group1-shard2of2", "abc");
  const Outcome outcome = study({});
  CHECK(outcome.status == 2);
  CHECK(contains(outcome.err, "give the shards whole"));
  std::filesystem::remove(study.model.path() + "/vocab.json");
  study.model.write();
  CHECK(contains(study({}).err, "vocab.json: cannot be read"));
}

}  // namespace
}  // namespace tessera::test
