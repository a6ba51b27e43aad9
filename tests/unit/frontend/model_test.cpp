#include "sim/frontend/model.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>

#include "sim/base/error.h"
#include "sim/frontend/model_yaml.h"
#include "sim/frontend/workload.h"

using namespace tessera;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

const std::vector<std::string> models = {std::string(TESSERA_SOURCE_DIR) + "/models"};

const std::string tiny =
    "family: llama\nlayers: 2\nhidden: 64\nheads: 4\ninter: 128\nvocab: 100\nmax_positions: 32\n";

std::string complaint(const std::string& text) {
  try {
    parse_model_yaml(text, "m.yaml");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

}  // namespace

TEST_CASE("GPT-3 175B has the parameters its formula gives") {
  // 12 L d^2 weights and 13 L d biases and norms of the layers, (V + P) d embeddings, 2 d final
  // norm, with L=96, d=12288, V=50257, P=2048.
  const std::int64_t L = 96, d = 12288, V = 50257, P = 2048;
  CHECK(12 * L * d * d + 13 * L * d + (V + P) * d + 2 * d == 174'604'259'328);
  CHECK(parameters(load_model("gpt3-175b", models)) == 174'604'259'328);
}

TEST_CASE("every model shipped has the parameter count of its published checkpoint") {
  // Counts of the checkpoints as transformers loads them (num_parameters of the causal model; of
  // BertModel with its pooler). OPT-175B by formula: GPT-3's with V=50272, P=2050.
  const std::map<std::string, std::int64_t> counts = {
      {"gpt2-xl", 1'557'611'200},        {"gpt3-175b", 174'604'259'328},
      {"bert-large", 335'141'888},       {"opt-13b", 12'853'473'280},
      {"opt-175b", 174'604'468'224},     {"gpt-neox-20b", 20'554'567'680},
      {"llama-2-7b", 6'738'415'616},     {"llama-3.1-8b", 8'030'261'248},
      {"llama-3.1-70b", 70'553'706'496}, {"mistral-7b", 7'241'732'096},
      {"mixtral-8x7b", 46'702'792'704},  {"qwen2.5-7b", 7'615'616'512},
      {"qwen3-8b", 8'190'735'360},       {"gemma-7b", 8'537'680'896},
      {"gemma-2-9b", 9'241'705'984},     {"phi-2", 2'779'683'840},
      {"phi-3-mini", 3'821'079'552},
  };
  const std::vector<std::string> names = model_names(models);
  CHECK(names.size() == counts.size());
  for (const std::string& name : names) {
    INFO(name);
    REQUIRE(counts.count(name) == 1);
    CHECK(parameters(load_model(name, models)) == counts.at(name));
  }
}

TEST_CASE("a model description derives what it does not say") {
  const ModelConfig model = parse_model_yaml(tiny, "some/tiny.yaml");
  CHECK(model.name == "tiny");
  CHECK(model.kv_heads == 4);
  CHECK(model.head_dim == 16);
  CHECK(model.rotary_dim == 16);
  CHECK(model.embed_dim == 64);
  CHECK(model.gated);
  CHECK_FALSE(model.tie_word_embeddings);
  // Per layer: q, k, v, o 4*64*64, MLP 3*64*128, norms 2*64; embeddings and head 2*100*64; norm.
  CHECK(parameters(model) == 2 * (4 * 64 * 64 + 3 * 64 * 128 + 2 * 64) + 2 * 100 * 64 + 64);
}

TEST_CASE("windowed layers are all, even, odd, from a layer on, or listed") {
  const std::string base = tiny + "sliding_window: 8\n";
  const auto windows = [&](const std::string& line) {
    const ModelConfig model = parse_model_yaml(base + line, "m.yaml");
    return std::make_pair(model.window(0), model.window(1));
  };
  CHECK(windows("") == std::make_pair(std::int64_t{8}, std::int64_t{8}));
  CHECK(windows("windowed_layers: all\n") == std::make_pair(std::int64_t{8}, std::int64_t{8}));
  CHECK(windows("windowed_layers: even\n") == std::make_pair(std::int64_t{8}, std::int64_t{0}));
  CHECK(windows("windowed_layers: odd\n") == std::make_pair(std::int64_t{0}, std::int64_t{8}));
  CHECK(windows("windowed_layers: from 1\n") == std::make_pair(std::int64_t{0}, std::int64_t{8}));
  CHECK(windows("windowed_layers: [0]\n") == std::make_pair(std::int64_t{8}, std::int64_t{0}));
  CHECK_THAT(complaint(base + "windowed_layers: [2]\n"), Contains("there is no layer 2"));
  CHECK_THAT(complaint(base + "windowed_layers: from -1\n"), Contains("there is no layer -1"));
  CHECK_THAT(complaint(base + "windowed_layers: some\n"), Contains("'some' is unknown"));
}

TEST_CASE("a wrong key, value or line of a model description is named") {
  CHECK_THAT(complaint(tiny + "kv_head: 2\n"),
             Contains("m.yaml:8: kv_head: unknown key; did you mean 'kv_heads'?"));
  CHECK_THAT(complaint(tiny + "heads: 4\n"),
             Contains("m.yaml:8: heads: given twice, first in line 4"));
  CHECK_THAT(complaint("family: llama\nlayers: 2\n"),
             Contains("missing: hidden, heads, inter, vocab, max_positions"));
  CHECK_THAT(complaint(replaced(tiny, "llama", "lama")), Contains("did you mean 'llama'?"));
  CHECK_THAT(complaint(replaced(tiny, "layers: 2", "layers: two")),
             Contains("m.yaml:2: layers: 'two' is not a whole number"));
  CHECK_THAT(complaint(replaced(tiny, "layers: 2", "layers: [2]")),
             Contains("m.yaml:2: layers: not a single value"));
  for (const char* value : {"0", "-1", "10001", "9223372036854775807"}) {
    INFO(value);
    CHECK_THAT(complaint(replaced(tiny, "layers: 2", std::string("layers: ") + value)),
               Contains("m.yaml:2: layers: ") && Contains("out of range"));
  }
  CHECK_THAT(complaint(replaced(tiny, "layers: 2", "layers: 9223372036854775808")),
             Contains("not a whole number"));
  CHECK_THAT(complaint(tiny + "kv_heads: 3\n"),
             Contains("m.yaml:8: kv_heads: 4 query heads do not share 3 KV heads evenly"));
  CHECK_THAT(complaint(replaced(tiny, "heads: 4", "heads: 5")),
             Contains("m.yaml:4: heads: 5 heads do not divide the hidden size 64"));
  CHECK_THAT(complaint(tiny + "gated: yes\n"), Contains("give true or false"));
  CHECK_THAT(complaint(tiny + "experts: 4\ntopk: 5\n"), Contains("topk: 5 is out of range"));
  CHECK_THAT(complaint(tiny + "experts: 4\n"), Contains("topk: 0 is out of range"));
  CHECK_THAT(complaint(tiny + "gated: false\n"), Contains("silu without a gate"));
  CHECK_THAT(complaint(tiny + "rotary_dim: 17\n"), Contains("rotary_dim: 17 is out of range"));
  CHECK_THAT(complaint(tiny + "rotary_dim: 3\n"), Contains("rotated in pairs"));
  CHECK_THAT(complaint(tiny + "name: \"a b\"\n"), Contains("name: not a name"));
}

TEST_CASE("text that is no model description is refused, whatever it is") {
  CHECK_THAT(complaint(""), Contains("not a model description"));
  CHECK_THAT(complaint("just words"), Contains("not a model description"));
  CHECK_THAT(complaint("- 1\n- 2\n"), Contains("not a model description"));
  CHECK_THAT(complaint("family: [llama\n"), StartsWith("m.yaml:") && Contains("not YAML"));
  CHECK_THAT(complaint("? [a, b]\n: c\n"), Contains("a key must be a word"));
  CHECK_THAT(complaint(std::string(100'000, '[')), Contains("brackets nested"));
  CHECK_THAT(complaint(std::string(2'000'000, 'a')), Contains("too long"));
  CHECK_THAT(complaint(tiny + "source: 'an open quote\ngated: false\n"),
             Contains("a quote without"));
  CHECK_THAT(complaint("family: &a [*a]\n"), Contains("anchors and aliases"));
  CHECK_THAT(complaint(","), StartsWith("m.yaml:1: "));
}

TEST_CASE("any truncation or single wrong byte of a description is accepted or refused") {
  const std::string text = tiny + "sliding_window: 8\nwindowed_layers: [0, 1]\n";
  for (std::size_t i = 0; i < text.size(); ++i) {
    complaint(text.substr(0, i));
    for (const char c : {'\0', '"', '{', '[', ':', '&', '*', '\xff', '\n'}) {
      std::string wrong = text;
      wrong[i] = c;
      complaint(wrong);
    }
  }
  CHECK(complaint(text).empty());
}

TEST_CASE("the largest model the bounds admit still has a parameter count") {
  ModelConfig model = family_traits(Family::llama);
  model.layers = max_layers;
  model.hidden = max_hidden;
  model.heads = 1000;
  model.kv_heads = 1000;
  model.head_dim = 1000;
  model.inter = max_width;
  model.vocab = max_width;
  model.max_positions = 1;
  model.embed_dim = max_hidden;
  model.rotary_dim = 2;
  validate(model);
  CHECK(parameters(model) > 0);
  model.experts = max_experts;
  model.topk = 1;
  CHECK_THROWS_AS(validate(model), InputError);
}

TEST_CASE("a model is found by name, file or folder, and a near name is offered") {
  CHECK(load_model("llama-3.1-8b", models).name == "llama-3.1-8b");
  CHECK(load_model(models.front() + "/phi-2.yaml", {}).name == "phi-2");
  const std::string folder = std::string(TESSERA_SOURCE_DIR) + "/tests/data/hf/llama-3.1-8b";
  CHECK(load_model(folder, {}).name == "llama-3.1-8b");
  CHECK(load_model(folder + "/config.json", {}).hidden == 4096);
  CHECK_THROWS_WITH(load_model("lama-3.1-8b", models), Contains("did you mean 'llama-3.1-8b'?"));
  CHECK_THROWS_WITH(load_model(models.front(), models), Contains("holds no config.json"));
  CHECK_THROWS_WITH(load_model("no/such/config.json", models), Contains("there is no file"));
  CHECK_THROWS_WITH(load_model("", models), Contains("unknown model ''"));
  CHECK(model_names({"/no/such/folder"}).empty());
}
