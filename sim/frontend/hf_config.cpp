#include "sim/frontend/hf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

namespace tessera {
namespace {

using Json = nlohmann::json;

constexpr std::size_t max_json_bytes = std::size_t{4} << 20;
constexpr int max_json_depth = 64;

int line_of(const std::string& text, std::size_t byte) {
  const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(byte, text.size()));
  return 1 + static_cast<int>(std::count(text.begin(), end, '\n'));
}

/// Lines of the keys of the outermost object. The parser keeps neither lines nor repeated keys and
/// has no bound on nesting, so the text is scanned before it is parsed.
std::map<std::string, int> scan_keys(const std::string& text, const std::string& file) {
  std::map<std::string, int> lines;
  int depth = 0;
  int line = 1;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') ++line;
    if (c == '{' || c == '[') {
      if (++depth > max_json_depth) {
        throw InputError({file, line}, "", fmt::format("nested deeper than {}", max_json_depth),
                         "a Hugging Face config.json has two or three levels");
      }
    }
    if (c == '}' || c == ']') --depth;
    if (c != '"') continue;
    const std::size_t begin = i + 1;
    for (++i; i < text.size() && text[i] != '"'; ++i) {
      if (text[i] == '\\') ++i;
      if (i < text.size() && text[i] == '\n') ++line;
    }
    if (depth != 1 || i >= text.size()) continue;
    const std::size_t next = text.find_first_not_of(" \t\r\n", i + 1);
    if (next == std::string::npos || text[next] != ':') continue;
    const std::string key = text.substr(begin, i - begin);
    const auto [place, fresh] = lines.emplace(key, line);
    if (!fresh) {
      throw InputError({file, line}, key, fmt::format("repeated; first on line {}", place->second),
                       "give each field once");
    }
  }
  return lines;
}

/// Whether a field says how a model is trained, stored or sampled from, or gives numbers (angles,
/// epsilons, scales) that leave the amount of work as it is.
bool costs_nothing(const std::string& field) {
  static const std::set<std::string> known = {"_attn_implementation",
                                              "_attn_implementation_autoset",
                                              "_commit_hash",
                                              "_name_or_path",
                                              "architectures",
                                              "attn_implementation",
                                              "auto_map",
                                              "bad_words_ids",
                                              "cache_implementation",
                                              "chunk_size_feed_forward",
                                              "directionality",
                                              "diversity_penalty",
                                              "do_sample",
                                              "dtype",
                                              "early_stopping",
                                              "finetuning_task",
                                              "gradient_checkpointing",
                                              "id2label",
                                              "init_std",
                                              "initializer_range",
                                              "label2id",
                                              "layerdrop",
                                              "length_penalty",
                                              "max_length",
                                              "min_length",
                                              "model_max_length",
                                              "model_name",
                                              "n_ctx",
                                              "num_beam_groups",
                                              "num_beams",
                                              "num_return_sequences",
                                              "original_max_position_embeddings",
                                              "prefix",
                                              "pretraining_tp",
                                              "problem_type",
                                              "pruned_heads",
                                              "query_pre_attn_scalar",
                                              "remove_invalid_values",
                                              "repetition_penalty",
                                              "return_dict",
                                              "scale_attn_by_inverse_layer_idx",
                                              "scale_attn_weights",
                                              "seq_length",
                                              "suppress_tokens",
                                              "task_specific_params",
                                              "temperature",
                                              "tf_legacy_loss",
                                              "tie_encoder_decoder",
                                              "tie_word_embeddings",
                                              "tokenizer_class",
                                              "top_k",
                                              "top_p",
                                              "torch_dtype",
                                              "torchscript",
                                              "transformers_version",
                                              "typical_p",
                                              "unsloth_version",
                                              "use_bfloat16",
                                              "use_cache"};
  if (known.count(field) != 0) return true;
  const auto starts = [&](const std::string& text) { return field.rfind(text, 0) == 0; };
  const auto ends = [&](const std::string& text) {
    return field.size() >= text.size() &&
           field.compare(field.size() - text.size(), text.size(), text) == 0;
  };
  const auto holds = [&](const char* text) { return field.find(text) != std::string::npos; };
  return starts("rope_") || starts("rotary_") || starts("summary_") || starts("output_") ||
         starts("pooler_") || ends("_eps") || ends("_epsilon") || ends("_coef") || ends("_noise") ||
         ends("_token") || ends("_token_id") || ends("_tokens") || ends("_ngram_size") ||
         holds("dropout") || holds("pdrop");
}

/// The file's fields, each checked as it is read; remembers which field fed which member.
class Fields : public KeyNames {
 public:
  Fields(const std::string& text, std::string file) : file_(std::move(file)) {
    if (text.size() > max_json_bytes) {
      throw InputError({file_, 0}, "", fmt::format("{} bytes are too long", text.size()),
                       "a Hugging Face config.json is under 4 MiB");
    }
    lines_ = scan_keys(text, file_);
    try {
      json_ = Json::parse(text);
    } catch (const Json::parse_error& error) {
      throw InputError({file_, line_of(text, error.byte)}, "", "not JSON", explain(error));
    } catch (const Json::exception& error) {
      throw InputError({file_, 0}, "", "not JSON", explain(error));
    }
    if (!json_.is_object()) {
      throw InputError({file_, 1}, "", "not a Hugging Face config.json",
                       "its outermost value is an object of fields");
    }
  }

  [[noreturn]] void fail(const std::string& field, const std::string& wrong,
                         const std::string& right) const {
    throw InputError({file_, line(field)}, field, wrong, right);
  }

  /// Null counts as absent, as transformers reads it.
  bool has(const std::string& field) const {
    read_.insert(field);
    const auto found = json_.find(field);
    return found != json_.end() && !found->is_null();
  }

  bool is_null(const std::string& field) const {
    const auto found = json_.find(field);
    return found != json_.end() && found->is_null();
  }

  std::string word(const std::string& field) const {
    if (!has(field)) fail(field, "is missing", "give its text");
    if (!json_[field].is_string()) fail(field, "is not text", "write it in quotes");
    return json_[field].get<std::string>();
  }

  std::optional<std::int64_t> optional_size(const std::string& member, const std::string& field) {
    members_[member] = field;
    if (!has(field)) return std::nullopt;
    return whole(field, 1);
  }

  /// A layer's index, from 0.
  std::int64_t index(const std::string& field, std::int64_t absent) const {
    return has(field) ? whole(field, 0) : absent;
  }

  std::int64_t size(const std::string& member, const std::string& field) {
    const auto value = optional_size(member, field);
    if (!value) {
      fail(field, fmt::format("is missing, but {} needs it", word("model_type")),
           "give the model's size");
    }
    return *value;
  }

  bool flag(const std::string& field, bool absent) const {
    if (!has(field)) return absent;
    if (!json_[field].is_boolean()) {
      fail(field, fmt::format("{} is not true or false", shown(json_[field])),
           "write true or false without quotes");
    }
    return json_[field].get<bool>();
  }

  /// A part of a whole: above 0, at most 1. Newer files keep it inside `rope_parameters`.
  double fraction(const std::string& field, double absent) const {
    const Json* value = nullptr;
    if (has(field)) {
      value = &json_[field];
    } else if (has("rope_parameters") && json_["rope_parameters"].is_object()) {
      const auto found = json_["rope_parameters"].find(field);
      if (found != json_["rope_parameters"].end() && !found->is_null()) value = &*found;
    }
    if (value == nullptr) return absent;
    const double part = value->is_number() ? value->get<double>() : 0;
    if (!(part > 0 && part <= 1)) {
      fail(field, fmt::format("{} is not a part of a whole", shown(*value)),
           "give a number above 0 and up to 1");
    }
    return part;
  }

  MlpActivation activation(const std::string& field, const std::string& absent) {
    members_["activation"] = field;
    const std::string text = has(field) ? word(field) : absent;
    static const std::map<std::string, MlpActivation> known = {
        {"gelu", MlpActivation::gelu},
        {"gelu_new", MlpActivation::gelu},
        {"gelu_fast", MlpActivation::gelu},
        {"gelu_python", MlpActivation::gelu},
        {"gelu_pytorch_tanh", MlpActivation::gelu},
        {"relu", MlpActivation::relu},
        {"silu", MlpActivation::silu},
        {"swish", MlpActivation::silu}};
    const auto found = known.find(text);
    if (found == known.end()) {
      fail(field, fmt::format("activation '{}' is not supported", text),
           "supported: gelu (and its approximations), relu, silu");
    }
    return found->second;
  }

  /// Sliding or full attention of each layer, or nothing when the file does not say.
  std::vector<bool> layer_types(std::int64_t layers) {
    const std::string field = "layer_types";
    members_["windowed_layers"] = field;
    if (!has(field)) return {};
    const Json& list = json_[field];
    if (!list.is_array() || list.size() != static_cast<std::size_t>(layers)) {
      fail(field, "is not a list with one entry for each layer",
           fmt::format("give {} of sliding_attention or full_attention", layers));
    }
    std::vector<bool> windowed;
    for (const Json& entry : list) {
      const std::string text = entry.is_string() ? entry.get<std::string>() : "";
      if (text != "sliding_attention" && text != "full_attention") {
        fail(field, fmt::format("{} is not supported", shown(entry)),
             "give sliding_attention or full_attention");
      }
      windowed.push_back(text == "sliding_attention");
    }
    return windowed;
  }

  /// A switch whose other position this simulator has no model of.
  void only(const std::string& field, bool supported) const {
    if (flag(field, supported) == supported) return;
    fail(field, fmt::format("{} is not supported", !supported),
         fmt::format("only {} is", supported));
  }

  /// These mean nothing in this file, because others say so.
  void settle(std::initializer_list<const char*> fields) const {
    for (const char* field : fields) read_.insert(field);
  }

  /// What the file says and nobody has read, but for what costs no time.
  std::vector<std::string> notes() const {
    std::vector<std::string> notes;
    std::vector<std::string> others;
    for (const auto& [field, value] : json_.items()) {
      const bool is_absent =
          value.is_null() || value == Json(false) || (value.is_structured() && value.empty());
      if (is_absent || read_.count(field) != 0 || costs_nothing(field)) continue;
      if (field == "quantization_config") {
        const auto method = value.is_object() ? value.find("quant_method") : value.end();
        notes.push_back(fmt::format(
            "quantization_config{} of the config.json is not taken into account: --precision "
            "chooses the format of the linear layers",
            value.is_object() && method != value.end() ? fmt::format(" ({})", shown(*method))
                                                       : ""));
        continue;
      }
      const bool is_plain = field == "layer_types" && value.is_array() &&
                            std::all_of(value.begin(), value.end(), [](const Json& entry) {
                              return entry == Json("full_attention");
                            });
      if (!is_plain) others.push_back(shown(Json(field)));
    }
    constexpr std::size_t most = 8;
    if (others.empty()) return notes;
    const std::size_t more = others.size() > most ? others.size() - most : 0;
    others.resize(others.size() - more);
    notes.push_back(fmt::format("fields of the config.json that are not taken into account: {}{}",
                                fmt::join(others, ", "),
                                more > 0 ? fmt::format(" and {} more", more) : ""));
    return notes;
  }

  const std::string& file() const { return file_; }

  SourceLocation where(const std::string& member) const override {
    return {file_, line(key(member))};
  }
  std::string key(const std::string& member) const override {
    const auto found = members_.find(member);
    return found == members_.end() ? member : found->second;
  }

 private:
  std::int64_t whole(const std::string& field, std::int64_t low) const {
    const Json& value = json_[field];
    if (!value.is_number_integer()) {
      fail(field, fmt::format("{} is not a whole number", shown(value)), "give a count");
    }
    const bool huge = value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX;
    const std::int64_t number = huge ? INT64_MAX : value.get<std::int64_t>();
    if (number < low || number > max_position_count) {
      fail(field, fmt::format("{} is out of range", shown(value)),
           fmt::format("give a whole number from {} to {}", low, max_position_count));
    }
    return number;
  }

  static std::string shown(const Json& value) {
    std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
    if (text.size() > 40) text = text.substr(0, 37) + "...";
    return text;
  }

  /// The parser's own words, without its error number.
  static std::string explain(const Json::exception& error) {
    const std::string text = error.what();
    const std::size_t cut = text.find("] ");
    return cut == std::string::npos ? text : text.substr(cut + 2);
  }

  int line(const std::string& field) const {
    const auto found = lines_.find(field);
    return found == lines_.end() ? 0 : found->second;
  }

  std::string file_;
  std::map<std::string, int> lines_;
  std::map<std::string, std::string> members_;
  mutable std::set<std::string> read_;
  Json json_;
};

Family family_of(const Fields& fields) {
  std::vector<std::string> names;
  for (const Family family : all_families()) names.emplace_back(name(family));
  const std::string supported = fmt::format("supported: {}", fmt::join(names, ", "));
  if (!fields.has("model_type")) fields.fail("model_type", "is missing", supported);
  const std::string text = fields.word("model_type");
  for (const Family family : all_families()) {
    if (name(family) == text) return family;
  }
  fields.fail("model_type", fmt::format("'{}' is not supported", text), supported);
}

/// Sizes that all families but GPT-2 name alike.
void read_sizes(Fields& fields, ModelConfig& model) {
  model.hidden = fields.size("hidden", "hidden_size");
  model.layers = fields.size("layers", "num_hidden_layers");
  model.heads = fields.size("heads", "num_attention_heads");
  model.inter = fields.size("inter", "intermediate_size");
  model.vocab = fields.size("vocab", "vocab_size");
  model.max_positions = fields.size("max_positions", "max_position_embeddings");
}

void read_gpt2(Fields& fields, ModelConfig& model) {
  model.hidden = fields.size("hidden", "n_embd");
  model.layers = fields.size("layers", "n_layer");
  model.heads = fields.size("heads", "n_head");
  model.vocab = fields.size("vocab", "vocab_size");
  model.max_positions = fields.size("max_positions", "n_positions");
  model.inter = fields.optional_size("inter", "n_inner").value_or(4 * model.hidden);
  model.activation = fields.activation("activation_function", "gelu_new");
  model.tie_word_embeddings = fields.flag("tie_word_embeddings", true);
  fields.only("add_cross_attention", false);
}

void read_opt(Fields& fields, ModelConfig& model) {
  model.hidden = fields.size("hidden", "hidden_size");
  model.layers = fields.size("layers", "num_hidden_layers");
  model.heads = fields.size("heads", "num_attention_heads");
  model.inter = fields.size("inter", "ffn_dim");
  model.vocab = fields.size("vocab", "vocab_size");
  model.max_positions = fields.size("max_positions", "max_position_embeddings");
  model.embed_dim = fields.optional_size("embed_dim", "word_embed_proj_dim").value_or(model.hidden);
  model.activation = fields.activation("activation_function", "relu");
  model.tie_word_embeddings = fields.flag("tie_word_embeddings", true);
  const bool biases = fields.flag("enable_bias", true);
  model.qkv_bias = model.output_bias = model.mlp_bias = biases;
  model.norm_affine = fields.flag("layer_norm_elementwise_affine", true);
  const bool before = fields.flag("do_layer_norm_before", true);
  model.norm_placement = before ? NormPlacement::pre : NormPlacement::post;
  model.final_norm = before && !fields.flag("_remove_final_layer_norm", false);
}

void read_gpt_neox(Fields& fields, ModelConfig& model) {
  read_sizes(fields, model);
  model.activation = fields.activation("hidden_act", "gelu");
  model.parallel_residual = fields.flag("use_parallel_residual", true);
  model.tie_word_embeddings = fields.flag("tie_word_embeddings", false);
  model.qkv_bias = model.output_bias = fields.flag("attention_bias", true);
}

void read_bert(Fields& fields, ModelConfig& model) {
  read_sizes(fields, model);
  model.activation = fields.activation("hidden_act", "gelu");
  model.token_types = fields.optional_size("token_types", "type_vocab_size").value_or(2);
  fields.only("is_decoder", false);
  fields.only("add_cross_attention", false);
  const std::string kind =
      fields.has("position_embedding_type") ? fields.word("position_embedding_type") : "absolute";
  if (kind != "absolute") {
    fields.fail("position_embedding_type", fmt::format("'{}' is not supported", kind),
                "only absolute is");
  }
}

/// The gated RMSNorm decoders that descend from Llama. `kv_default`: transformers takes as many KV
/// heads as heads where the field is absent; elsewhere its default is some model's own number,
/// which is not safe to assume.
void read_llama_like(Fields& fields, ModelConfig& model, bool kv_default) {
  read_sizes(fields, model);
  model.kv_heads = kv_default ? fields.optional_size("kv_heads", "num_key_value_heads").value_or(0)
                              : fields.size("kv_heads", "num_key_value_heads");
  model.head_dim = fields.optional_size("head_dim", "head_dim").value_or(0);
  const bool hidden_activation = fields.has("hidden_activation");
  if (hidden_activation) fields.settle({"hidden_act"});
  model.activation =
      fields.activation(hidden_activation ? "hidden_activation" : "hidden_act",
                        model.activation == MlpActivation::gelu ? "gelu_pytorch_tanh" : "silu");
  model.tie_word_embeddings = fields.flag("tie_word_embeddings", model.tie_word_embeddings);
}

void read_attention_bias(const Fields& fields, ModelConfig& model) {
  model.qkv_bias = model.output_bias = fields.flag("attention_bias", false);
}

/// Qwen: a window only where use_sliding_window says so, from layer max_window_layers on.
void read_qwen_window(Fields& fields, ModelConfig& model) {
  if (!fields.flag("use_sliding_window", false)) {
    fields.settle({"sliding_window", "max_window_layers"});
    return;
  }
  model.sliding_window = fields.size("sliding_window", "sliding_window");
  model.windowed_layers = fields.layer_types(model.layers);
  fields.settle({"max_window_layers"});
  if (!model.windowed_layers.empty() || model.layers > max_layers) return;
  const std::int64_t first = fields.index("max_window_layers", 28);  // Qwen2Config, Qwen3Config
  for (std::int64_t i = 0; i < model.layers; ++i) model.windowed_layers.push_back(i >= first);
}

void read_family(Fields& fields, ModelConfig& model) {
  switch (model.family) {
    case Family::gpt2:
      return read_gpt2(fields, model);
    case Family::opt:
      return read_opt(fields, model);
    case Family::gpt_neox:
      return read_gpt_neox(fields, model);
    case Family::bert:
      return read_bert(fields, model);
    case Family::llama:
      read_llama_like(fields, model, true);
      read_attention_bias(fields, model);
      model.mlp_bias = fields.flag("mlp_bias", false);
      return;
    case Family::mistral:
      read_llama_like(fields, model, false);
      // Absent means 4096 (MistralConfig); null means none.
      model.sliding_window = fields.optional_size("sliding_window", "sliding_window")
                                 .value_or(fields.is_null("sliding_window") ? 0 : 4096);
      return;
    case Family::mixtral:
      read_llama_like(fields, model, false);
      model.sliding_window = fields.optional_size("sliding_window", "sliding_window").value_or(0);
      model.experts = fields.size("experts", "num_local_experts");
      model.topk = fields.size("topk", "num_experts_per_tok");
      return;
    case Family::qwen2:
      read_llama_like(fields, model, false);
      return read_qwen_window(fields, model);
    case Family::qwen3:
      read_llama_like(fields, model, false);
      if (model.head_dim == 0) model.head_dim = 128;  // Qwen3Config
      read_attention_bias(fields, model);
      return read_qwen_window(fields, model);
    case Family::gemma:
    case Family::gemma2:
      read_llama_like(fields, model, false);
      if (model.head_dim == 0) model.head_dim = 256;  // GemmaConfig, Gemma2Config
      read_attention_bias(fields, model);
      if (model.family == Family::gemma2) {
        model.sliding_window =
            fields.optional_size("sliding_window", "sliding_window").value_or(4096);
        model.windowed_layers = fields.layer_types(model.layers);
        if (model.windowed_layers.empty() && model.layers <= max_layers) {
          for (std::int64_t i = 0; i < model.layers; ++i) {
            model.windowed_layers.push_back(i % 2 == 0);
          }
        }
      }
      return;
    case Family::phi:
      read_sizes(fields, model);
      model.kv_heads = fields.optional_size("kv_heads", "num_key_value_heads").value_or(0);
      model.activation = fields.activation("hidden_act", "gelu_new");
      model.tie_word_embeddings = fields.flag("tie_word_embeddings", false);
      fields.only("qk_layernorm", false);
      return;
    case Family::phi3:
      read_llama_like(fields, model, true);
      model.sliding_window = fields.optional_size("sliding_window", "sliding_window").value_or(0);
      return;
  }
}

/// The part of a head that is rotated; transformers' defaults where the file does not say.
void read_rotary(Fields& fields, ModelConfig& model) {
  if (model.positions != Positions::rotary) return;
  double part = 1;
  if (model.family == Family::gpt_neox) {
    part = fields.fraction("rotary_pct", fields.fraction("partial_rotary_factor", 0.25));
  } else if (model.family == Family::phi) {
    part = fields.fraction("partial_rotary_factor", 0.5);
  } else {
    part = fields.fraction("partial_rotary_factor", 1);
  }
  model.rotary_dim = static_cast<std::int64_t>(static_cast<double>(model.head_dim) * part);
}

bool is_name(const std::string& text) {
  return !text.empty() && text.size() <= 128 &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

std::string name_of(const Fields& fields) {
  const std::filesystem::path path(fields.file());
  const std::string stem = path.stem().string();
  if (stem != "config" && is_name(stem)) return stem;
  const std::string folder = path.parent_path().filename().string();
  if (folder != "." && folder != ".." && is_name(folder)) return folder;
  if (fields.has("_name_or_path")) {
    const std::string given =
        std::filesystem::path(fields.word("_name_or_path")).filename().string();
    if (is_name(given)) return given;
  }
  return fields.word("model_type");
}

}  // namespace

ModelConfig parse_hf_config(const std::string& text, const std::string& file) {
  Fields fields(text, file);
  ModelConfig model = family_traits(family_of(fields));
  fields.only("is_encoder_decoder", false);
  read_family(fields, model);
  fill_derived(model, fields);
  read_rotary(fields, model);
  model.name = name_of(fields);
  model.notes = fields.notes();
  validate(model, fields);
  return model;
}

}  // namespace tessera
