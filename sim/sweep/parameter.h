#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/base/error.h"
#include "sim/config/schema.h"

namespace tessera {

/// Something that a sweep may set: a key of the chip, the chip itself, or a part of the workload
/// (named like the flags of `tessera run`).
struct Parameter {
  std::string name;
  bool numeric = false;
  bool whole = false;            ///< of a numeric one: whole numbers only
  double least = 0, most = 0;    ///< of a numeric one, inclusive
  std::string unit;              ///< "" for a text or a plain number
  std::string meaning;           ///< one sentence
  const KeyInfo* key = nullptr;  ///< nullptr: not a key of the chip
};

/// All of them: the chip, the workload's, the keys of the chip.
const std::vector<Parameter>& parameters();
/// The one of that name, or nullptr.
const Parameter* find_parameter(const std::string& name);
std::vector<std::string> parameter_names();

/// The value of a numeric parameter as a file spells it.
std::string number_text(double value);

/// Throws InputError at `where` if the parameter cannot take the value: no number, not whole, out
/// of range, an unknown phase, precision or recipe. Whether a chip or a model exists is not looked
/// at.
void check_value(const Parameter& parameter, const std::string& text, const SourceLocation& where);

/// The recipe that is the precision's own one.
constexpr const char* own_recipe = "own";

}  // namespace tessera
