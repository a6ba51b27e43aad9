#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tessera {

/// One way in which a checkpoint may hold the parameter of an operation: one tensor, or several
/// whose rows follow one another (q_proj, k_proj and v_proj of a fused QKV).
struct CheckpointNames {
  std::vector<std::string> parts;  ///< with ".weight" or ".bias"
  bool transposed = false;         ///< stored as [k][n], as GPT-2's Conv1D
  bool interleaved = false;        ///< query, key and value of each head together (GPT-NeoX)
};

/// The names under which Hugging Face's checkpoints of the families of sim/frontend/model.h hold
/// the `parameter` ("weight" or "bias") of an operation of decoder layer `layer`, most usual first;
/// with and without the prefixes model., transformer., bert., gpt_neox. and model.decoder. Empty
/// for operations that have none. `expert` counts the experts of a mixture: its operations are
/// "moe.up" and "moe.down".
std::vector<CheckpointNames> checkpoint_names(const std::string& operation, std::int64_t layer,
                                              const std::string& parameter,
                                              std::int64_t expert = 0);

}  // namespace tessera
