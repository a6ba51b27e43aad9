#include "sim/precision/model_study.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "sim/base/error.h"
#include "tests/support/graph_folder.h"

namespace tessera {
namespace {

using Catch::Contains;

struct Tiny {
  test::GraphFolder folder;
  SentenceEncoder encoder;
  TokenIds ids;

  Tiny() {
    fill_tiny_encoder(folder);
    encoder = load_sentence_encoder(folder.write());
    ids = tokenise(encoder, parse_sentences("abc\nabd\nfgh\nh h\ncafe\nfeed a bee\n", "s.txt"),
                   "s.txt");
  }
};

const RecipeResult& result(const ModelStudy& study, const std::string& name) {
  for (const RecipeResult& r : study.results) {
    if (r.recipe.name == name) return r;
  }
  throw std::logic_error(name);
}

TEST_CASE("the FP32 recipe is the reference itself") {
  const Tiny tiny;
  const ModelStudy study = study_model(tiny.encoder, tiny.ids, model_recipes("h100", {"fp32"}));
  const RecipeResult& fp32 = study.results.front();
  CHECK(fp32.embeddings.values == study.reference.values);
  CHECK(fp32.rel_rmse == 0);
  CHECK(fp32.ranking.top1_changes == 0);
  REQUIRE(fp32.products.size() == 1);
  CHECK(fp32.products[0].node == "hidden/MatMul");
  CHECK(fp32.products[0].macs == study.macs);
  CHECK(study.macs == 6 * 32 * 32);
  CHECK(study.parameters == 15 * 32 + 32 * 32);
}

TEST_CASE("narrower formats err more: FP32 < TF32 <= FP16 < BF16 < FP8 < FP4") {
  const Tiny tiny;
  const ModelStudy study = study_model(tiny.encoder, tiny.ids, model_recipes("h100", {"all"}));
  REQUIRE(study.results.size() == 12);
  const auto error = [&](const std::string& name) { return result(study, name).rel_rmse; };
  CHECK(error("tf32") > 0);
  CHECK(error("fp16") < error("bf16"));
  CHECK(error("bf16") < error("fp8-token"));
  CHECK(error("fp8-tensor") < error("nvfp4"));
  CHECK(error("mxfp8") < error("nvfp4"));
  for (const RecipeResult& r : study.results) {
    CHECK(r.cosine_min <= r.cosine_mean);
    CHECK(std::isfinite(r.rel_rmse));
  }
}

TEST_CASE("of a product, quantisation and accumulation are told apart") {
  const Tiny tiny;
  const ModelStudy study =
      study_model(tiny.encoder, tiny.ids, model_recipes("h100", {"bf16", "fp8-tensor"}));
  const ProductErrors& bf16 = study.results[0].products.front();
  CHECK(bf16.weights);
  CHECK(bf16.quantisation.rel_rmse > 0);
  CHECK(bf16.accumulation.rel_rmse < 0.1 * bf16.quantisation.rel_rmse);
  const ProductErrors& fp8 = study.results[1].products.front();
  CHECK(fp8.quantisation.rel_rmse > 4 * bf16.quantisation.rel_rmse);
  CHECK(fp8.accumulation.rel_rmse > bf16.accumulation.rel_rmse);
  // The operands are those of FP32, so its own error is all there is.
  CHECK(fp8.propagated.rel_rmse == Approx(fp8.total.rel_rmse).epsilon(1e-4));
}

TEST_CASE("scales of a whole tensor depend on the batch, scales of a token do not") {
  const Tiny tiny;
  const auto recipes = model_recipes("h100", {"fp8-tensor", "fp8-token"});
  const ModelStudy one = study_model(tiny.encoder, tiny.ids, recipes, {1, 1});
  const ModelStudy six = study_model(tiny.encoder, tiny.ids, recipes, {6, 1});
  CHECK(one.results[0].embeddings.values != six.results[0].embeddings.values);
  CHECK(one.results[1].embeddings.values == six.results[1].embeddings.values);
}

TEST_CASE("delayed scales of one batch are those of its calibration") {
  const Tiny tiny;
  const auto recipes = model_recipes("h100", {"fp8-tensor", "fp8-delayed"});
  const ModelStudy whole = study_model(tiny.encoder, tiny.ids, recipes, {6, 1});
  CHECK(whole.results[0].embeddings.values == whole.results[1].embeddings.values);
  const ModelStudy parts = study_model(tiny.encoder, tiny.ids, recipes, {2, 1});
  CHECK(parts.results[0].embeddings.values != parts.results[1].embeddings.values);
}

TEST_CASE("threads do not change a bit of the study") {
  const Tiny tiny;
  const auto recipes = model_recipes("h100", {"all"});
  const ModelStudy one = study_model(tiny.encoder, tiny.ids, recipes, {4, 1});
  const ModelStudy four = study_model(tiny.encoder, tiny.ids, recipes, {4, 4});
  for (std::size_t r = 0; r < recipes.size(); ++r) {
    CHECK(one.results[r].embeddings.values == four.results[r].embeddings.values);
    CHECK(one.results[r].products[0].total.rel_rmse == four.results[r].products[0].total.rel_rmse);
  }
}

TEST_CASE("attention in BF16 is a choice for recipes narrower than it") {
  CHECK(model_recipes("h100", {"fp8-block"}, true)[0].attention_unit == "h100.bf16");
  CHECK(model_recipes("h100", {"fp8-block"})[0].attention_unit.empty());
  CHECK(model_recipes("h100", {"fp16"}, true)[0].attention_unit.empty());
  CHECK(model_recipes("h100", {"fp32"}, true)[0].attention_unit.empty());
}

TEST_CASE("recipes are found by name, and block formats run on units that have them") {
  CHECK(model_recipes("h100", {"mxfp8"})[0].unit == "b200.e4m3");
  CHECK(model_recipes("b200", {"nvfp4"})[0].unit == "b200.e2m1");
  CHECK(model_recipes("ada", {"fp8-token"})[0].unit == "ada.e4m3");
  CHECK_THROWS_WITH(model_recipes("h10", {"all"}), Contains("did you mean 'h100'?"));
  CHECK_THROWS_WITH(model_recipes("h100", {"fp8-blok"}), Contains("did you mean 'fp8-block'?"));
  CHECK_THROWS_WITH(model_recipes("a100", {"fp8-tensor"}),
                    Contains("there is no recipe 'fp8-tensor' on a100"));
}

}  // namespace
}  // namespace tessera
