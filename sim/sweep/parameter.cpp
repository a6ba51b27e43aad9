#include "sim/sweep/parameter.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "sim/config/chip_config.h"
#include "sim/config/loader.h"
#include "sim/config/suggestion.h"
#include "sim/frontend/graph_builder.h"
#include "sim/precision/arithmetic.h"

namespace tessera {
namespace {

Parameter text(const char* name, const char* meaning) {
  Parameter parameter;
  parameter.name = name;
  parameter.meaning = meaning;
  return parameter;
}

Parameter count(const char* name, double least, double most, const char* unit,
                const char* meaning) {
  Parameter parameter = text(name, meaning);
  parameter.numeric = parameter.whole = true;
  parameter.least = least;
  parameter.most = most;
  parameter.unit = unit;
  return parameter;
}

std::vector<Parameter> all_parameters() {
  const auto positions = static_cast<double>(max_position_count);
  std::vector<Parameter> all = {
      text("chip", "Chip: a name or a YAML file."),
      text("op", "One operation, as `tessera run --op` takes it."),
      text("model", "Model: a name, a YAML description or a Hugging Face config.json."),
      text("phase", "prefill or decode."),
      count("batch", 1, static_cast<double>(max_batch), "sequences", "Sequences."),
      count("seq", 1, positions, "tokens", "New tokens per sequence."),
      count("past", 0, positions, "tokens", "Tokens already in the KV cache."),
      count("layers", 1, static_cast<double>(max_layers), "layers",
            "Only the first decoder layers, without embedding and head."),
      text("precision", "Of the linear layers."),
      text("recipe", "Scaling of FP8 operands; own: the precision's own."),
      count("tp", 1, static_cast<double>(max_tp), "chips", "Chips that share each layer."),
  };
  for (const KeyInfo& key : chip_schema()) {
    if (key.name == "name" || key.name == "description") continue;
    Parameter parameter;
    parameter.name = key.name;
    parameter.numeric = key.type != KeyType::text;
    parameter.whole = parameter.numeric && key.type != KeyType::real;
    parameter.least = key.min;
    parameter.most = key.max;
    parameter.unit = key.unit;
    parameter.meaning = key.meaning;
    parameter.key = &key;
    all.push_back(parameter);
  }
  return all;
}

}  // namespace

const std::vector<Parameter>& parameters() {
  static const std::vector<Parameter> all = all_parameters();
  return all;
}

const Parameter* find_parameter(const std::string& name) {
  const auto& all = parameters();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Parameter& p) { return p.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::vector<std::string> parameter_names() {
  std::vector<std::string> names;
  for (const Parameter& parameter : parameters()) names.push_back(parameter.name);
  return names;
}

std::string number_text(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15)
    return fmt::format("{}", static_cast<std::int64_t>(value));
  return fmt::format("{}", value);
}

void check_value(const Parameter& parameter, const std::string& text, const SourceLocation& where) {
  if (parameter.key != nullptr) {
    ChipConfig any;
    set_key(any, parameter.name, text, where);
    return;
  }
  if (parameter.numeric) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool read = error == std::errc() && end == text.data() + text.size();
    if (!read || static_cast<double>(value) < parameter.least ||
        static_cast<double>(value) > parameter.most)
      throw InputError(
          where, parameter.name,
          fmt::format("{} is {}", excerpt(text), read ? "out of range" : "not a whole number"),
          fmt::format("give a whole number of {}, {} to {}", parameter.unit,
                      number_text(parameter.least), number_text(parameter.most)));
    return;
  }
  if (text.empty()) throw InputError(where, parameter.name, "no value", parameter.meaning);
  try {
    if (parameter.name == "phase") parse_phase(text);
    if (parameter.name == "precision") parse_precision(text);
    if (parameter.name == "recipe" && text != own_recipe) parse_recipe(text, "recipe");
  } catch (const InputError& error) {
    throw InputError(where, "", error.what(), "");
  }
}

}  // namespace tessera
