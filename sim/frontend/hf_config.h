#pragma once

#include <string>

#include "sim/frontend/model.h"

namespace tessera {

/// A Hugging Face config.json with the field names of its `model_type`; `file` is named in errors
/// and names the model (its stem, or the folder of a `config.json`). Fields that are
/// known to cost no time (training, sampling, angles, epsilons) are ignored; any other field that
/// is not used becomes one of the model's notes. Absent optional fields take the default that the
/// transformers library documents; an absent size is an error that names it.
///
/// Throws InputError with the line: syntax, more than 4 MiB, nested deeper than 64, unsupported
/// model_type (with the supported ones), missing or repeated field, wrong type, out of range.
ModelConfig parse_hf_config(const std::string& text, const std::string& file);

}  // namespace tessera
