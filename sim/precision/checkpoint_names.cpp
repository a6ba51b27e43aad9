#include "sim/precision/checkpoint_names.h"

#include <fmt/format.h>

namespace tessera {
namespace {

struct Row {
  const char* operation;
  std::vector<const char*> parts;  ///< {0}: layer, {1}: expert
  bool transposed = false;
  bool interleaved = false;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
      {"attention.qkv",
       {"layers.{0}.self_attn.q_proj", "layers.{0}.self_attn.k_proj",
        "layers.{0}.self_attn.v_proj"}},
      {"attention.qkv", {"layers.{0}.self_attn.qkv_proj"}},
      {"attention.qkv", {"h.{0}.attn.c_attn"}, true},
      {"attention.qkv", {"layers.{0}.attention.query_key_value"}, false, true},
      {"attention.qkv",
       {"encoder.layer.{0}.attention.self.query", "encoder.layer.{0}.attention.self.key",
        "encoder.layer.{0}.attention.self.value"}},
      {"attention.output", {"layers.{0}.self_attn.o_proj"}},
      {"attention.output", {"layers.{0}.self_attn.out_proj"}},
      {"attention.output", {"layers.{0}.self_attn.dense"}},
      {"attention.output", {"h.{0}.attn.c_proj"}, true},
      {"attention.output", {"layers.{0}.attention.dense"}},
      {"attention.output", {"encoder.layer.{0}.attention.output.dense"}},
      {"mlp.gate_up", {"layers.{0}.mlp.gate_proj", "layers.{0}.mlp.up_proj"}},
      {"mlp.gate_up", {"layers.{0}.mlp.gate_up_proj"}},
      {"mlp.up", {"h.{0}.mlp.c_fc"}, true},
      {"mlp.up", {"layers.{0}.fc1"}},
      {"mlp.up", {"layers.{0}.mlp.fc1"}},
      {"mlp.up", {"layers.{0}.mlp.dense_h_to_4h"}},
      {"mlp.up", {"encoder.layer.{0}.intermediate.dense"}},
      {"mlp.down", {"layers.{0}.mlp.down_proj"}},
      {"mlp.down", {"h.{0}.mlp.c_proj"}, true},
      {"mlp.down", {"layers.{0}.fc2"}},
      {"mlp.down", {"layers.{0}.mlp.fc2"}},
      {"mlp.down", {"layers.{0}.mlp.dense_4h_to_h"}},
      {"mlp.down", {"encoder.layer.{0}.output.dense"}},
      {"moe.router", {"layers.{0}.block_sparse_moe.gate"}},
      {"moe.up",
       {"layers.{0}.block_sparse_moe.experts.{1}.w1",
        "layers.{0}.block_sparse_moe.experts.{1}.w3"}},
      {"moe.down", {"layers.{0}.block_sparse_moe.experts.{1}.w2"}},
      {"attention.norm", {"layers.{0}.input_layernorm"}},
      {"attention.norm", {"h.{0}.ln_1"}},
      {"attention.norm", {"layers.{0}.self_attn_layer_norm"}},
      {"attention.norm", {"encoder.layer.{0}.attention.output.LayerNorm"}},
      {"attention.post_norm", {"layers.{0}.post_attention_layernorm"}},
      {"mlp.norm", {"layers.{0}.pre_feedforward_layernorm"}},
      {"mlp.norm", {"layers.{0}.post_attention_layernorm"}},
      {"mlp.norm", {"h.{0}.ln_2"}},
      {"mlp.norm", {"layers.{0}.final_layer_norm"}},
      {"mlp.norm", {"encoder.layer.{0}.output.LayerNorm"}},
      {"mlp.post_norm", {"layers.{0}.post_feedforward_layernorm"}},
      {"head.norm", {"norm"}},
      {"head.norm", {"ln_f"}},
      {"head.norm", {"final_layer_norm"}},
      {"head.norm", {"final_layernorm"}},
      {"head.lm", {"lm_head"}},
      {"head.lm", {"embed_out"}},
      {"head.lm", {"embed_tokens"}},
      {"head.lm", {"wte"}},
      {"head.pooler", {"pooler.dense"}},
      {"embedding.tokens", {"embed_tokens"}},
      {"embedding.tokens", {"wte"}},
      {"embedding.tokens", {"embed_in"}},
      {"embedding.tokens", {"embeddings.word_embeddings"}},
      {"embedding.positions", {"embed_positions"}},
      {"embedding.positions", {"wpe"}},
      {"embedding.positions", {"embeddings.position_embeddings"}},
      {"embedding.token_types", {"embeddings.token_type_embeddings"}},
      {"embedding.norm", {"embeddings.LayerNorm"}},
  };
  return table;
}

constexpr const char* prefixes[] = {"",      "model.",    "transformer.",
                                    "bert.", "gpt_neox.", "model.decoder."};

}  // namespace

std::vector<CheckpointNames> checkpoint_names(const std::string& operation, std::int64_t layer,
                                              const std::string& parameter, std::int64_t expert) {
  std::vector<CheckpointNames> all;
  for (const Row& row : rows()) {
    if (operation != row.operation) continue;
    for (const char* prefix : prefixes) {
      CheckpointNames names;
      names.transposed = row.transposed;
      names.interleaved = row.interleaved;
      for (const char* part : row.parts)
        names.parts.push_back(prefix + fmt::format(fmt::runtime(part), layer, expert) + "." +
                              parameter);
      all.push_back(names);
    }
  }
  return all;
}

}  // namespace tessera
