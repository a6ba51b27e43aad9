#include "sim/config/chip_unit.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "sim/base/error.h"

namespace tessera {
namespace {

/// A UnitConfig of a chip and the formats it is for; the first is what others default to.
struct Section {
  const char* name;
  UnitConfig ChipConfig::*unit;
  std::vector<Format> formats;
};

const std::vector<Section>& sections() {
  static const std::vector<Section> all = {
      {"fp16_unit", &ChipConfig::fp16_unit, {Format::fp16}},
      {"bf16_unit", &ChipConfig::bf16_unit, {Format::bf16}},
      {"tf32_unit", &ChipConfig::tf32_unit, {Format::tf32}},
      {"fp8_unit",
       &ChipConfig::fp8_unit,
       {Format::e4m3, Format::e5m2, Format::e4m3fnuz, Format::e5m2fnuz}},
  };
  return all;
}

const Section* section_of(Format format) {
  for (const Section& section : sections())
    if (std::count(section.formats.begin(), section.formats.end(), format) != 0) return &section;
  return nullptr;
}

const Unit* built_in(const std::string& name) {
  const auto found = std::find_if(units().begin(), units().end(),
                                  [&](const Unit& unit) { return unit.name == name; });
  return found == units().end() ? nullptr : &*found;
}

std::string generation(const std::string& unit) { return unit.substr(0, unit.rfind('.')); }

void require_generation(const std::string& name, const UnitFail& fail) {
  std::vector<std::string> names;
  for (const Unit& unit : units())
    if (names.empty() || names.back() != generation(unit.name))
      names.push_back(generation(unit.name));
  if (std::count(names.begin(), names.end(), name) != 0) return;
  fail("tensor_core.arithmetic", fmt::format("there are no units of a '{}'", name),
       fmt::format("give one of {}", fmt::join(names, ", ")));
}

void require_built_in(const std::string& like, const char* section, const UnitFail& fail) {
  std::vector<std::string> names;
  for (const Unit& unit : units()) names.push_back(unit.name);
  if (std::count(names.begin(), names.end(), like) != 0) return;
  const std::string close = nearest(like, names);
  fail(fmt::format("{}.like", section), fmt::format("there is no built-in unit '{}'", like),
       close.empty() ? fmt::format("give one of {}", fmt::join(names, ", "))
                     : fmt::format("did you mean '{}'?", close));
}

/// The unit that the section of `format` (nullptr: it has none) starts from.
Unit base_unit(const ChipConfig& chip, Format format, const Section* section,
               const UnitFail& fail) {
  const std::string like = section == nullptr ? "" : (chip.*section->unit).like;
  if (like.empty()) {
    require_generation(chip.tensor_core.arithmetic, fail);
  } else {
    require_built_in(like, section->name, fail);
  }
  const std::string gpu = like.empty() ? chip.tensor_core.arithmetic : generation(like);
  if (const Unit* unit = built_in(fmt::format("{}.{}", gpu, name(format)))) return *unit;

  const std::string wrong = fmt::format("{} has no unit for {}", gpu, name(format));
  if (section == nullptr) {
    fail("tensor_core.arithmetic", wrong, "give the generation of a chip that has");
    return {};
  }
  // The same circuit behind another decoder.
  const Unit* other =
      built_in(like.empty() ? fmt::format("{}.{}", gpu, name(section->formats.front())) : like);
  if (other == nullptr) {
    fail(fmt::format("{}.like", section->name), wrong,
         fmt::format("name the unit that multiplies {}, as h100.{}", name(format),
                     name(section->formats.front())));
    return {};
  }
  Unit unit = *other;
  unit.input = format;
  unit.name = fmt::format("{}.{}", chip.name, name(format));
  unit.description = fmt::format("{} for {}", other->name, name(format));
  return unit;
}

Rounding parse_output_rounding(const std::string& text, const char* section, const UnitFail& fail) {
  if (text == "nearest_even") return Rounding::nearest_even;
  if (text != "toward_zero")
    fail(fmt::format("{}.output_rounding", section),
         fmt::format("'{}' is no rounding of a sum", text), "give toward_zero or nearest_even");
  return Rounding::toward_zero;
}

Unit make_unit(const ChipConfig& chip, Format format, const UnitFail& fail) {
  const Section* section = section_of(format);
  Unit unit = base_unit(chip, format, section, fail);
  if (section == nullptr) return unit;

  const UnitConfig& own = chip.*section->unit;
  std::vector<std::string> changes;
  const auto change = [&](const char* key, int value, int as_in_like, int& member) {
    if (value == as_in_like || value == member) return;
    member = value;
    changes.push_back(fmt::format("{} {}", key, value));
  };
  change("products", own.products, 0, unit.products);
  change("fraction_bits", own.fraction_bits, 0, unit.fraction_bits);
  change("output_fraction_bits", own.output_fraction_bits, 0, unit.output_fraction_bits);
  if (!own.output_rounding.empty()) {
    const Rounding rounding = parse_output_rounding(own.output_rounding, section->name, fail);
    if (rounding != unit.output_rounding)
      changes.push_back(fmt::format("output_rounding {}", own.output_rounding));
    unit.output_rounding = rounding;
  }
  int fp16_accumulator = unit.fp16_accumulator ? 1 : 0;
  change("fp16_accumulator", own.fp16_accumulator, -1, fp16_accumulator);
  unit.fp16_accumulator = fp16_accumulator != 0;
  change("floor_fp32", own.floor_fp32, 1, unit.floor_fp32);
  change("floor_fp16", own.floor_fp16, 1, unit.floor_fp16);
  if (!changes.empty()) {
    unit.description = fmt::format("{} with {}", unit.name, fmt::join(changes, ", "));
    unit.name = fmt::format("{}.{}", chip.name, name(format));
  }
  return unit;
}

[[noreturn]] void throw_input_error(const std::string& key, const std::string& wrong,
                                    const std::string& right) {
  throw InputError(key, wrong, right);
}

}  // namespace

Unit unit_of(const ChipConfig& chip, Format format) {
  const Unit unit = make_unit(chip, format, throw_input_error);
  validate(unit);
  return unit;
}

void check_units(const ChipConfig& chip, const UnitFail& fail) {
  require_generation(chip.tensor_core.arithmetic, fail);
  for (const Section& section : sections()) {
    const UnitConfig& own = chip.*section.unit;
    if (!own.like.empty()) require_built_in(own.like, section.name, fail);
    if (!own.output_rounding.empty())
      parse_output_rounding(own.output_rounding, section.name, fail);
    for (const Format format : section.formats)
      if (chip.tensor_core.flops_per_cycle(format) > 0) make_unit(chip, format, fail);
  }
}

std::vector<Unit> units_of(const ChipConfig& chip) {
  std::vector<Unit> all;
  for (const Section& section : sections())
    for (const Format format : section.formats)
      if (chip.tensor_core.flops_per_cycle(format) > 0) all.push_back(unit_of(chip, format));
  return all;
}

Unit find_unit(const ChipConfig& chip, std::string_view text) {
  const std::size_t dot = text.rfind('.');
  const bool bare = dot == std::string_view::npos;
  if (!bare && text.substr(0, dot) != chip.name) return find_unit(text);
  return unit_of(chip, parse_format(bare ? text : text.substr(dot + 1)));
}

}  // namespace tessera
