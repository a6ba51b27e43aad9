#include "sim/config/suggestion.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "sim/base/error.h"

namespace tessera {
namespace {

enum class Dimension {
  size,
  bandwidth,
  frequency,
  time,
  power,
  energy_per_byte,
  energy_per_flop,
  cycles,
  bytes_per_cycle
};

struct Unit {
  std::string_view spelling;  ///< lower case
  Dimension dimension;
  double factor;  ///< in the dimension's base unit
};

constexpr double kKi = 1024, kMi = kKi * 1024, kGi = kMi * 1024, kTi = kGi * 1024;

// "b" is read as bytes: no key counts bits, and gbps is GB/s in every key.
constexpr std::array<Unit, 49> kUnits = {{
    {"b", Dimension::size, 1},
    {"byte", Dimension::size, 1},
    {"bytes", Dimension::size, 1},
    {"kb", Dimension::size, 1e3},
    {"mb", Dimension::size, 1e6},
    {"gb", Dimension::size, 1e9},
    {"tb", Dimension::size, 1e12},
    {"kib", Dimension::size, kKi},
    {"mib", Dimension::size, kMi},
    {"gib", Dimension::size, kGi},
    {"tib", Dimension::size, kTi},
    {"b/s", Dimension::bandwidth, 1},
    {"kb/s", Dimension::bandwidth, 1e3},
    {"mb/s", Dimension::bandwidth, 1e6},
    {"gb/s", Dimension::bandwidth, 1e9},
    {"tb/s", Dimension::bandwidth, 1e12},
    {"mbps", Dimension::bandwidth, 1e6},
    {"gbps", Dimension::bandwidth, 1e9},
    {"tbps", Dimension::bandwidth, 1e12},
    {"mib/s", Dimension::bandwidth, kMi},
    {"gib/s", Dimension::bandwidth, kGi},
    {"tib/s", Dimension::bandwidth, kTi},
    {"hz", Dimension::frequency, 1},
    {"khz", Dimension::frequency, 1e3},
    {"mhz", Dimension::frequency, 1e6},
    {"ghz", Dimension::frequency, 1e9},
    {"ps", Dimension::time, 1},
    {"ns", Dimension::time, 1e3},
    {"us", Dimension::time, 1e6},
    {"ms", Dimension::time, 1e9},
    {"s", Dimension::time, 1e12},
    {"mw", Dimension::power, 1e-3},
    {"w", Dimension::power, 1},
    {"kw", Dimension::power, 1e3},
    {"watt", Dimension::power, 1},
    {"watts", Dimension::power, 1},
    {"pj/b", Dimension::energy_per_byte, 1},
    {"pj/byte", Dimension::energy_per_byte, 1},
    {"nj/byte", Dimension::energy_per_byte, 1e3},
    {"pj/bit", Dimension::energy_per_byte, 8},
    {"pj/flop", Dimension::energy_per_flop, 1},
    {"fj/flop", Dimension::energy_per_flop, 1e-3},
    {"cycle", Dimension::cycles, 1},
    {"cycles", Dimension::cycles, 1},
    {"clk", Dimension::cycles, 1},
    {"b/cycle", Dimension::bytes_per_cycle, 1},
    {"bytes/cycle", Dimension::bytes_per_cycle, 1},
    {"b/clk", Dimension::bytes_per_cycle, 1},
    {"bytes/clk", Dimension::bytes_per_cycle, 1},
}};

const Unit* find_unit(std::string spelling) {
  std::transform(spelling.begin(), spelling.end(), spelling.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto found = std::find_if(kUnits.begin(), kUnits.end(),
                                  [&](const Unit& unit) { return unit.spelling == spelling; });
  return found == kUnits.end() ? nullptr : &*found;
}

// "bandwidth_tbps" -> {"bandwidth", "tbps"}; "l2_pj_per_bit" -> {"l2", "pj/bit"}; without a unit
// the stem is the whole word.
struct Word {
  std::string stem, unit;
};

Word split_unit(const std::string& word) {
  for (std::size_t at = word.find('_'); at != std::string::npos; at = word.find('_', at + 1)) {
    std::string tail = word.substr(at + 1);
    const std::size_t per = tail.find("_per_");
    if (per != std::string::npos) tail.replace(per, 5, "/");
    if (find_unit(tail) != nullptr) return {word.substr(0, at), tail};
  }
  return {word, ""};
}

std::string last_word(const std::string& key) { return key.substr(key.rfind('.') + 1); }

std::string section_of(const std::string& key) {
  const std::size_t dot = key.rfind('.');
  return dot == std::string::npos ? std::string() : key.substr(0, dot);
}

std::string in_unit(const KeyInfo& key) {
  return key.unit.empty() ? std::string() : " in " + key.unit;
}

}  // namespace

std::string excerpt(const std::string& text) {
  std::string shown = "'";
  for (const char c : text) {
    if (shown.size() > 60) {
      shown += "...";
      break;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      shown += fmt::format("\\x{:02x}", byte);
    } else {
      shown += c;
    }
  }
  return shown + "'";
}

std::optional<Measured> parse_measured(const std::string& text) {
  if (text.empty() || text.size() > 60) return std::nullopt;
  const char* end = text.data() + text.size();
  double number = 0;
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || !std::isfinite(number)) return std::nullopt;
  std::string unit(rest, end);
  unit.erase(0, unit.find_first_not_of(" \t_"));
  if (find_unit(unit) == nullptr) return std::nullopt;
  return Measured{number, unit};
}

std::string converted(const Measured& measured, const KeyInfo& key) {
  const Unit* from = find_unit(measured.unit);
  const Unit* to = find_unit(key.unit);
  if (from == nullptr || to == nullptr || from->dimension != to->dimension) return "";
  const double value = measured.number * from->factor / to->factor;
  if (key.type == KeyType::integer && value != std::floor(value)) return "";
  return fmt::format("{:.6g}", value);
}

std::string key_advice(const std::string& unknown_key, const std::string& value) {
  const std::string list = "see docs/reference/chip-keys.md";
  if (unknown_key.size() > 100) return list;  // edit distance is quadratic
  const std::string section = section_of(unknown_key);
  const Word word = split_unit(last_word(unknown_key));

  const KeyInfo* elsewhere = nullptr;
  for (const KeyInfo& key : chip_schema()) {
    const Word valid = split_unit(last_word(key.name));
    if (section_of(key.name) == section && valid.stem == word.stem && key.type != KeyType::text) {
      std::string advice = "did you mean '" + key.name + "'," + in_unit(key) + "?";
      if (const auto measured = parse_measured(value + " " + word.unit)) {
        const std::string number = converted(*measured, key);
        if (!number.empty()) advice += " (" + last_word(key.name) + ": " + number + ")";
      }
      return advice;
    }
    if (elsewhere == nullptr && last_word(key.name) == last_word(unknown_key)) elsewhere = &key;
  }
  if (elsewhere != nullptr) return "did you mean '" + elsewhere->name + "'?";

  std::vector<std::string> words;
  const std::vector<std::string>& sections = chip_sections();
  const bool known_section = std::find(sections.begin(), sections.end(), section) != sections.end();
  if (known_section) {  // compare inside the section: its name must not count as likeness
    for (const KeyInfo& key : chip_schema()) {
      if (section_of(key.name) == section) words.push_back(last_word(key.name));
    }
    const std::string near = nearest(last_word(unknown_key), words);
    if (!near.empty()) return "did you mean '" + section + "." + near + "'?";
    return list;
  }
  for (const KeyInfo& key : chip_schema()) words.push_back(key.name);
  if (section.empty()) {
    words.insert(words.end(), sections.begin(), sections.end());
    words.emplace_back("base");
  }
  const std::string near = nearest(unknown_key, words);
  return near.empty() ? list : "did you mean '" + near + "'?";
}

}  // namespace tessera
