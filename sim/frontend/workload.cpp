#include "sim/frontend/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "sim/base/error.h"
#include "sim/frontend/hf_config.h"
#include "sim/frontend/model_yaml.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

/// More than any model description, so that a wrong path (a checkpoint) is not read whole.
constexpr std::size_t max_file_bytes = (std::size_t{4} << 20) + 1;

std::string read_file(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::string text;
  if (stream) {
    text.resize(max_file_bytes);
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(stream.gcount()));
  }
  if (stream.bad() || !stream.is_open()) {
    throw InputError({path.string(), 0}, "", "cannot be read", "check its permissions");
  }
  return text;
}

bool looks_like_json(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string::npos && text[first] == '{';
}

ModelConfig load_file(const fs::path& path) {
  const std::string extension = path.extension().string();
  const std::string file = path.string();
  if (extension == ".onnx") {
    throw InputError({file, 0}, "", "ONNX graphs cannot be read yet",
                     "give a model description or a Hugging Face config.json");
  }
  const std::string text = read_file(path);
  const bool json = extension == ".json" ||
                    (extension != ".yaml" && extension != ".yml" && looks_like_json(text));
  return json ? parse_hf_config(text, file) : parse_model_yaml(text, file);
}

std::string gigabytes(double bytes) {
  return bytes < 1e9 ? fmt::format("{:.1f} MB", bytes * 1e-6)
                     : fmt::format("{:.1f} GB", bytes * 1e-9);
}

}  // namespace

std::vector<std::string> model_names(const std::vector<std::string>& dirs) {
  std::set<std::string> names;
  for (const std::string& dir : dirs) {
    std::error_code ignored;  // a search directory need not exist
    for (fs::directory_iterator it(dir, ignored), end; !ignored && it != end;
         it.increment(ignored)) {
      const std::string extension = it->path().extension().string();
      if (extension == ".yaml" || extension == ".yml") names.insert(it->path().stem().string());
    }
  }
  return {names.begin(), names.end()};
}

std::string model_file(const std::string& name_or_path, const std::vector<std::string>& dirs) {
  std::error_code ignored;
  const fs::path path(name_or_path);
  // A name wins over a folder that happens to be called the same.
  if (!name_or_path.empty() && name_or_path.find('/') == std::string::npos) {
    for (const std::string& dir : dirs) {
      for (const char* extension : {".yaml", ".yml"}) {
        const fs::path file = fs::path(dir) / (name_or_path + extension);
        if (fs::is_regular_file(file, ignored)) return file.string();
      }
    }
  }
  const fs::path file = fs::is_directory(path, ignored) ? path / "config.json" : path;
  return fs::is_regular_file(file, ignored) ? file.string() : "";
}

ModelConfig load_model(const std::string& name_or_path, const std::vector<std::string>& dirs) {
  if (const std::string file = model_file(name_or_path, dirs); !file.empty())
    return load_file(file);
  std::error_code ignored;
  const fs::path path(name_or_path);
  const bool pathlike = name_or_path.find('/') != std::string::npos || path.has_extension();
  if (fs::is_directory(path, ignored)) {
    throw InputError("--model", fmt::format("the folder '{}' holds no config.json", name_or_path),
                     "give a Hugging Face model's folder, a file or a model's name");
  }
  const std::vector<std::string> names = model_names(dirs);
  const std::string close = nearest(name_or_path, names);
  if (!close.empty()) {
    throw InputError("--model", fmt::format("unknown model '{}'", name_or_path),
                     fmt::format("did you mean '{}'?", close));
  }
  if (pathlike) {
    throw InputError("--model", fmt::format("there is no file '{}'", name_or_path),
                     "give a model description (.yaml) or a Hugging Face config.json");
  }
  throw InputError("--model", fmt::format("unknown model '{}'", name_or_path),
                   fmt::format("give a file, or one of {}", fmt::join(names, ", ")));
}

LayerGraph build_workload(const std::string& name_or_path, const std::vector<std::string>& dirs,
                          const WorkloadOptions& options) {
  return build_graph(load_model(name_or_path, dirs), options);
}

std::string memory_excess(const LayerGraph& graph, const ChipConfig& chip) {
  const double weights = static_cast<double>(graph.weight_bytes.value);
  const double cache = static_cast<double>(graph.kv_cache_bytes.value);
  const double activations = static_cast<double>(graph.activation_bytes.value);
  const double needed = weights + cache + activations;
  const double memory = chip.hbm.size_gib * 1073741824.0;
  if (needed <= memory) return "";
  return fmt::format(
      "needs {} (weights {}, KV cache {}, activations {}), {} more than the {} of {}",
      gigabytes(needed), gigabytes(weights), gigabytes(cache), gigabytes(activations),
      gigabytes(needed - memory), gigabytes(memory), chip.name);
}

}  // namespace tessera
