#pragma once

#include <optional>
#include <string>

#include "sim/config/schema.h"

namespace tessera {

// What to tell a user whose key or value is not quite right: the valid key and the number to
// write, units converted.

/// `text` for an error message: control characters escaped, at most 60 characters.
std::string excerpt(const std::string& text);

/// A value that carries a unit: "50 MiB" is {50, "MiB"}; nothing if it does not read so.
struct Measured {
  double number = 0;
  std::string unit;
};
std::optional<Measured> parse_measured(const std::string& text);

/// The number to write under `key` when the user gave `measured`, e.g. "3350" for 3.35 TB/s under a
/// key in GB/s; "" if the units are not of one kind, or the key is an integer and the number not.
std::string converted(const Measured& measured, const KeyInfo& key);

/// Advice for an unknown key with the given value text ("" = a section): the same quantity in the
/// unit of the valid key, the key of another section with the same name, or the nearest spelling.
std::string key_advice(const std::string& unknown_key, const std::string& value);

}  // namespace tessera
