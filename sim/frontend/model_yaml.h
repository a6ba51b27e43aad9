#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sim/frontend/model.h"

namespace tessera {

/// A model description of ours (models/README.md), `file` named in errors. `name` defaults to the
/// file's stem. Throws InputError with line and key: syntax, unknown or repeated key, missing
/// size, wrong type, out of range.
ModelConfig parse_model_yaml(const std::string& text, const std::string& file);

/// Keys of a model description, in the order of the reference in models/README.md.
const std::vector<std::string>& model_yaml_keys();

}  // namespace tessera
