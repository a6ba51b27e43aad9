#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/error.h"

namespace tessera {

/// The architecture of a Transformer decides what a checkpoint of it holds and in which order a
/// layer works. Named as Hugging Face's `model_type`.
enum class Family : std::uint8_t {
  gpt2,
  opt,
  gpt_neox,
  bert,
  llama,
  mistral,
  mixtral,
  qwen2,
  qwen3,
  gemma,
  gemma2,
  phi,
  phi3,
};
std::string_view name(Family family);
/// Every family, in declaration order.
const std::vector<Family>& all_families();

enum class Norm : std::uint8_t { layernorm, rmsnorm };
/// Where a sublayer's norms stand: before it (pre), after its residual (post, BERT), or before it
/// and again before its residual (sandwich, Gemma 2).
enum class NormPlacement : std::uint8_t { pre, post, sandwich };
enum class MlpActivation : std::uint8_t { gelu, relu, silu };
enum class Positions : std::uint8_t { learned, rotary };
std::string_view name(Norm norm);
std::string_view name(NormPlacement placement);
std::string_view name(MlpActivation activation);
std::string_view name(Positions positions);

/// A Transformer's shape: everything that decides its parameters, operations and bytes.
/// Plain values; validate() says whether they make sense together.
struct ModelConfig {
  std::string name;
  Family family = Family::llama;

  std::int64_t layers = 0;
  std::int64_t hidden = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;  ///< = heads: MHA; 1: MQA; between: GQA
  std::int64_t head_dim = 0;
  std::int64_t inter = 0;  ///< MLP width (of one expert)
  std::int64_t vocab = 0;
  std::int64_t max_positions = 0;  ///< trained context; longer ones may be simulated
  std::int64_t embed_dim = 0;  ///< width of the token embedding; != hidden adds projections (OPT)

  Norm norm = Norm::rmsnorm;
  NormPlacement norm_placement = NormPlacement::pre;
  bool norm_affine = true;         ///< norms have weights
  bool final_norm = true;          ///< one more norm before the LM head
  bool parallel_residual = false;  ///< attention and MLP both read the layer's input
  bool shared_norm = false;        ///< with parallel_residual: one norm feeds both (Phi)

  MlpActivation activation = MlpActivation::silu;
  bool gated = true;  ///< act(gate(x)) * up(x) rather than act(up(x))

  Positions positions = Positions::rotary;
  std::int64_t position_offset = 0;  ///< extra rows of a learned position table (OPT: 2)
  std::int64_t rotary_dim = 0;       ///< rotated dimensions of a head

  bool qkv_bias = false;
  bool output_bias = false;  ///< of the attention's output projection
  bool mlp_bias = false;
  bool lm_head_bias = false;
  bool qk_norm = false;  ///< RMS norm of each query and key head (Qwen3)

  std::int64_t sliding_window = 0;    ///< tokens, 0 = none
  std::vector<bool> windowed_layers;  ///< which layers use it; empty = all

  bool tie_word_embeddings = false;  ///< the LM head is the token embedding

  std::int64_t experts = 0;  ///< 0 = dense
  std::int64_t topk = 0;

  bool encoder = false;          ///< bidirectional, no KV cache, no LM head (BERT)
  std::int64_t token_types = 0;  ///< rows of the token-type embedding
  bool pooler = false;           ///< dense layer on the first token

  std::vector<std::string> notes;  ///< what of the user's file is not taken into account

  /// Sliding window of one layer, 0 = none.
  std::int64_t window(std::int64_t layer) const;
};

/// The traits every model of a family shares (norms, biases, activation, positions ...); sizes are
/// zero. `embed_dim`, `kv_heads`, `head_dim` and `rotary_dim` are zero too: fill_derived() sets
/// what is left at zero to its usual value.
ModelConfig family_traits(Family family);

/// embed_dim = hidden, kv_heads = heads, head_dim = hidden / heads (an error if uneven) and
/// rotary_dim = head_dim, each only where it is zero.
class KeyNames;
void fill_derived(ModelConfig& model, const KeyNames& keys);

/// Which key of the user's file a member came from, and on which line, for validate()'s messages.
class KeyNames {
 public:
  virtual ~KeyNames() = default;
  /// Where and under what name the user wrote `member` (a ModelConfig member's name).
  virtual SourceLocation where(const std::string& member) const;
  virtual std::string key(const std::string& member) const;
};

/// Bounds on what a model may be, generous against any real one, tight enough that no product of
/// two sizes overflows.
constexpr std::int64_t max_layers = 10'000;
constexpr std::int64_t max_hidden = 1'000'000;
constexpr std::int64_t max_width = 16'000'000;  ///< inter, vocab
constexpr std::int64_t max_position_count = std::int64_t{1} << 27;
constexpr std::int64_t max_experts = 65'536;

/// Throws InputError naming the key: sizes zero, negative or out of bounds, heads not a multiple
/// of kv_heads, topk above experts and so on.
void validate(const ModelConfig& model, const KeyNames& keys = KeyNames());

/// Exact parameter count of the published checkpoint's model: weights, biases, norms, position
/// and token-type embeddings; a tied LM head counts once.
std::int64_t parameters(const ModelConfig& model);

}  // namespace tessera
