#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sim/config/chip_config.h"

namespace tessera {

// The one table of every key of a chip. The loader, `--set`, dump_yaml(), canonical_text() and the
// reference page docs/reference/chip-keys.md all come from it: a new member of ChipConfig needs
// one row here and nothing else.

enum class KeyType : std::uint8_t { integer, real, boolean, text };
/// "integer", "number", "0 or 1" or "text".
std::string_view name(KeyType type);

/// How a key reaches its member of a ChipConfig.
using KeyBinding = std::variant<int* (*)(ChipConfig&), std::int64_t* (*)(ChipConfig&),
                                double* (*)(ChipConfig&), std::string* (*)(ChipConfig&)>;

/// One key. A key that is not required takes the value a default-constructed ChipConfig has.
struct KeyInfo {
  std::string name;  ///< dotted, as in --set: "l2.size_mib"
  KeyType type = KeyType::integer;
  bool required = true;
  std::string unit;         ///< "MiB", "GB/s", "cycles"; empty = a plain count or text
  double min = 0, max = 0;  ///< inclusive; of numbers only
  std::string meaning;      ///< one sentence
  std::string source;       ///< where the number of a real chip is found
  KeyBinding member;
  /// Where the number of a chip that exists may lie: what `tessera calibrate` searches; both 0 for
  /// what a data sheet or a query says, which is not fitted.
  double plausible_min = 0, plausible_max = 0;

  bool is_calibratable() const { return plausible_max > plausible_min; }
};

/// Every key, in the order of chip_config.h.
const std::vector<KeyInfo>& chip_schema();
/// The row of a dotted name, or nullptr.
const KeyInfo* find_key(std::string_view name);
/// The sections, in order: "clock", "core", ...
const std::vector<std::string>& chip_sections();

/// The value as a file spells it: integers in decimal, reals as the shortest text that reads back
/// to the same double, text as it is.
std::string value_text(const KeyInfo& key, const ChipConfig& chip);
/// The numeric value of a key that is not text.
double value_number(const KeyInfo& key, const ChipConfig& chip);
/// The default as value_text(), or "" when the key is required.
std::string default_text(const KeyInfo& key);
/// "32 to 128", or "" for a key that is not calibrated.
std::string plausible_text(const KeyInfo& key);
/// "1 to 1024" (integers and reals), "0 or 1", or "" for text.
std::string range_text(const KeyInfo& key);

}  // namespace tessera
