#pragma once

#include <string>
#include <vector>

#include "sim/config/chip_config.h"
#include "sim/frontend/graph_builder.h"
#include "sim/frontend/model.h"

namespace tessera {

/// A model by name (a file NAME.yaml in one of `dirs`), by path of a description of ours (.yaml,
/// .yml), of a Hugging Face config.json, or of a directory that holds a config.json.
/// Throws InputError: not found (with the nearest name), or what the file's parser refuses.
ModelConfig load_model(const std::string& name_or_path, const std::vector<std::string>& dirs);

/// The file that load_model reads, or "" if there is none.
std::string model_file(const std::string& name_or_path, const std::vector<std::string>& dirs);

/// Names that load_model finds in `dirs`, sorted, each once.
std::vector<std::string> model_names(const std::vector<std::string>& dirs);

/// load_model and build_graph; the graph's workload line is the command-line form of the request.
LayerGraph build_workload(const std::string& name_or_path, const std::vector<std::string>& dirs,
                          const WorkloadOptions& options);

/// "" if what `graph` keeps in memory (weights, KV cache, activations) fits that of `chip`, else
/// how much it needs: "needs 16.1 GB (weights ...), 1.2 GB more than the 80 GB of ...".
std::string memory_excess(const LayerGraph& graph, const ChipConfig& chip);

}  // namespace tessera
