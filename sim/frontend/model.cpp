#include "sim/frontend/model.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/frontend/layer_graph.h"

namespace tessera {
namespace {

std::int64_t product(std::initializer_list<std::int64_t> factors) {
  return checked_product("model", factors, max_tensor_elements);
}

/// One size and the bounds on it.
struct Size {
  const char* member;
  std::int64_t value, low, high;
};

void check(const Size& size, const KeyNames& keys) {
  if (size.value >= size.low && size.value <= size.high) return;
  throw InputError(keys.where(size.member), keys.key(size.member),
                   fmt::format("{} is out of range", size.value),
                   fmt::format("give a whole number from {} to {}", size.low, size.high));
}

void require(bool holds, const KeyNames& keys, const std::string& member, const std::string& wrong,
             const std::string& right) {
  if (!holds) throw InputError(keys.where(member), keys.key(member), wrong, right);
}

}  // namespace

SourceLocation KeyNames::where(const std::string&) const { return {}; }
std::string KeyNames::key(const std::string& member) const { return member; }

std::string_view name(Family family) {
  switch (family) {
    case Family::gpt2:
      return "gpt2";
    case Family::opt:
      return "opt";
    case Family::gpt_neox:
      return "gpt_neox";
    case Family::bert:
      return "bert";
    case Family::llama:
      return "llama";
    case Family::mistral:
      return "mistral";
    case Family::mixtral:
      return "mixtral";
    case Family::qwen2:
      return "qwen2";
    case Family::qwen3:
      return "qwen3";
    case Family::gemma:
      return "gemma";
    case Family::gemma2:
      return "gemma2";
    case Family::phi:
      return "phi";
    case Family::phi3:
      return "phi3";
  }
  return "";
}

const std::vector<Family>& all_families() {
  static const std::vector<Family> families = {
      Family::gpt2,    Family::opt,     Family::gpt_neox, Family::bert,  Family::llama,
      Family::mistral, Family::mixtral, Family::qwen2,    Family::qwen3, Family::gemma,
      Family::gemma2,  Family::phi,     Family::phi3};
  return families;
}

std::string_view name(Norm norm) { return norm == Norm::layernorm ? "layernorm" : "rmsnorm"; }

std::string_view name(NormPlacement placement) {
  switch (placement) {
    case NormPlacement::pre:
      return "pre";
    case NormPlacement::post:
      return "post";
    case NormPlacement::sandwich:
      return "sandwich";
  }
  return "";
}

std::string_view name(MlpActivation activation) {
  switch (activation) {
    case MlpActivation::gelu:
      return "gelu";
    case MlpActivation::relu:
      return "relu";
    case MlpActivation::silu:
      return "silu";
  }
  return "";
}

std::string_view name(Positions positions) {
  return positions == Positions::learned ? "learned" : "rotary";
}

std::int64_t ModelConfig::window(std::int64_t layer) const {
  if (windowed_layers.empty()) return sliding_window;
  return windowed_layers[static_cast<std::size_t>(layer)] ? sliding_window : 0;
}

ModelConfig family_traits(Family family) {
  ModelConfig model;
  model.family = family;
  const auto classic = [&] {  // GPT-2 and its relatives: LayerNorm, GELU, biases everywhere
    model.norm = Norm::layernorm;
    model.activation = MlpActivation::gelu;
    model.gated = false;
    model.qkv_bias = model.output_bias = model.mlp_bias = true;
  };
  switch (family) {
    case Family::gpt2:
      classic();
      model.positions = Positions::learned;
      model.tie_word_embeddings = true;
      break;
    case Family::opt:
      classic();
      model.activation = MlpActivation::relu;
      model.positions = Positions::learned;
      model.position_offset = 2;
      model.tie_word_embeddings = true;
      break;
    case Family::gpt_neox:
      classic();
      model.parallel_residual = true;
      break;
    case Family::bert:
      classic();
      model.positions = Positions::learned;
      model.norm_placement = NormPlacement::post;
      model.final_norm = false;
      model.encoder = true;
      model.token_types = 2;
      model.pooler = true;
      break;
    case Family::phi:
      classic();
      model.parallel_residual = true;
      model.shared_norm = true;
      model.lm_head_bias = true;
      break;
    case Family::qwen2:
      model.qkv_bias = true;
      break;
    case Family::qwen3:
      model.qk_norm = true;
      break;
    case Family::gemma2:
      model.norm_placement = NormPlacement::sandwich;
      [[fallthrough]];
    case Family::gemma:
      model.activation = MlpActivation::gelu;
      model.tie_word_embeddings = true;
      break;
    case Family::llama:
    case Family::mistral:
    case Family::mixtral:
    case Family::phi3:
      break;
  }
  return model;
}

void fill_derived(ModelConfig& model, const KeyNames& keys) {
  check(Size{"hidden", model.hidden, 1, max_hidden}, keys);
  if (model.embed_dim == 0) model.embed_dim = model.hidden;
  if (model.kv_heads == 0) model.kv_heads = model.heads;
  if (model.head_dim == 0 && model.heads > 0) {
    require(model.hidden % model.heads == 0, keys, "heads",
            fmt::format("{} heads do not divide the hidden size {}", model.heads, model.hidden),
            "give a divisor, or the head dimension");
    model.head_dim = model.hidden / model.heads;
  }
  if (model.rotary_dim == 0 && model.positions == Positions::rotary) {
    model.rotary_dim = model.head_dim;
  }
}

void validate(const ModelConfig& model, const KeyNames& keys) {
  for (const Size& size : {
           Size{"layers", model.layers, 1, max_layers},
           Size{"hidden", model.hidden, 1, max_hidden},
           Size{"heads", model.heads, 1, max_hidden},
           Size{"kv_heads", model.kv_heads, 1, max_hidden},
           Size{"head_dim", model.head_dim, 1, 65'536},
           Size{"inter", model.inter, 1, max_width},
           Size{"vocab", model.vocab, 1, max_width},
           Size{"max_positions", model.max_positions, 1, max_position_count},
           Size{"embed_dim", model.embed_dim, 1, max_hidden},
           Size{"position_offset", model.position_offset, 0, 1024},
           Size{"rotary_dim", model.rotary_dim, 0, model.head_dim},
           Size{"sliding_window", model.sliding_window, 0, max_position_count},
           Size{"experts", model.experts, 0, max_experts},
           Size{"topk", model.topk, model.experts > 0 ? 1 : 0, model.experts},
           Size{"token_types", model.token_types, 0, max_width},
       }) {
    check(size, keys);
  }
  require(
      model.heads % model.kv_heads == 0, keys, "kv_heads",
      fmt::format("{} query heads do not share {} KV heads evenly", model.heads, model.kv_heads),
      "give a divisor of the number of heads");
  require(model.heads * model.head_dim <= max_hidden, keys, "heads",
          fmt::format("{} heads of {} are wider than {}", model.heads, model.head_dim, max_hidden),
          "make them fewer or narrower");
  require(model.positions == Positions::learned || (model.rotary_dim > 0), keys, "rotary_dim",
          "no dimension of a head is rotated", "give an even number up to head_dim");
  require(model.rotary_dim % 2 == 0, keys, "rotary_dim",
          fmt::format("{} dimensions cannot be rotated in pairs", model.rotary_dim),
          "give an even number");
  require(!model.gated || model.activation != MlpActivation::relu, keys, "activation",
          "a gated relu is not supported", "give silu or gelu, or an MLP without gate");
  require(model.gated || model.activation != MlpActivation::silu, keys, "activation",
          "silu without a gate is not supported", "give gelu or relu, or a gated MLP");
  require(model.windowed_layers.empty() ||
              model.windowed_layers.size() == static_cast<std::size_t>(model.layers),
          keys, "windowed_layers",
          fmt::format("{} entries for {} layers", model.windowed_layers.size(), model.layers),
          "give one for each layer");
  require(!model.encoder || model.sliding_window == 0, keys, "sliding_window",
          "an encoder has no sliding window", "leave it out");
  require(!model.encoder || model.experts == 0, keys, "experts", "an encoder has no experts",
          "leave them out");
  // The matrices a graph will hold, so that no later product of two of these sizes overflows.
  parameters(model);
}

std::int64_t parameters(const ModelConfig& model) {
  const std::int64_t d = model.hidden;
  const std::int64_t q = product({model.heads, model.head_dim});
  const std::int64_t kv = product({model.kv_heads, model.head_dim});
  const std::int64_t norm = !model.norm_affine ? 0 : (model.norm == Norm::layernorm ? 2 * d : d);
  const int norms_per_layer =
      model.norm_placement == NormPlacement::sandwich ? 4 : (model.shared_norm ? 1 : 2);

  std::int64_t layer = product({d, q + 2 * kv}) + product({q, d}) + norms_per_layer * norm;
  if (model.qkv_bias) layer += q + 2 * kv;
  if (model.output_bias) layer += d;
  if (model.qk_norm) layer += 2 * model.head_dim;
  std::int64_t mlp = product({d, model.inter, model.gated ? 3 : 2});
  if (model.mlp_bias) mlp += (model.gated ? 2 : 1) * model.inter + d;
  if (model.experts > 0) mlp = product({mlp, model.experts}) + product({d, model.experts});
  layer += mlp;

  std::int64_t total = checked_product("model", {layer, model.layers}, max_flops);
  total += product({model.vocab, model.embed_dim});
  if (model.embed_dim != d) total += product({model.embed_dim, d, model.encoder ? 1 : 2});
  if (model.positions == Positions::learned) {
    total += product({model.max_positions + model.position_offset, d});
  }
  total += product({model.token_types, d});
  if (model.encoder) total += norm;  // of the summed embeddings
  if (model.final_norm) total += norm;
  if (model.pooler) total += product({d, d}) + d;
  if (!model.encoder && !model.tie_word_embeddings)
    total += product({model.vocab, model.embed_dim});
  if (model.lm_head_bias) total += model.vocab;
  return total;
}

}  // namespace tessera
