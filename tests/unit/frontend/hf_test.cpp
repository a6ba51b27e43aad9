#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "sim/base/error.h"
#include "sim/frontend/hf_config.h"
#include "sim/frontend/workload.h"

using namespace tessera;
using Catch::Matchers::Contains;
using Json = nlohmann::json;

namespace {

const std::string folder = std::string(TESSERA_SOURCE_DIR) + "/tests/data/hf/";

Json config(const std::string& name) {
  std::ifstream stream(folder + name);
  return Json::parse(stream);
}

ModelConfig parsed(const Json& json) { return parse_hf_config(json.dump(1), "dir/x.json"); }

std::string complaint(const std::string& text) {
  try {
    parse_hf_config(text, "x.json");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

/// What is said of `name` with one field replaced; a discarded value removes it.
std::string complaint(const std::string& name, const std::string& field, const Json& value) {
  Json json = config(name);
  json[field] = value;
  return complaint(json.dump(1));
}

std::string complaint_without(const std::string& name, const std::string& field) {
  Json json = config(name);
  json.erase(field);
  return complaint(json.dump(1));
}

}  // namespace

TEST_CASE("a config.json gives the same model as the description shipped under its name") {
  const std::vector<std::string> models = {std::string(TESSERA_SOURCE_DIR) + "/models"};
  for (const char* name : {"gpt2-xl", "opt-13b", "gpt-neox-20b", "bert-large", "llama-2-7b",
                           "mistral-7b", "mixtral-8x7b", "qwen2.5-7b", "qwen3-8b", "gemma-7b",
                           "gemma-2-9b", "phi-2", "phi-3-mini", "llama-3.1-8b"}) {
    INFO(name);
    const std::string path = folder + name;
    const ModelConfig hf =
        load_model(std::string(name) == "llama-3.1-8b" ? path : path + ".json", {});
    const ModelConfig ours = load_model(name, models);
    CHECK(hf.name == ours.name);
    CHECK(hf.family == ours.family);
    CHECK(parameters(hf) == parameters(ours));
    CHECK(hf.head_dim == ours.head_dim);
    CHECK(hf.kv_heads == ours.kv_heads);
    CHECK(hf.rotary_dim == ours.rotary_dim);
    CHECK(hf.activation == ours.activation);
    CHECK(hf.gated == ours.gated);
    CHECK(hf.parallel_residual == ours.parallel_residual);
    CHECK(hf.max_positions == ours.max_positions);
    for (std::int64_t i = 0; i < hf.layers; ++i) REQUIRE(hf.window(i) == ours.window(i));
  }
}

TEST_CASE("OPT-350M has projections around its narrow embedding and no final norm") {
  const ModelConfig model = load_model(folder + "opt-350m.json", {});
  CHECK(model.embed_dim == 512);
  CHECK(model.norm_placement == NormPlacement::post);
  CHECK_FALSE(model.final_norm);
  // The published checkpoint's count.
  CHECK(parameters(model) == 331'196'416);
}

TEST_CASE("absent optional fields take the defaults transformers documents") {
  Json llama = config("llama-2-7b.json");
  llama.erase("num_key_value_heads");
  llama.erase("hidden_act");
  llama.erase("tie_word_embeddings");
  CHECK(parsed(llama).kv_heads == 32);
  CHECK(parsed(llama).activation == MlpActivation::silu);
  CHECK_FALSE(parsed(llama).tie_word_embeddings);
  llama["tie_word_embeddings"] = true;
  CHECK(parameters(parsed(llama)) == 6'738'415'616 - 32000 * 4096);
  llama["attention_bias"] = true;
  llama["mlp_bias"] = true;
  CHECK(parameters(parsed(llama)) ==
        6'738'415'616 - 32000 * 4096 + 32 * (4 * 4096 + 2 * 11008 + 4096));

  Json gpt2 = config("gpt2-xl.json");
  CHECK(parsed(gpt2).inter == 6400);
  gpt2["n_inner"] = nullptr;
  CHECK(parsed(gpt2).inter == 6400);
  gpt2["n_inner"] = 1600;
  CHECK(parsed(gpt2).inter == 1600);

  Json mistral = config("mistral-7b.json");
  mistral.erase("sliding_window");
  CHECK(parsed(mistral).sliding_window == 4096);
  mistral["sliding_window"] = nullptr;
  CHECK(parsed(mistral).sliding_window == 0);

  Json neox = config("gpt-neox-20b.json");
  neox.erase("rotary_pct");
  neox.erase("tie_word_embeddings");
  CHECK(parsed(neox).rotary_dim == 24);
  neox["use_parallel_residual"] = false;
  CHECK_FALSE(parsed(neox).parallel_residual);

  Json phi = config("phi-2.json");
  phi.erase("partial_rotary_factor");
  CHECK(parsed(phi).rotary_dim == 40);
  phi["rope_parameters"] = {{"partial_rotary_factor", 0.4}, {"rope_theta", 10000.0}};
  CHECK(parsed(phi).rotary_dim == 32);

  Json qwen3 = config("qwen3-8b.json");
  qwen3["hidden_size"] = 2560;
  qwen3.erase("head_dim");
  CHECK(parsed(qwen3).head_dim == 128);
}

TEST_CASE("Qwen's sliding window counts only when switched on, from max_window_layers on") {
  Json qwen = config("qwen2.5-7b.json");
  CHECK(parsed(qwen).sliding_window == 0);
  qwen["use_sliding_window"] = true;
  qwen["sliding_window"] = 1024;
  qwen["max_window_layers"] = 20;
  CHECK(parsed(qwen).window(19) == 0);
  CHECK(parsed(qwen).window(20) == 1024);
  qwen["max_window_layers"] = 0;
  CHECK(parsed(qwen).window(0) == 1024);
  std::vector<std::string> types(28, "full_attention");
  types[5] = "sliding_attention";
  qwen["layer_types"] = types;
  CHECK(parsed(qwen).window(4) == 0);
  CHECK(parsed(qwen).window(5) == 1024);
  types.pop_back();
  qwen["layer_types"] = types;
  CHECK_THAT(complaint(qwen.dump()), Contains("layer_types: is not a list with one entry"));
  types.push_back("chunked_attention");
  qwen["layer_types"] = types;
  CHECK_THAT(complaint(qwen.dump()), Contains("\"chunked_attention\" is not supported"));
}

TEST_CASE("an unsupported model_type is an error that lists the supported ones") {
  CHECK_THAT(complaint("llama-2-7b.json", "model_type", "t5"),
             Contains("model_type: 't5' is not supported; supported: gpt2, opt, gpt_neox, bert, "
                      "llama, mistral, mixtral, qwen2, qwen3, gemma, gemma2, phi, phi3"));
  CHECK_THAT(complaint("{}"), Contains("model_type: is missing"));
  CHECK_THAT(complaint("llama-2-7b.json", "model_type", 7), Contains("model_type: is not text"));
}

TEST_CASE("every size that is missing is named, for every family") {
  const std::vector<std::string> plain = {"hidden_size",         "num_hidden_layers",
                                          "num_attention_heads", "intermediate_size",
                                          "vocab_size",          "max_position_embeddings"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), plain.begin(), plain.end());
    return more;
  };
  const std::map<std::string, std::vector<std::string>> required = {
      {"gpt2-xl", {"n_embd", "n_layer", "n_head", "n_positions", "vocab_size"}},
      {"opt-13b",
       {"hidden_size", "num_hidden_layers", "num_attention_heads", "ffn_dim", "vocab_size"}},
      {"gpt-neox-20b", plain},
      {"bert-large", plain},
      {"llama-2-7b", plain},
      {"mistral-7b", with({"num_key_value_heads"})},
      {"mixtral-8x7b", with({"num_key_value_heads", "num_local_experts", "num_experts_per_tok"})},
      {"qwen2.5-7b", with({"num_key_value_heads"})},
      {"qwen3-8b", with({"num_key_value_heads"})},
      {"gemma-7b", with({"num_key_value_heads"})},
      {"gemma-2-9b", with({"num_key_value_heads"})},
      {"phi-2", plain},
      {"phi-3-mini", plain},
  };
  for (const auto& [name, fields] : required) {
    for (const std::string& field : fields) {
      INFO(name << " without " << field);
      CHECK_THAT(complaint_without(name + ".json", field), Contains(field + ": is missing"));
    }
  }
}

TEST_CASE("a wrong type or a size out of range is named with its line") {
  const std::string text =
      "{\n\"model_type\": \"llama\",\n\"hidden_size\": \"4096\",\n\"num_hidden_layers\": 2}";
  CHECK_THAT(complaint(text), Contains("x.json:3: hidden_size: \"4096\" is not a whole number"));
  for (const Json& value :
       {Json(0), Json(-1), Json(1e9), Json(4096.0), Json(true), Json("x"), Json::array({1}),
        Json::object(), Json(18446744073709551615u), Json(1'000'001)}) {
    INFO(value.dump());
    CHECK_THAT(complaint("llama-2-7b.json", "hidden_size", value), Contains("hidden_size"));
  }
  CHECK_THAT(complaint("llama-2-7b.json", "num_hidden_layers", 10'001),
             Contains("num_hidden_layers: 10001 is out of range"));
  CHECK_THAT(complaint("llama-2-7b.json", "num_attention_heads", 31),
             Contains("num_attention_heads: 31 heads do not divide the hidden size 4096"));
  CHECK_THAT(complaint("llama-2-7b.json", "num_key_value_heads", 5),
             Contains("num_key_value_heads: 32 query heads do not share 5 KV heads"));
  CHECK_THAT(complaint("llama-2-7b.json", "tie_word_embeddings", "true"),
             Contains("is not true or false"));
  CHECK_THAT(complaint("llama-2-7b.json", "hidden_act", "mish"),
             Contains("activation 'mish' is not supported"));
  CHECK_THAT(complaint("mixtral-8x7b.json", "num_experts_per_tok", 9),
             Contains("num_experts_per_tok: 9 is out of range"));
  CHECK_THAT(complaint("phi-2.json", "partial_rotary_factor", 1.5),
             Contains("partial_rotary_factor: 1.5 is not a part of a whole"));
  CHECK_THAT(complaint("phi-2.json", "partial_rotary_factor", 1e-6), Contains("rotary"));
}

TEST_CASE("what the simulator has no model of is refused, not ignored") {
  CHECK_THAT(complaint("bert-large.json", "position_embedding_type", "relative_key"),
             Contains("'relative_key' is not supported"));
  CHECK_THAT(complaint("bert-large.json", "is_decoder", true), Contains("is_decoder"));
  CHECK_THAT(complaint("gpt2-xl.json", "add_cross_attention", true), Contains("only false"));
  CHECK_THAT(complaint("llama-2-7b.json", "is_encoder_decoder", true), Contains("only false"));
  CHECK_THAT(complaint("phi-2.json", "qk_layernorm", true), Contains("qk_layernorm"));
}

TEST_CASE("malformed JSON is refused with its line, and cannot exhaust the parser") {
  CHECK_THAT(complaint("{\n\"model_type\": \"llama\",\n}"), Contains("x.json:3: not JSON"));
  CHECK_THAT(complaint(""), Contains("not JSON"));
  CHECK_THAT(complaint("[]"), Contains("not a Hugging Face config.json"));
  CHECK_THAT(complaint("{\"a\": 1e999}"), Contains("not JSON"));
  CHECK_THAT(complaint("{\"model_type\": \"\xff\"}"), Contains("not JSON"));
  CHECK_THAT(complaint("{\"a\": " + std::string(100, '[')), Contains("nested deeper than 64"));
  CHECK_THAT(complaint(std::string(1'000'000, '{')), Contains("nested deeper than 64"));
  CHECK_THAT(complaint(std::string((4u << 20) + 1, ' ')), Contains("too long"));
  CHECK_THAT(complaint("{\"a\": 1,\n\"a\": 2}"),
             Contains("x.json:2: a: repeated; first on line 1"));
  // Brackets inside strings do not nest.
  Json json = config("llama-2-7b.json");
  json["note"] = std::string(100, '[') + "\\\"";
  CHECK(parsed(json).layers == 32);
}

TEST_CASE("any truncation or single wrong byte of a config is accepted or refused, never worse") {
  const std::string text = config("mixtral-8x7b.json").dump(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    complaint(text.substr(0, i));
    for (const char c : {'\0', '"', '{', '9', '-', '\xff', '\\'}) {
      std::string wrong = text;
      wrong[i] = c;
      complaint(wrong);
    }
  }
  CHECK(complaint(text).empty());
}

TEST_CASE("fields that cost no time are ignored, what else is not used becomes a note") {
  for (const char* name :
       {"gpt2-xl", "opt-13b", "gpt-neox-20b", "bert-large", "llama-2-7b", "mistral-7b",
        "mixtral-8x7b", "qwen2.5-7b", "qwen3-8b", "gemma-7b", "phi-2", "phi-3-mini"}) {
    Json json = config(std::string(name) + ".json");
    INFO(name);
    CHECK(parsed(json).notes.empty());
    json["attention_probs_dropout_prob"] = 0.1;
    json["transformers_version"] = "4.40.0";
    json["bos_token_id"] = 1;
    json["rope_theta"] = 1e6;
    json["rms_norm_eps"] = 1e-5;
    json["unheard_of"] = nullptr;
    json["also_unheard_of"] = false;
    json["nothing"] = Json::object();
    CHECK(parsed(json).notes.empty());
    json["unheard_of"] = 3;
    REQUIRE(parsed(json).notes.size() == 1);
    CHECK(parsed(json).notes[0] ==
          "fields of the config.json that are not taken into account: \"unheard_of\"");
  }
  // Soft-capping of the scores costs a tanh each.
  CHECK_THAT(parsed(config("gemma-2-9b.json")).notes.at(0), Contains("attn_logit_softcapping"));

  Json llama = config("llama-2-7b.json");
  llama["layer_types"] = std::vector<std::string>(32, "full_attention");
  CHECK(parsed(llama).notes.empty());
  llama["layer_types"][7] = "linear_attention";
  CHECK_THAT(parsed(llama).notes.at(0), Contains("layer_types"));
  llama.erase("layer_types");
  for (int i = 0; i < 20; ++i) llama["x" + std::to_string(i)] = i + 1;
  CHECK_THAT(parsed(llama).notes.at(0), Contains(" and 12 more"));
}

TEST_CASE("a quantised checkpoint is noted with its method, whatever stands there") {
  Json llama = config("llama-2-7b.json");
  llama["quantization_config"] = {{"quant_method", "awq"}, {"bits", 4}};
  CHECK_THAT(parsed(llama).notes.at(0), Contains("quantization_config (\"awq\")"));
  for (const Json& odd : {Json(1), Json("fp8"), Json::array({1}), Json({{"a", 1}})}) {
    llama["quantization_config"] = odd;
    CHECK_THAT(parsed(llama).notes.at(0), Contains("quantization_config of the config.json"));
  }
}
