#include "sim/precision/tensor_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "sim/base/error.h"
#include "sim/precision/npy.h"
#include "sim/precision/safetensors.h"

namespace tessera {

namespace fs = std::filesystem;

bool is_tensor_file(const std::string& path) {
  const std::string ending = fs::path(path).extension().string();
  return ending == ".safetensors" || ending == ".npy";
}

TensorSource::TensorSource(const std::string& folder) : folder_(folder) {
  std::error_code error;
  std::vector<std::string> files;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (is_tensor_file(it->path().string())) files.push_back(it->path().string());
  }
  if (error)
    throw InputError({folder, 0}, "", fmt::format("cannot be read ({})", error.message()),
                     "give a folder of .safetensors or .npy files");
  if (files.empty())
    throw InputError({folder, 0}, "", "holds no tensors",
                     "give a folder of .safetensors or .npy files");
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) {
    std::vector<StoredTensor> found;
    if (fs::path(file).extension() == ".npy") {
      found.push_back(read_npy(file));
    } else {
      found = read_safetensors(file);
    }
    for (StoredTensor& tensor : found) {
      const auto [there, is_new] = tensors_.emplace(tensor.name, tensor);
      if (!is_new)
        throw InputError({file, 0}, tensor.name,
                         fmt::format("stands in {} too", there->second.file),
                         "a folder has each tensor once");
    }
  }
}

const StoredTensor* TensorSource::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

const StoredTensor* TensorSource::find_any(const std::vector<std::string>& names) const {
  for (const std::string& name : names) {
    if (const StoredTensor* tensor = find(name)) return tensor;
  }
  return nullptr;
}

std::vector<std::string> TensorSource::names() const {
  std::vector<std::string> names;
  for (const auto& entry : tensors_) names.push_back(entry.first);
  return names;
}

}  // namespace tessera
