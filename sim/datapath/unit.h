#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/datapath/format.h"

namespace tessera {

/// The format that a tensor core accumulates in and returns.
enum class Accumulator : std::uint8_t { fp32, fp16 };

/// A tensor core's arithmetic as data: a fused dot-add. One step multiplies `products` pairs
/// exactly, aligns the products and the accumulator to the largest exponent among them, drops what
/// lies below `fraction_bits` fraction bits there, adds the rest exactly and rounds once. A longer
/// dot product chains steps in ascending k, the accumulator of one being the result of the last.
/// docs/datapath.md has the algorithm and its sources.
struct Unit {
  /// No lower bound on the alignment exponent.
  static constexpr int no_floor = -100000;

  std::string name;  ///< "<gpu>.<input format>"
  Format input = Format::fp16;
  int products = 16;       ///< K: products fused with the accumulator in one step
  int fraction_bits = 25;  ///< F: fraction bits kept at the largest exponent
  /// FP32 results: fraction bits kept (23, or 13 for the FP22 registers of Hopper's FP8) and how.
  int output_fraction_bits = 23;
  Rounding output_rounding = Rounding::toward_zero;
  /// Whether the unit also accumulates in FP16 (always rounded to nearest even).
  bool fp16_accumulator = false;
  /// Whether its instructions take the scales of MX and NVFP4 blocks (sim/datapath/block_scaled.h).
  bool block_scales = false;
  /// The alignment exponent is at least this, for FP32 and FP16 results.
  int floor_fp32 = no_floor;
  int floor_fp16 = no_floor;
  std::string description;  ///< instruction, and what the parameters were checked against
};

/// Every built-in unit, by GPU generation and format.
const std::vector<Unit>& units();
/// The built-in unit called `name`; throws InputError with the nearest name.
const Unit& find_unit(std::string_view name);
/// Throws InputError, naming the key, if a unit of the user's own is outside what can be computed:
/// input any floating-point format but fp32 and e8m0, products 1..1024, fraction_bits 1..40,
/// output_fraction_bits 1..23, output rounding nearest_even or toward_zero, floors no_floor or
/// -300..0.
void validate(const Unit& unit);
/// Throws InputError if `unit` has no such accumulator.
void require_accumulator(const Unit& unit, Accumulator accumulator);

/// FP32 patterns of the NaN that a unit returns.
constexpr std::uint32_t canonical_nan_fp32 = 0x7FFFFFFF;
constexpr std::uint32_t canonical_nan_fp16 = 0x7FFFE000;  ///< of the FP16 code 0x7FFF

/// One step, the plain reference that every faster path must equal: a and b are `unit.products`
/// FP32 bit patterns of values of the input format, c and the result the FP32 bit pattern of a
/// value of the accumulator's format. tf32 operands lose their low 13 bits first.
/// The products' exponents are raised by `product_exponent` before the alignment: the power-of-two
/// scales of MX blocks.
std::uint32_t dot_add(const Unit& unit, Accumulator accumulator, const std::uint32_t* a,
                      const std::uint32_t* b, std::uint32_t c, int product_exponent = 0);

/// dot_add() chained over n >= 0 pairs; the last step is filled up with zeros.
std::uint32_t dot_add_chain(const Unit& unit, Accumulator accumulator, const std::uint32_t* a,
                            const std::uint32_t* b, std::int64_t n, std::uint32_t c);

}  // namespace tessera
