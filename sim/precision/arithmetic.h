#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/config/chip_config.h"
#include "sim/datapath/quantised_gemm.h"
#include "sim/frontend/layer_graph.h"

namespace tessera {

/// How the operands of an FP8 (or narrower) matrix product are scaled; the names are those of
/// Transformer Engine's recipes, and `token` what serving stacks do.
enum class Recipe : std::uint8_t {
  delayed,  ///< a scale for the tensor, from earlier tokens
  current,  ///< a scale for the tensor, from itself
  block,    ///< 1 x 128 of activations, 128 x 128 of weights, promoted accumulation
  mxfp8,    ///< E8M0 scales of 1 x 32
  nvfp4,    ///< E2M1 elements, E4M3 scales of 1 x 16 (weights 16 x 16)
  token,    ///< a scale per token of the activations and per output channel of the weights
};
std::string_view name(Recipe recipe);
const std::vector<Recipe>& all_recipes();
/// Inverse of name(); throws InputError under `key` with the nearest valid name.
Recipe parse_recipe(std::string_view text, const std::string& key = "--recipe");

/// The recipe that a precision means by itself: fp8 current, fp8-block block; none for the others.
std::optional<Recipe> recipe_of(Precision precision);

/// Everything that decides the bits of an operation's matrix products.
struct OpArithmetic {
  Unit unit;
  GemmArithmetic gemm;   ///< without its unit
  bool delayed = false;  ///< the activations' scale is from other tokens
  /// gemm on this object's unit.
  GemmArithmetic on_unit() const;
};

/// The arithmetic of an operation of `precision` on `chip`. A recipe other than the precision's own
/// applies to precisions of 8 bits. Throws InputError: the chip lacks the arithmetic, the recipe
/// does not belong to the precision (block to fp8-block alone, which takes no other).
OpArithmetic arithmetic_of(Precision precision, std::optional<Recipe> recipe,
                           const ChipConfig& chip);

}  // namespace tessera
