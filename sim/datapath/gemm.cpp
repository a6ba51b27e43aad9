#include "sim/datapath/gemm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "sim/datapath/gemm_kernels.h"

namespace tessera {
namespace {

using gemm_kernels::Exponent;
using gemm_kernels::Kernel;
using gemm_kernels::Kernels;
using gemm_kernels::Multiplier;
using gemm_kernels::Panel;
using gemm_kernels::zero_exponent;

/// Rows of one pass over B: the packing of B is paid once per pass.
constexpr std::int64_t pass_rows = 256;
/// Products of a panel of B, so that its tile stays in the first-level cache.
constexpr int panel_products = 32;

bool is_special(std::uint32_t pattern) { return (pattern & 0x7F800000) == 0x7F800000; }

/// The bits of an operand that its unit reads.
std::uint32_t kept_bits(const FloatFormat& f) { return ~((1u << f.padding_bits) - 1); }

/// NaN and Inf pass; dot_add() knows them.
void check_operands(const Unit& unit, const float* values, std::int64_t rows, std::int64_t columns,
                    char which) {
  const FloatFormat& f = float_format(unit.input);
  if (f.padding_bits > 0) return;  // dropped, not refused
  const std::uint32_t surplus = (1u << (23 - f.fraction_bits)) - 1;
  const std::uint32_t min_normal = static_cast<std::uint32_t>(f.min_exponent() + 127) << 23;
  const std::uint32_t max = fp32_bits(max_finite(unit.input));
  // Adding this power of two rounds to the format's smallest subnormal.
  const float magic = std::ldexp(1.0F, f.min_exponent() - f.fraction_bits + 23);
  const auto fits = [&](float value) {
    const std::uint32_t magnitude = fp32_bits(value) & 0x7FFFFFFF;
    const float small = fp32_value(magnitude);
    const bool normal = ((magnitude & surplus) == 0) & (magnitude <= max);
    const bool subnormal = (small + magic) - magic == small;
    return magnitude >= min_normal ? normal : subnormal;
  };
  for (std::int64_t begin = 0; begin < rows * columns; begin += 256) {
    const std::int64_t end = std::min(begin + 256, rows * columns);
    bool all = true;
    for (std::int64_t i = begin; i < end; ++i) all &= fits(values[i]);
    for (std::int64_t i = begin; !all && i < end; ++i)
      if (!fits(values[i]) && !representable(unit.input, values[i]))
        throw std::invalid_argument(fmt::format("gemm: {}[{}][{}] = {} is not a value of {}", which,
                                                i / columns, i % columns, values[i],
                                                name(unit.input)));
  }
}

void check(const Unit& unit, const Gemm& g) {
  validate(unit);
  if (g.m < 0 || g.n < 0 || g.k < 0) throw std::invalid_argument("gemm: a size is negative");
  const bool promoted = g.promote_every != 0;
  if (promoted && (g.promote_every < 0 || g.promote_every % unit.products != 0))
    throw std::invalid_argument(fmt::format("gemm: {} products are no whole number of steps of {}",
                                            g.promote_every, unit.products));
  if (g.accumulator == Accumulator::fp16 && (promoted || !unit.fp16_accumulator))
    throw std::invalid_argument(
        fmt::format("gemm: {} accumulates in FP16 {}", unit.name,
                    unit.fp16_accumulator ? "without promotion only" : "nowhere"));
  if ((g.a_scales == nullptr) != (g.b_scales == nullptr) || (g.a_scales != nullptr && !promoted))
    throw std::invalid_argument("gemm: scales come for both operands, and with promotion");
  if (g.m == 0 || g.n == 0) return;
  check_operands(unit, g.a, g.m, g.k, 'a');
  check_operands(unit, g.b, g.k, g.n, 'b');
}

/// An FP32 addition or multiply-add of the vector unit, with its NaN.
float with_canonical_nan(float x) { return std::isnan(x) ? fp32_value(canonical_nan_fp32) : x; }

/// One output through a chain of steps: `chain(begin, end, c)` computes one chain over part of k.
template <class Chain>
float output_of(const Gemm& g, std::int64_t i, std::int64_t j, float c, const Chain& chain) {
  if (g.promote_every == 0) return chain(std::int64_t{0}, g.k, c);
  const std::int64_t parts = ceil_div(g.k, g.promote_every);
  float sum = c;
  for (std::int64_t p = 0; p < parts; ++p) {
    const std::int64_t begin = p * g.promote_every;
    const float part = chain(begin, std::min(begin + g.promote_every, g.k), 0.0F);
    if (g.a_scales == nullptr) {
      sum = with_canonical_nan(sum + part);
    } else {
      const float scale = g.a_scales[i * parts + p] * g.b_scales[p * g.n + j];
      sum = with_canonical_nan(std::fma(scale, part, sum));
    }
  }
  return sum;
}

/// Outputs one by one through the reference.
class Reference {
 public:
  Reference(const Unit& unit, const Gemm& g) : unit_(unit), gemm_(g) {
    row_.resize(static_cast<std::size_t>(g.k));
    column_.resize(static_cast<std::size_t>(g.k));
  }

  float output(std::int64_t i, std::int64_t j, float c) {
    if (i != row_index_) {
      for (std::int64_t k = 0; k < gemm_.k; ++k)
        row_[static_cast<std::size_t>(k)] = fp32_bits(gemm_.a[i * gemm_.k + k]);
      row_index_ = i;
    }
    if (j != column_index_) {
      for (std::int64_t k = 0; k < gemm_.k; ++k)
        column_[static_cast<std::size_t>(k)] = fp32_bits(gemm_.b[k * gemm_.n + j]);
      column_index_ = j;
    }
    return output_of(gemm_, i, j, c, [&](std::int64_t begin, std::int64_t end, float start) {
      return fp32_value(dot_add_chain(unit_, gemm_.accumulator, row_.data() + begin,
                                      column_.data() + begin, end - begin, fp32_bits(start)));
    });
  }

 private:
  const Unit& unit_;
  const Gemm& gemm_;
  std::vector<std::uint32_t> row_, column_;
  std::int64_t row_index_ = -1, column_index_ = -1;
};

float start_of(const Gemm& g, std::int64_t i, std::int64_t j) {
  return g.c == nullptr ? 0.0F : g.c[i * g.n + j];
}

// ---- with integers, on any processor ----

/// An operand split once: significand with its sign (23 fraction bits) and exponent.
struct Split {
  std::int32_t significand;
  std::int32_t exponent;
};

Split split(const FloatFormat& f, float value) {
  const std::uint32_t pattern = fp32_bits(value) & kept_bits(f);
  const int field = static_cast<int>(pattern >> 23 & 0xFF);
  const std::uint32_t fraction = pattern & 0x7FFFFF;
  Split s = {static_cast<std::int32_t>(field == 0 ? fraction : fraction | 0x800000),
             std::max(field, 1) - 127};
  if (s.exponent < f.min_exponent()) {
    s.significand >>= std::min(f.min_exponent() - s.exponent, 24);
    s.exponent = f.min_exponent();
  }
  if (s.significand == 0) s.exponent = -10000;  // never the largest
  if (pattern >> 31 != 0) s.significand = -s.significand;
  return s;
}

/// The chain of steps of dot_add() on split operands without specials. Sets `special` and stops if
/// the accumulator is or becomes Inf or NaN.
float integer_chain(const Unit& unit, Accumulator accumulator, const Split* a, const Split* b,
                    std::int64_t n, float c, bool& special) {
  const bool fp16 = accumulator == Accumulator::fp16;
  const int floor = fp16 ? unit.floor_fp16 : unit.floor_fp32;
  const FloatFormat output = fp16 ? float_format(Format::fp16)
                                  : FloatFormat{8, unit.output_fraction_bits, 127,
                                                23 - unit.output_fraction_bits, Specials::ieee};
  const FloatFormat addend_format = float_format(fp16 ? Format::fp16 : Format::fp32);
  const Rounding rounding = fp16 ? Rounding::nearest_even : unit.output_rounding;
  for (std::int64_t begin = 0; begin < n; begin += unit.products) {
    if (is_special(fp32_bits(c))) {
      special = true;
      return c;
    }
    const std::int64_t end = std::min(begin + unit.products, n);
    const Split addend = split(addend_format, c);
    int largest = std::max(floor, addend.exponent);
    for (std::int64_t i = begin; i < end; ++i)
      largest = std::max(largest, a[i].exponent + b[i].exponent);

    const auto aligned = [](std::int64_t value, int shift) {
      const std::int64_t magnitude = std::abs(value);
      const std::int64_t kept = shift <= 0   ? magnitude << -shift
                                : shift < 63 ? magnitude >> shift
                                             : 0;
      return value < 0 ? -kept : kept;
    };
    std::int64_t sum =
        addend.significand == 0
            ? 0
            : aligned(addend.significand, 23 - unit.fraction_bits + largest - addend.exponent);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t product = std::int64_t{a[i].significand} * b[i].significand;
      // A zero's exponent makes the shift long, and it stays zero.
      sum += aligned(product, 46 - unit.fraction_bits + largest - (a[i].exponent + b[i].exponent));
    }
    if (sum == 0) {
      c = 0;
      continue;
    }
    const auto magnitude = static_cast<std::uint64_t>(std::abs(sum));
    const int place = largest - unit.fraction_bits;
    if (!fp16 && place + 63 - __builtin_clzll(magnitude) > 127) {
      special = true;
      return c;
    }
    c = decode(output,
               encode_scaled(output, sum < 0, magnitude, place, rounding, Overflow::to_special));
  }
  special = special || is_special(fp32_bits(c));
  return c;
}

// ---- which rows and columns need the reference ----

struct NonFinite {
  std::vector<unsigned char> rows, columns;
};

NonFinite non_finite_of(const Unit& unit, const Gemm& g) {
  const FloatFormat& f = float_format(unit.input);
  NonFinite found = {std::vector<unsigned char>(static_cast<std::size_t>(g.m), 0),
                     std::vector<unsigned char>(static_cast<std::size_t>(g.n), 0)};
  const std::uint32_t kept = kept_bits(f);
  for (std::int64_t i = 0; i < g.m; ++i) {
    unsigned any = 0;
    for (std::int64_t k = 0; k < g.k; ++k)
      any |= static_cast<unsigned>(is_special(fp32_bits(g.a[i * g.k + k]) & kept));
    found.rows[static_cast<std::size_t>(i)] = any != 0;
  }
  unsigned char* columns = found.columns.data();
  for (std::int64_t k = 0; k < g.k; ++k)
    for (std::int64_t j = 0; j < g.n; ++j)
      columns[j] = static_cast<unsigned char>(
          columns[j] | static_cast<unsigned>(is_special(fp32_bits(g.b[k * g.n + j]) & kept)));
  return found;
}

void integer_gemm(const Unit& unit, const Gemm& g, const NonFinite& specials) {
  const FloatFormat& f = float_format(unit.input);
  Reference reference(unit, g);
  const auto k = static_cast<std::size_t>(g.k);
  const std::int64_t tile = 64;
  std::vector<Split> row(k), columns(k * static_cast<std::size_t>(tile));
  for (std::int64_t first = 0; first < g.n; first += tile) {
    const std::int64_t last = std::min(first + tile, g.n);
    for (std::int64_t kk = 0; kk < g.k; ++kk)
      for (std::int64_t j = first; j < last; ++j)
        columns[static_cast<std::size_t>((j - first) * g.k + kk)] = split(f, g.b[kk * g.n + j]);
    for (std::int64_t i = 0; i < g.m; ++i) {
      for (std::size_t kk = 0; kk < k; ++kk)
        row[kk] = split(f, g.a[i * g.k + static_cast<std::int64_t>(kk)]);
      for (std::int64_t j = first; j < last; ++j) {
        const float c = start_of(g, i, j);
        bool special = specials.rows[static_cast<std::size_t>(i)] != 0 ||
                       specials.columns[static_cast<std::size_t>(j)] != 0;
        float d = 0;
        if (!special) {
          const Split* column = columns.data() + (j - first) * g.k;
          d = output_of(g, i, j, c, [&](std::int64_t begin, std::int64_t end, float start) {
            return integer_chain(unit, g.accumulator, row.data() + begin, column + begin,
                                 end - begin, start, special);
          });
        }
        g.d[i * g.n + j] = special ? reference.output(i, j, c) : d;
      }
    }
  }
}

// ---- with fused multiply-adds ----

/// Whether sums of a step stay in the binade of their start value (gemm_loop.h), and exponents
/// in the narrow integers of the kernel.
template <class Real>
bool holds(const Unit& unit, Accumulator accumulator) {
  constexpr bool single = sizeof(Real) == 4;
  const std::int64_t terms = unit.products + 1;
  const bool sums_fit = terms << (unit.fraction_bits + 2) <= std::int64_t{1} << (single ? 23 : 52);
  const bool rounding_fits =
      accumulator == Accumulator::fp16 || unit.output_rounding == Rounding::toward_zero;
  const bool exponents_fit = !single || (float_format(unit.input).min_exponent() >= -16 &&
                                         max_finite(unit.input) < 0x1p17F);
  return sums_fit && rounding_fits && exponents_fit;
}

// The packing loops have no branches: signs and zeros of real data are unpredictable.

template <class Real>
Exponent<Real> exponent_of(std::uint32_t magnitude, int min_exponent) {
  const int exponent = std::max(static_cast<int>(magnitude >> 23) - 127, min_exponent);
  const int zero = -static_cast<int>(magnitude == 0);  // all ones for a zero
  return static_cast<Exponent<Real>>((exponent & ~zero) | (zero_exponent<Real> & zero));
}

/// The operand as the kernels see it: rows and columns with specials are computed apart.
std::uint32_t finite_bits(std::uint32_t kept_bits, float value) {
  const std::uint32_t pattern = fp32_bits(value) & kept_bits;
  return pattern & ~(0U - static_cast<std::uint32_t>(is_special(pattern)));
}

/// Consecutive products that one call of the kernel takes: whole steps, inside one promoted part.
struct Section {
  std::int64_t begin = 0;         ///< first product
  std::int64_t padded_begin = 0;  ///< the same, counting the zeros that fill up earlier sections
  int steps = 0;
  bool ends_part = false;  ///< promotion follows
};

std::vector<Section> sections_of(const Unit& unit, const Gemm& g) {
  const std::int64_t per_panel =
      std::int64_t{std::max(panel_products / unit.products, 1)} * unit.products;
  const std::int64_t part = g.promote_every == 0 ? std::max<std::int64_t>(g.k, 1) : g.promote_every;
  std::vector<Section> sections;
  std::int64_t padded = 0;
  for (std::int64_t begin = 0; begin < g.k;) {
    const std::int64_t part_end = std::min((begin / part + 1) * part, g.k);
    const std::int64_t end = std::min(begin + per_panel, part_end);
    const auto steps = static_cast<int>(ceil_div(end - begin, unit.products));
    sections.push_back({begin, padded, steps, end == part_end});
    padded += std::int64_t{steps} * unit.products;
    begin = end;
  }
  return sections;
}

/// Rows of A, packed for the kernel section by section: [section][row][product].
template <class Real>
struct PackedRows {
  std::vector<Multiplier<Real>> values;
  std::vector<Exponent<Real>> exponents;

  PackedRows(const Unit& unit, const Gemm& g, const std::vector<Section>& sections,
             std::int64_t first, std::int64_t rows, int lanes) {
    const FloatFormat& f = float_format(unit.input);
    const std::uint32_t kept = kept_bits(f);
    const int min_exponent = f.min_exponent();
    const Section& last = sections.back();
    const auto padded_k =
        static_cast<std::size_t>(last.padded_begin + std::int64_t{last.steps} * unit.products);
    values.resize(static_cast<std::size_t>(rows) * padded_k, Multiplier<Real>{0, 0});
    exponents.resize(values.size(), zero_exponent<Real>);
    for (const Section& s : sections) {
      const std::int64_t length = std::int64_t{s.steps} * unit.products;
      const std::int64_t used = std::min(length, g.k - s.begin);
      for (std::int64_t i = 0; i < rows; ++i) {
        const float* source = g.a + (first + i) * g.k + s.begin;
        const std::int64_t target = s.padded_begin * rows + i * length;
        for (std::int64_t k = 0; k < used; ++k) {
          const std::uint32_t pattern = finite_bits(kept, source[k]);
          const std::uint32_t magnitude = pattern & 0x7FFFFFFF;
          const auto at = static_cast<std::size_t>(target + k);
          values[at].magnitude = fp32_value(magnitude);
          values[at].offset = static_cast<int>(pattern >> 31) * lanes;
          exponents[at] = exponent_of<Real>(magnitude, min_exponent);
        }
      }
    }
  }
};

/// The columns [first, first + lanes) of one section of B.
template <class Real>
struct PackedColumns {
  std::vector<Real> values;
  std::vector<Exponent<Real>> exponents;

  PackedColumns(std::int64_t products, int lanes) {
    values.resize(static_cast<std::size_t>(products * 2 * lanes));
    exponents.resize(static_cast<std::size_t>(products * lanes));
  }

  void pack(const FloatFormat& f, const Gemm& g, const Section& s, std::int64_t products,
            std::int64_t first, int lanes) {
    const std::int64_t columns = std::min<std::int64_t>(lanes, g.n - first);
    const int min_exponent = f.min_exponent();
    const std::uint32_t kept = kept_bits(f);
    for (std::int64_t k = 0; k < products; ++k) {
      Real* plus = values.data() + k * 2 * lanes;
      Real* minus = plus + lanes;
      Exponent<Real>* exponent = exponents.data() + k * lanes;
      const std::int64_t used = s.begin + k < g.k ? columns : 0;
      const float* source = g.b + (used > 0 ? (s.begin + k) * g.n + first : 0);
      for (std::int64_t j = 0; j < used; ++j) {
        const std::uint32_t pattern = finite_bits(kept, source[j]);
        const float value = fp32_value(pattern);
        plus[j] = std::max(value, 0.0F);
        minus[j] = std::max(-value, 0.0F);
        exponent[j] = exponent_of<Real>(pattern & 0x7FFFFFFF, min_exponent);
      }
      std::fill(plus + used, plus + lanes, Real{0});
      std::fill(minus + used, minus + lanes, Real{0});
      std::fill(exponent + used, exponent + lanes, zero_exponent<Real>);
    }
  }
};

template <class Real>
void fma_gemm(const Unit& unit, const Gemm& g, const NonFinite& specials,
              const Kernel<Real>& kernel, const Kernels& kernels) {
  constexpr bool single = sizeof(Real) == 4;
  const bool fp16 = g.accumulator == Accumulator::fp16;
  const bool promoted = g.promote_every != 0;
  const FloatFormat& f = float_format(unit.input);
  const std::vector<Section> sections = sections_of(unit, g);
  const std::int64_t parts = promoted ? ceil_div(g.k, g.promote_every) : 1;
  const int lanes = kernel.lanes;

  Panel<Real> panel;
  panel.products = unit.products;
  panel.start_exponent = (single ? 23 : 52) - unit.fraction_bits;
  // FP64 start values have room far below every sum; FP32 ones need not go below c's exponents.
  panel.lowest = std::max(fp16 ? unit.floor_fp16 : unit.floor_fp32, single ? -126 : -400);
  panel.c_min_field = fp16 ? 127 - 14 : 1;
  // The start value must stay finite. FP64 sums of 2^128 and more truncate to the largest FP32.
  panel.field_limit = single ? 127 + 100 : 254;
  panel.kept_bits = ~((1u << (23 - unit.output_fraction_bits)) - 1);
  panel.fp16 = fp16;

  int longest = 0;
  for (const Section& s : sections) longest = std::max(longest, s.steps);
  PackedColumns<Real> columns(std::int64_t{longest} * unit.products, lanes);
  Reference reference(unit, g);
  for (std::int64_t first_row = 0; first_row < g.m; first_row += pass_rows) {
    const std::int64_t rows = std::min(pass_rows, g.m - first_row);
    const PackedRows<Real> packed_rows(unit, g, sections, first_row, rows, lanes);
    const auto tile = static_cast<std::size_t>(rows * lanes);
    std::vector<float> sums(tile), part(promoted ? tile : 0);
    std::vector<unsigned char> out_of_range(static_cast<std::size_t>(rows));
    for (std::int64_t first = 0; first < g.n; first += lanes) {
      const std::int64_t used = std::min<std::int64_t>(lanes, g.n - first);
      std::fill(sums.begin(), sums.end(), 0.0F);
      if (g.c != nullptr)
        for (std::int64_t i = 0; i < rows; ++i)
          std::copy_n(g.c + (first_row + i) * g.n + first, used, sums.data() + i * lanes);
      std::fill(out_of_range.begin(), out_of_range.end(), 0);
      std::vector<float> b_scales(static_cast<std::size_t>(lanes), 0.0F);

      for (const Section& s : sections) {
        const std::int64_t length = std::int64_t{s.steps} * unit.products;
        columns.pack(f, g, s, length, first, lanes);
        if (promoted && s.begin % g.promote_every == 0) std::fill(part.begin(), part.end(), 0.0F);
        panel.rows = static_cast<int>(rows);
        panel.steps = s.steps;
        panel.a = packed_rows.values.data() + s.padded_begin * rows;
        panel.a_exponents = packed_rows.exponents.data() + s.padded_begin * rows;
        panel.b = columns.values.data();
        panel.b_exponents = columns.exponents.data();
        panel.c = promoted ? part.data() : sums.data();
        panel.out_of_range = out_of_range.data();
        kernel.run(panel);
        if (!promoted || !s.ends_part) continue;
        gemm_kernels::Promotion promotion = {
            static_cast<int>(rows), lanes, sums.data(), part.data(), nullptr, 0, nullptr};
        if (g.a_scales != nullptr) {
          const std::int64_t p = s.begin / g.promote_every;
          std::copy_n(g.b_scales + p * g.n + first, used, b_scales.data());
          promotion.a_scales = g.a_scales + first_row * parts + p;
          promotion.a_stride = parts;
          promotion.b_scales = b_scales.data();
        }
        kernels.promote(promotion);
      }

      for (std::int64_t i = 0; i < rows; ++i) {
        const bool whole_row = out_of_range[static_cast<std::size_t>(i)] != 0 ||
                               specials.rows[static_cast<std::size_t>(first_row + i)] != 0;
        float* d = g.d + (first_row + i) * g.n + first;
        for (std::int64_t j = 0; j < used; ++j) {
          const float sum = sums[static_cast<std::size_t>(i * lanes + j)];
          if (whole_row || specials.columns[static_cast<std::size_t>(first + j)] != 0 ||
              is_special(fp32_bits(sum))) {
            // c may be d: this element has not been written yet.
            const float c = start_of(g, first_row + i, first + j);
            d[j] = reference.output(first_row + i, first + j, c);
          } else {
            d[j] = sum;
          }
        }
      }
    }
  }
}

const Kernels* kernels_of(Isa isa) {
  switch (isa) {
    case Isa::portable:
      break;
    case Isa::avx2:
      return &gemm_kernels::avx2;
    case Isa::avx512:
      return &gemm_kernels::avx512;
  }
  return nullptr;
}

}  // namespace

void gemm(const Unit& unit, const Gemm& g, Isa isa) {
  check(unit, g);
  if (g.m == 0 || g.n == 0) return;
  if (g.k == 0) {
    for (std::int64_t i = 0; i < g.m * g.n; ++i) g.d[i] = g.c == nullptr ? 0.0F : g.c[i];
    return;
  }
  const NonFinite specials = non_finite_of(unit, g);
  const Kernels* kernels = kernels_of(isa);
  if (kernels != nullptr && holds<float>(unit, g.accumulator)) {
    fma_gemm<float>(unit, g, specials, kernels->single, *kernels);
  } else if (kernels != nullptr && holds<double>(unit, g.accumulator)) {
    fma_gemm<double>(unit, g, specials, kernels->twice, *kernels);
  } else {
    integer_gemm(unit, g, specials);
  }
}

void gemm_reference(const Unit& unit, const Gemm& g) {
  check(unit, g);
  Reference reference(unit, g);
  for (std::int64_t i = 0; i < g.m; ++i)
    for (std::int64_t j = 0; j < g.n; ++j)
      g.d[i * g.n + j] = reference.output(i, j, start_of(g, i, j));
}

const char* gemm_method(const Unit& unit, Accumulator accumulator, Isa isa) {
  if (kernels_of(isa) == nullptr) return "integer";
  if (holds<float>(unit, accumulator)) return "fp32 fma";
  if (holds<double>(unit, accumulator)) return "fp64 fma";
  return "integer";
}

}  // namespace tessera
