#include "sim/precision/arithmetic.h"

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/config/chip_unit.h"

namespace tessera {

std::string_view name(Recipe recipe) {
  switch (recipe) {
    case Recipe::delayed:
      return "delayed";
    case Recipe::current:
      return "current";
    case Recipe::block:
      return "block";
    case Recipe::mxfp8:
      return "mxfp8";
    case Recipe::nvfp4:
      return "nvfp4";
    case Recipe::token:
      return "token";
  }
  return "";
}

const std::vector<Recipe>& all_recipes() {
  static const std::vector<Recipe> all = {Recipe::delayed, Recipe::current, Recipe::block,
                                          Recipe::mxfp8,   Recipe::nvfp4,   Recipe::token};
  return all;
}

Recipe parse_recipe(std::string_view text, const std::string& key) {
  std::vector<std::string> names;
  for (const Recipe recipe : all_recipes()) {
    if (name(recipe) == text) return recipe;
    names.emplace_back(name(recipe));
  }
  const std::string close = nearest(std::string(text), names);
  throw InputError(key, fmt::format("there is no recipe '{}'", text),
                   close.empty() ? fmt::format("give one of {}", fmt::join(names, ", "))
                                 : fmt::format("did you mean '{}'?", close));
}

std::optional<Recipe> recipe_of(Precision precision) {
  if (bits(operand_format(precision)) > 8) return std::nullopt;
  return precision == Precision::fp8_block ? Recipe::block : Recipe::current;
}

GemmArithmetic OpArithmetic::on_unit() const {
  GemmArithmetic arithmetic = gemm;
  arithmetic.unit = &unit;
  return arithmetic;
}

OpArithmetic arithmetic_of(Precision precision, std::optional<Recipe> recipe,
                           const ChipConfig& chip) {
  OpArithmetic arithmetic;
  Format format = operand_format(precision);
  GemmArithmetic& gemm = arithmetic.gemm;
  gemm.a_scaling = gemm.b_scaling = Scaling::none;
  if (const std::optional<Recipe> own = recipe_of(precision)) {
    const Recipe used = recipe.value_or(*own);
    if ((used == Recipe::block) != (*own == Recipe::block))
      throw InputError(
          "--recipe", fmt::format("'{}' is not for precision {}", name(used), name(precision)),
          used == Recipe::block ? "take --precision fp8-block" : "take --precision fp8");
    switch (used) {
      case Recipe::delayed:
        arithmetic.delayed = true;
        [[fallthrough]];
      case Recipe::current:
        gemm.a_scaling = gemm.b_scaling = Scaling::tensor;
        break;
      case Recipe::block:
        gemm.a_scaling = Scaling::block_1x128;
        gemm.b_scaling = Scaling::block_128x128;
        break;
      case Recipe::mxfp8:
        gemm.a_scaling = gemm.b_scaling = Scaling::mx;
        break;
      case Recipe::nvfp4:
        format = Format::e2m1;
        gemm.a_scaling = Scaling::nvfp4;
        gemm.b_scaling = Scaling::nvfp4_16x16;
        break;
      case Recipe::token:
        gemm.a_scaling = Scaling::token;
        gemm.b_scaling = Scaling::channel;
        break;
    }
  }
  gemm.a_format = gemm.b_format = format;
  gemm.accumulation = promotes(precision) ? Accumulation::promote128 : Accumulation::fast;
  arithmetic.unit = unit_of(chip, format);
  validate(arithmetic.on_unit());
  return arithmetic;
}

}  // namespace tessera
