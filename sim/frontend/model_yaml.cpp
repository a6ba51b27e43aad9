#include "sim/frontend/model_yaml.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <optional>

#include "sim/config/yaml_tree.h"

namespace tessera {
namespace {

const std::vector<std::pair<std::string, std::int64_t ModelConfig::*>>& sizes() {
  static const std::vector<std::pair<std::string, std::int64_t ModelConfig::*>> members = {
      {"layers", &ModelConfig::layers},
      {"hidden", &ModelConfig::hidden},
      {"heads", &ModelConfig::heads},
      {"kv_heads", &ModelConfig::kv_heads},
      {"head_dim", &ModelConfig::head_dim},
      {"inter", &ModelConfig::inter},
      {"vocab", &ModelConfig::vocab},
      {"max_positions", &ModelConfig::max_positions},
      {"embed_dim", &ModelConfig::embed_dim},
      {"position_offset", &ModelConfig::position_offset},
      {"rotary_dim", &ModelConfig::rotary_dim},
      {"sliding_window", &ModelConfig::sliding_window},
      {"experts", &ModelConfig::experts},
      {"topk", &ModelConfig::topk},
      {"token_types", &ModelConfig::token_types},
  };
  return members;
}

const std::vector<std::pair<std::string, bool ModelConfig::*>>& flags() {
  static const std::vector<std::pair<std::string, bool ModelConfig::*>> members = {
      {"norm_affine", &ModelConfig::norm_affine},
      {"final_norm", &ModelConfig::final_norm},
      {"parallel_residual", &ModelConfig::parallel_residual},
      {"shared_norm", &ModelConfig::shared_norm},
      {"gated", &ModelConfig::gated},
      {"qkv_bias", &ModelConfig::qkv_bias},
      {"output_bias", &ModelConfig::output_bias},
      {"mlp_bias", &ModelConfig::mlp_bias},
      {"lm_head_bias", &ModelConfig::lm_head_bias},
      {"qk_norm", &ModelConfig::qk_norm},
      {"tie_word_embeddings", &ModelConfig::tie_word_embeddings},
      {"encoder", &ModelConfig::encoder},
      {"pooler", &ModelConfig::pooler},
  };
  return members;
}

const std::vector<std::string>& required_keys() {
  static const std::vector<std::string> keys = {"family", "layers", "hidden",       "heads",
                                                "inter",  "vocab",  "max_positions"};
  return keys;
}

/// The file's top-level map, with lines.
class Description : public KeyNames {
 public:
  Description(const std::string& text, std::string file) : file_(std::move(file)) {
    YamlNode root = parse_yaml_tree(text, file_, {"a model description", "models/README.md"});
    for (YamlNode& entry : root.items) {
      const auto& known = model_yaml_keys();
      if (std::find(known.begin(), known.end(), entry.key) == known.end()) {
        const std::string close = nearest(entry.key, known);
        fail(entry.key_line, entry.key, "unknown key",
             close.empty() ? "see models/README.md for the keys"
                           : fmt::format("did you mean '{}'?", close));
      }
      const std::string key = entry.key;
      entries_.emplace(key, std::move(entry));
    }
    std::vector<std::string> missing;
    for (const std::string& key : required_keys()) {
      if (entries_.count(key) == 0) missing.push_back(key);
    }
    if (!missing.empty()) {
      fail(0, missing.front(), fmt::format("missing: {}", fmt::join(missing, ", ")),
           "every model description has these");
    }
  }

  [[noreturn]] void fail(int line, const std::string& key, const std::string& wrong,
                         const std::string& right) const {
    throw InputError({file_, line}, key, wrong, right);
  }
  [[noreturn]] void fail(const std::string& key, const std::string& wrong,
                         const std::string& right) const {
    fail(line(key), key, wrong, right);
  }

  std::optional<std::string> word(const std::string& key) const {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return std::nullopt;
    if (found->second.kind != YamlNode::Kind::scalar)
      fail(key, "not a single value", "write key: value");
    return found->second.text;
  }

  std::int64_t number(const std::string& key, const std::string& text) const {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) {
      fail(key, fmt::format("'{}' is not a whole number", text), "write digits only");
    }
    return value;
  }

  /// The enumerator of `all` whose name the user wrote.
  template <class Enum>
  void choose(const std::string& key, const std::vector<Enum>& all, Enum& value) const {
    const auto text = word(key);
    if (!text) return;
    std::vector<std::string> names;
    for (const Enum each : all) {
      if (name(each) == *text) {
        value = each;
        return;
      }
      names.emplace_back(name(each));
    }
    const std::string close = nearest(*text, names);
    fail(key, fmt::format("'{}' is unknown", *text),
         close.empty() ? fmt::format("give one of {}", fmt::join(names, ", "))
                       : fmt::format("did you mean '{}'?", close));
  }

  /// `all`, `even`, `odd`, `from N` or a list of layer indices.
  std::vector<bool> windowed_layers(std::int64_t layers) const {
    const std::string key = "windowed_layers";
    const auto found = entries_.find(key);
    if (found == entries_.end() || layers < 1 || layers > max_layers) return {};
    std::vector<bool> windowed(static_cast<std::size_t>(layers), false);
    const auto set = [&](const std::string& text) {
      const std::int64_t layer = number(key, text);
      if (layer < 0 || layer >= layers) {
        fail(key, fmt::format("there is no layer {}", layer),
             fmt::format("give indices from 0 to {}", layers - 1));
      }
      windowed[static_cast<std::size_t>(layer)] = true;
      return layer;
    };
    const YamlNode& node = found->second;
    if (node.kind == YamlNode::Kind::list) {
      for (const YamlNode& item : node.items) {
        if (item.kind != YamlNode::Kind::scalar)
          fail(key, "not a list of layers", "write [0, 2, 4]");
        set(item.text);
      }
      return windowed;
    }
    const std::string text = *word(key);
    if (text == "all") return {};
    if (text == "even" || text == "odd") {
      for (std::size_t i = text == "even" ? 0 : 1; i < windowed.size(); i += 2) windowed[i] = true;
      return windowed;
    }
    if (text.rfind("from ", 0) == 0) {
      const std::int64_t first = set(text.substr(5));
      std::fill(windowed.begin() + static_cast<std::ptrdiff_t>(first), windowed.end(), true);
      return windowed;
    }
    fail(key, fmt::format("'{}' is unknown", text), "give all, even, odd, from N or a list");
  }

  SourceLocation where(const std::string& member) const override { return {file_, line(member)}; }

 private:
  int line(const std::string& key) const {
    const auto found = entries_.find(key);
    return found == entries_.end() ? 0 : found->second.key_line;
  }

  std::string file_;
  std::map<std::string, YamlNode> entries_;
};

}  // namespace

const std::vector<std::string>& model_yaml_keys() {
  static const std::vector<std::string> keys = [] {
    std::vector<std::string> all = {"name", "source", "family"};
    for (const auto& [key, member] : sizes()) all.push_back(key);
    for (const auto& [key, member] : flags()) all.push_back(key);
    for (const char* key :
         {"norm", "norm_placement", "activation", "positions", "windowed_layers"}) {
      all.emplace_back(key);
    }
    return all;
  }();
  return keys;
}

ModelConfig parse_model_yaml(const std::string& text, const std::string& file) {
  const Description description(text, file);
  Family family = Family::llama;
  description.choose("family", all_families(), family);
  ModelConfig model = family_traits(family);
  model.name = description.word("name").value_or(std::filesystem::path(file).stem().string());
  const bool printable = std::all_of(model.name.begin(), model.name.end(),
                                     [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (model.name.empty() || model.name.size() > 128 || !printable) {
    description.fail("name", "not a name", "give up to 128 letters, digits and dashes");
  }
  description.word("source");

  for (const auto& [key, member] : sizes()) {
    if (const auto value = description.word(key)) {
      model.*member = description.number(key, *value);
      const bool may_be_zero = key == "sliding_window" || key == "position_offset" ||
                               key == "experts" || key == "topk" || key == "token_types";
      // Zero means "derive it" inside; a user who writes it means something else.
      if (model.*member < 0 || (model.*member == 0 && !may_be_zero)) {
        description.fail(key, fmt::format("{} is out of range", model.*member),
                         "give a positive whole number");
      }
    }
  }
  for (const auto& [key, member] : flags()) {
    if (const auto value = description.word(key)) {
      if (*value != "true" && *value != "false") {
        description.fail(key, fmt::format("'{}' is not a yes or no", *value), "give true or false");
      }
      model.*member = *value == "true";
    }
  }
  description.choose("norm", {Norm::layernorm, Norm::rmsnorm}, model.norm);
  description.choose("norm_placement",
                     {NormPlacement::pre, NormPlacement::post, NormPlacement::sandwich},
                     model.norm_placement);
  description.choose("activation", {MlpActivation::gelu, MlpActivation::relu, MlpActivation::silu},
                     model.activation);
  description.choose("positions", {Positions::learned, Positions::rotary}, model.positions);
  model.windowed_layers = description.windowed_layers(model.layers);

  fill_derived(model, description);
  validate(model, description);
  return model;
}

}  // namespace tessera
