#pragma once

#include <map>
#include <string>
#include <vector>

#include "sim/precision/stored_tensor.h"

namespace tessera {

/// Whether a TensorSource reads this file of its folder: *.safetensors and *.npy.
bool is_tensor_file(const std::string& path);

/// The tensors of a folder: every *.safetensors and *.npy in it (an .npy file's tensor is called as
/// the file). Names are unique.
class TensorSource {
 public:
  /// Reads the headers. Throws InputError: no folder, no such file in it, a name in two files, or
  /// what the readers refuse.
  explicit TensorSource(const std::string& folder);

  const std::string& folder() const { return folder_; }
  /// nullptr if there is none of this name.
  const StoredTensor* find(const std::string& name) const;
  /// The first of `names` that is there.
  const StoredTensor* find_any(const std::vector<std::string>& names) const;
  std::vector<std::string> names() const;

 private:
  std::string folder_;
  std::map<std::string, StoredTensor> tensors_;
};

}  // namespace tessera
