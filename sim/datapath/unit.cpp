#include "sim/datapath/unit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "sim/base/error.h"

namespace tessera {
namespace {

/// What the units of one GPU generation share.
struct Generation {
  std::string gpu;
  int fraction_bits;
  int floor_fp32;
  int floor_fp16;
};

// Parameters: MMA-Sim (arXiv 2511.10909) and Khattak & Mikaitis, "Accurate Models of NVIDIA Tensor
// Cores" (arXiv 2512.07004). The floors are the latter's; they matter only for sums near 2^-126
// (FP32) and 2^-14 (FP16) and are not covered by the rows the tests check.
const Generation volta = {"v100", 23, Unit::no_floor, -19};
const Generation turing = {"t4", 24, Unit::no_floor, -19};
const Generation ampere = {"a100", 24, -132, -20};
const Generation ada = {"ada", 24, -132, -20};
const Generation hopper = {"h100", 25, -133, -21};
const Generation blackwell = {"b200", 25, -133, -21};

enum class Fp16Accumulator { no, yes };

Unit unit_of(const Generation& g, Format input, int products, Fp16Accumulator fp16,
             const std::string& description) {
  Unit u;
  u.name = fmt::format("{}.{}", g.gpu, name(input));
  u.input = input;
  u.products = products;
  u.fraction_bits = g.fraction_bits;
  u.fp16_accumulator = fp16 == Fp16Accumulator::yes;
  u.floor_fp32 = g.floor_fp32;
  u.floor_fp16 = g.floor_fp16;
  u.description = description;
  return u;
}

Unit with_block_scales(Unit u) {
  u.block_scales = true;
  return u;
}

/// The FP8 units of Ada and Hopper keep 13 fraction bits, in the alignment and in the result.
Unit with_13_bits(Unit u) {
  u.fraction_bits = 13;
  u.output_fraction_bits = 13;
  return u;
}

std::vector<Unit> built_in_units() {
  constexpr auto both = Fp16Accumulator::yes;
  constexpr auto fp32_only = Fp16Accumulator::no;
  const std::string rows = "checked against rows of the GPU";
  const std::string published = "from published models, no rows at hand";
  return {
      unit_of(volta, Format::fp16, 4, both, "mma; " + rows),
      unit_of(turing, Format::fp16, 8, both, "mma; " + published),
      unit_of(ampere, Format::fp16, 8, both, "mma (k16 is two steps); " + rows),
      unit_of(ampere, Format::bf16, 8, fp32_only, "mma (k16 is two steps); " + rows),
      unit_of(ampere, Format::tf32, 4, fp32_only, "mma (k8 is two steps); " + published),
      unit_of(ada, Format::fp16, 8, both, "mma (k16 is two steps); " + rows),
      unit_of(ada, Format::bf16, 8, fp32_only, "mma (k16 is two steps); " + published),
      unit_of(ada, Format::tf32, 4, fp32_only, "mma (k8 is two steps); " + published),
      with_13_bits(unit_of(ada, Format::e4m3, 16, both, "mma (k32 is two steps); " + rows)),
      with_13_bits(unit_of(ada, Format::e5m2, 16, both, "mma (k32 is two steps); " + rows)),
      unit_of(hopper, Format::fp16, 16, both, "mma and wgmma; " + rows),
      unit_of(hopper, Format::bf16, 16, fp32_only, "mma and wgmma; " + rows),
      unit_of(hopper, Format::tf32, 8, fp32_only, "mma and wgmma; " + published),
      with_13_bits(unit_of(hopper, Format::e4m3, 32, both,
                           "wgmma; FP32 from zero " + rows + ", the rest " + published)),
      with_13_bits(unit_of(hopper, Format::e5m2, 32, both, "wgmma; " + published)),
      unit_of(blackwell, Format::fp16, 16, both, "tcgen05; " + published),
      unit_of(blackwell, Format::bf16, 16, fp32_only, "tcgen05; " + published),
      unit_of(blackwell, Format::tf32, 8, fp32_only, "tcgen05; " + published),
      with_block_scales(unit_of(blackwell, Format::e4m3, 32, both, "tcgen05; " + published)),
      with_block_scales(unit_of(blackwell, Format::e5m2, 32, both, "tcgen05; " + published)),
      with_block_scales(unit_of(blackwell, Format::e3m2, 32, both, "tcgen05; " + published)),
      with_block_scales(unit_of(blackwell, Format::e2m3, 32, both, "tcgen05; " + published)),
      with_block_scales(unit_of(blackwell, Format::e2m1, 32, both, "tcgen05; " + published)),
  };
}

enum class Kind { finite, infinite, nan };

/// (-1)^negative * significand * 2^(exponent - 23). Subnormals of the format keep its smallest
/// exponent and an un-normalised significand, as in the hardware.
struct Operand {
  Kind kind = Kind::finite;
  bool negative = false;
  std::int64_t significand = 0;
  int exponent = 0;
};

Operand read(std::uint32_t pattern, int min_exponent) {
  Operand x;
  x.negative = pattern >> 31 != 0;
  const int field = static_cast<int>(pattern >> 23 & 0xFF);
  const std::uint32_t fraction = pattern & 0x7FFFFF;
  if (field == 0xFF) {
    x.kind = fraction == 0 ? Kind::infinite : Kind::nan;
    return x;
  }
  x.significand = field == 0 ? fraction : fraction | 0x800000;
  x.exponent = std::max(field, 1) - 127;
  if (x.exponent < min_exponent) {
    x.significand >>= std::min(min_exponent - x.exponent, 24);
    x.exponent = min_exponent;
  }
  return x;
}

/// A product or the accumulator, waiting for its alignment: magnitude * 2^(exponent - fraction).
struct Term {
  std::int64_t significand = 0;
  int exponent = 0;
};

/// trunc(term * 2^(fraction_bits - max_exponent)), given the fraction bits of its significand.
std::int64_t align(const Term& term, int significand_fraction, int fraction_bits,
                   int max_exponent) {
  const int shift = significand_fraction - fraction_bits + (max_exponent - term.exponent);
  const std::int64_t magnitude = std::abs(term.significand);
  const std::int64_t aligned = shift <= 0   ? magnitude << -shift
                               : shift < 63 ? magnitude >> shift
                                            : 0;
  return term.significand < 0 ? -aligned : aligned;
}

std::uint32_t infinity(bool negative) { return negative ? 0xFF800000 : 0x7F800000; }

}  // namespace

const std::vector<Unit>& units() {
  static const std::vector<Unit> all = built_in_units();
  return all;
}

const Unit& find_unit(std::string_view text) {
  std::vector<std::string> names;
  for (const Unit& u : units()) {
    if (u.name == text) return u;
    names.push_back(u.name);
  }
  const std::string close = nearest(std::string(text), names);
  throw InputError("unit", fmt::format("there is no unit '{}'", text),
                   close.empty() ? fmt::format("give one of {}", fmt::join(names, ", "))
                                 : fmt::format("did you mean '{}'?", close));
}

void validate(const Unit& unit) {
  const auto require = [&](bool holds, const char* key, const std::string& wrong,
                           const std::string& right) {
    if (!holds) throw InputError(fmt::format("unit {}: {}", unit.name, key), wrong, right);
  };
  require(is_float(unit.input) && unit.input != Format::fp32 && unit.input != Format::e8m0, "input",
          fmt::format("{} operands cannot be multiplied here", name(unit.input)),
          "give a format of 19 significant bits or fewer, as bf16 or e4m3");
  const auto require_range = [&](const char* key, int value, int low, int high) {
    require(value >= low && value <= high, key, fmt::format("{} is out of range", value),
            fmt::format("give {} to {}", low, high));
  };
  require_range("products", unit.products, 1, 1024);
  require_range("fraction_bits", unit.fraction_bits, 1, 40);
  require_range("output_fraction_bits", unit.output_fraction_bits, 1, 23);
  require(unit.output_rounding == Rounding::nearest_even ||
              unit.output_rounding == Rounding::toward_zero,
          "output_rounding", "a tensor core rounds its sum in no such way",
          "give nearest_even or toward_zero");
  if (unit.floor_fp32 != Unit::no_floor) require_range("floor_fp32", unit.floor_fp32, -300, 0);
  if (unit.floor_fp16 != Unit::no_floor) require_range("floor_fp16", unit.floor_fp16, -300, 0);
}

void require_accumulator(const Unit& unit, Accumulator accumulator) {
  if (accumulator == Accumulator::fp16 && !unit.fp16_accumulator)
    throw InputError("--out", fmt::format("{} has no FP16 accumulator", unit.name), "give f32");
}

std::uint32_t dot_add(const Unit& unit, Accumulator accumulator, const std::uint32_t* a,
                      const std::uint32_t* b, std::uint32_t c, int product_exponent) {
  const bool fp16 = accumulator == Accumulator::fp16;
  const int min_exponent = float_format(unit.input).min_exponent();
  const std::uint32_t kept_bits = ~((1u << float_format(unit.input).padding_bits) - 1);

  bool nan = false, plus_infinity = false, minus_infinity = false;
  int max_exponent = fp16 ? unit.floor_fp16 : unit.floor_fp32;
  std::vector<Term> products;
  products.reserve(static_cast<std::size_t>(unit.products));
  for (int i = 0; i < unit.products; ++i) {
    const Operand x = read(a[i] & kept_bits, min_exponent);
    const Operand y = read(b[i] & kept_bits, min_exponent);
    const bool negative = x.negative != y.negative;
    if (x.kind != Kind::finite || y.kind != Kind::finite) {
      const bool zero_times_infinity = (x.kind == Kind::finite && x.significand == 0) ||
                                       (y.kind == Kind::finite && y.significand == 0);
      if (x.kind == Kind::nan || y.kind == Kind::nan || zero_times_infinity) nan = true;
      (negative ? minus_infinity : plus_infinity) = true;
    } else if (x.significand != 0 && y.significand != 0) {
      const std::int64_t product = x.significand * y.significand;
      products.push_back(
          {negative ? -product : product, x.exponent + y.exponent + product_exponent});
      max_exponent = std::max(max_exponent, products.back().exponent);
    }
  }
  const Operand addend = read(c, fp16 ? float_format(Format::fp16).min_exponent() : -126);
  if (addend.kind == Kind::nan) nan = true;
  if (addend.kind == Kind::infinite) (addend.negative ? minus_infinity : plus_infinity) = true;
  if (nan || (plus_infinity && minus_infinity))
    return fp16 ? canonical_nan_fp16 : canonical_nan_fp32;
  if (plus_infinity || minus_infinity) return infinity(minus_infinity);
  if (addend.significand != 0) max_exponent = std::max(max_exponent, addend.exponent);

  std::int64_t sum = 0;
  for (const Term& t : products) sum += align(t, 46, unit.fraction_bits, max_exponent);
  if (addend.significand != 0)
    sum += align({addend.negative ? -addend.significand : addend.significand, addend.exponent}, 23,
                 unit.fraction_bits, max_exponent);
  if (sum == 0) return 0;

  const bool negative = sum < 0;
  const auto magnitude = static_cast<std::uint64_t>(std::abs(sum));
  const int unit_exponent = max_exponent - unit.fraction_bits;
  if (fp16)
    return fp32_bits(decode(
        Format::fp16, encode_scaled(float_format(Format::fp16), negative, magnitude, unit_exponent,
                                    Rounding::nearest_even, Overflow::to_special)));
  // Truncated or not, a sum of 2^128 or more is Inf.
  if (unit_exponent + 63 - __builtin_clzll(magnitude) > 127) return infinity(negative);
  const FloatFormat output = {8, unit.output_fraction_bits, 127, 23 - unit.output_fraction_bits,
                              Specials::ieee};
  return encode_scaled(output, negative, magnitude, unit_exponent, unit.output_rounding,
                       Overflow::to_special);
}

std::uint32_t dot_add_chain(const Unit& unit, Accumulator accumulator, const std::uint32_t* a,
                            const std::uint32_t* b, std::int64_t n, std::uint32_t c) {
  std::int64_t done = 0;
  for (; done + unit.products <= n; done += unit.products)
    c = dot_add(unit, accumulator, a + done, b + done, c);
  if (done == n) return c;
  std::vector<std::uint32_t> last_a(static_cast<std::size_t>(unit.products), 0);
  std::vector<std::uint32_t> last_b = last_a;
  std::copy(a + done, a + n, last_a.begin());
  std::copy(b + done, b + n, last_b.begin());
  return dot_add(unit, accumulator, last_a.data(), last_b.data(), c);
}

}  // namespace tessera
