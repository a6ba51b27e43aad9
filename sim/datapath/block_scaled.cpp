#include "sim/datapath/block_scaled.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "sim/base/units.h"
#include "sim/datapath/gemm.h"

namespace tessera {
namespace {

constexpr int mx_step = 32;
constexpr int group = 16;       ///< e2m1 products that are summed exactly
constexpr int group_step = 64;  ///< products of a step of e2m1
constexpr int group_fraction_bits = 35;
constexpr int groups = group_step / group;

bool is_nvfp4(Scaling scaling) {
  return scaling == Scaling::nvfp4 || scaling == Scaling::nvfp4_16x16;
}

bool by_groups(const Unit& unit) { return unit.input == Format::e2m1; }

void check(const Unit& unit, const QuantisedMatrix& a, const QuantisedMatrix& b,
           int promote_every) {
  validate(unit);
  const int step = by_groups(unit) ? group_step : mx_step;
  if (!takes_block_scales(unit, a.scaling, b.scaling) || a.format != unit.input ||
      b.format != unit.input || a.cols != b.cols || promote_every < 0 || promote_every % step != 0)
    throw std::invalid_argument("block_scaled_gemm: operands, unit or promotion do not fit");
}

float canonical_nan() { return fp32_value(canonical_nan_fp32); }

/// main + part as the vector lanes add, with their NaN.
float promoted(float main, float part) {
  const float sum = main + part;
  return std::isnan(sum) ? canonical_nan() : sum;
}

// ---- steps of 32 with power-of-two scales ----

/// Exponent of an E8M0 scale.
int exponent_of(float scale) { return std::ilogb(scale); }

/// A scale of NaN poisons its step.
bool poisoned(float a_scale, float b_scale) { return std::isnan(a_scale) || std::isnan(b_scale); }

float mx_step_reference(const Unit& unit, const float* a, const float* b, int length, float a_scale,
                        float b_scale, float c) {
  if (poisoned(a_scale, b_scale)) return canonical_nan();
  std::array<std::uint32_t, mx_step> a_words{}, b_words{};
  for (int i = 0; i < length; ++i) {
    a_words[static_cast<std::size_t>(i)] = fp32_bits(a[i]);
    b_words[static_cast<std::size_t>(i)] = fp32_bits(b[i]);
  }
  return fp32_value(dot_add(unit, Accumulator::fp32, a_words.data(), b_words.data(), fp32_bits(c),
                            exponent_of(a_scale) + exponent_of(b_scale)));
}

/// x * 2^exponent for normal results, by its exponent field; `wrong` collects whether it is none.
float shifted(float x, int exponent, unsigned& wrong) {
  const std::uint32_t pattern = fp32_bits(x);
  const int field = static_cast<int>(pattern >> 23 & 0xFF);
  const int moved = field + exponent;
  const bool zero = (pattern & 0x7FFFFFFF) == 0;
  const bool normal = (field > 0) & (field < 255) & (moved > 0) & (moved < 255);
  wrong |= static_cast<unsigned>(!zero & !normal);
  const std::uint32_t result = pattern + (static_cast<std::uint32_t>(exponent) << 23);
  return fp32_value(zero ? pattern : result);
}

/// A step at a time through gemm(): with all its products scaled by 2^s, a step from c is 2^s times
/// the unscaled step from c 2^-s, as long as neither leaves the normal range of FP32. Outputs that
/// do are computed by the reference.
void mx_gemm(const Unit& unit, const QuantisedMatrix& a, const QuantisedMatrix& b,
             int promote_every, float* d, Isa isa) {
  // Beyond it the floor of the alignment exponent, 2^-133, might be felt.
  constexpr int exponent_limit = 90;
  const std::int64_t m = a.rows, n = b.rows, k = a.cols;
  const auto outputs = static_cast<std::size_t>(m * n);
  std::vector<float> a_part(static_cast<std::size_t>(m * mx_step));
  std::vector<float> b_part(static_cast<std::size_t>(n * mx_step));
  std::vector<float> sums(outputs, 0.0F), start(outputs), stepped(outputs);
  std::vector<unsigned char> needs_reference(outputs);
  std::vector<int> b_exponents(static_cast<std::size_t>(n));
  std::fill(d, d + m * n, 0.0F);

  for (std::int64_t begin = 0; begin < k; begin += mx_step) {
    const auto length = static_cast<int>(std::min<std::int64_t>(mx_step, k - begin));
    for (std::int64_t i = 0; i < m; ++i)
      for (int p = 0; p < length; ++p)
        a_part[static_cast<std::size_t>(i * length + p)] =
            a.values[static_cast<std::size_t>(i * k + begin + p)];
    for (std::int64_t j = 0; j < n; ++j) {
      for (int p = 0; p < length; ++p)
        b_part[static_cast<std::size_t>(p * n + j)] =
            b.values[static_cast<std::size_t>(j * k + begin + p)];
      const float scale = b.block_scale(j, begin);
      // A poisoned column goes to the reference, whatever the row's scale.
      b_exponents[static_cast<std::size_t>(j)] =
          std::isnan(scale) ? 2 * exponent_limit + 1024 : exponent_of(scale);
    }
    for (std::int64_t i = 0; i < m; ++i) {
      const float scale = a.block_scale(i, begin);
      const int a_exponent = std::isnan(scale) ? 2 * exponent_limit + 1024 : exponent_of(scale);
      for (std::int64_t j = 0; j < n; ++j) {
        const auto at = static_cast<std::size_t>(i * n + j);
        const int exponent = a_exponent + b_exponents[static_cast<std::size_t>(j)];
        unsigned wrong = static_cast<unsigned>(std::abs(exponent) > exponent_limit);
        const int used = wrong != 0 ? 0 : exponent;
        const float moved = shifted(sums[at], -used, wrong);
        start[at] = wrong != 0 ? 0.0F : moved;
        needs_reference[at] = static_cast<unsigned char>(wrong);
      }
    }
    Gemm g;
    g.m = m;
    g.n = n;
    g.k = length;
    g.a = a_part.data();
    g.b = b_part.data();
    g.c = start.data();
    g.d = stepped.data();
    gemm(unit, g, isa);
    for (std::int64_t i = 0; i < m; ++i) {
      const float a_scale = a.block_scale(i, begin);
      const int a_exponent = std::isnan(a_scale) ? 0 : exponent_of(a_scale);
      for (std::int64_t j = 0; j < n; ++j) {
        const auto at = static_cast<std::size_t>(i * n + j);
        unsigned wrong = needs_reference[at];
        const int exponent = wrong != 0 ? 0 : a_exponent + b_exponents[static_cast<std::size_t>(j)];
        const float moved = shifted(stepped[at], exponent, wrong);
        sums[at] = wrong == 0 ? moved
                              : mx_step_reference(unit, a.values.data() + i * k + begin,
                                                  b.values.data() + j * k + begin, length, a_scale,
                                                  b.block_scale(j, begin), sums[at]);
      }
    }
    const std::int64_t end = begin + length;
    if (promote_every != 0 && (end % promote_every == 0 || end == k)) {
      for (std::size_t at = 0; at < outputs; ++at) {
        d[at] = promoted(d[at], sums[at]);
        sums[at] = 0;
      }
    }
  }
  if (promote_every == 0) std::copy(sums.begin(), sums.end(), d);
}

// ---- steps of 64 e2m1 products in groups of 16 ----

/// significand * 2^(exponent - 3): an E4M3 or E8M0 scale.
struct Scale {
  int significand = 0;
  int exponent = 0;
  bool nan = false;
};

Scale scale_of(Scaling scaling, float value) {
  if (std::isnan(value)) return {0, 0, true};
  if (!is_nvfp4(scaling)) return {8, std::ilogb(value), false};
  const int exponent = value == 0 ? -6 : std::max(std::ilogb(value), -6);
  return {static_cast<int>(std::ldexp(value, 3 - exponent)), exponent, false};
}

/// The scales of groups of 16 along k, row by row.
std::vector<Scale> group_scales(const QuantisedMatrix& q) {
  const std::int64_t per_row = ceil_div(q.cols, group);
  std::vector<Scale> scales(static_cast<std::size_t>(q.rows * per_row));
  for (std::int64_t r = 0; r < q.rows; ++r)
    for (std::int64_t g = 0; g < per_row; ++g)
      scales[static_cast<std::size_t>(r * per_row + g)] =
          scale_of(q.scaling, q.block_scale(r, g * group));
  return scales;
}

std::int64_t shifted_toward_zero(std::int64_t value, int left) {
  const std::int64_t magnitude = std::abs(value);
  const std::int64_t moved = left >= 0 ? magnitude << left : left > -63 ? magnitude >> -left : 0;
  return value < 0 ? -moved : moved;
}

/// One step: `count` groups, their exact sums in quarters (products of e2m1 have two fraction
/// bits), and their scales.
float group_step_of(const float* sums, std::int64_t sums_stride, const Scale* a, const Scale* b,
                    int count, float c) {
  const std::uint32_t c_word = fp32_bits(c);
  const int c_field = static_cast<int>(c_word >> 23 & 0xFF);
  bool nan = false;
  for (int g = 0; g < count; ++g) nan |= a[g].nan || b[g].nan;
  if (nan || (c_field == 0xFF && (c_word & 0x7FFFFF) != 0)) return canonical_nan();
  if (c_field == 0xFF) return c;

  const bool c_zero = (c_word & 0x7FFFFFFF) == 0;
  const int c_exponent = c_zero ? -126 : std::max(c_field, 1) - 127;
  int largest = c_exponent;
  for (int g = 0; g < count; ++g) largest = std::max(largest, a[g].exponent + b[g].exponent);
  const std::int64_t c_significand =
      static_cast<std::int64_t>(c_word & 0x7FFFFF) + (c_field > 0 ? 0x800000 : 0);
  std::int64_t sum = shifted_toward_zero(c_word >> 31 != 0 ? -c_significand : c_significand,
                                         group_fraction_bits - 23 + c_exponent - largest);
  for (int g = 0; g < count; ++g) {
    // Fraction bits: 2 of the sum, 3 of each scale.
    const std::int64_t term =
        static_cast<std::int64_t>(sums[g * sums_stride] * 4) * a[g].significand * b[g].significand;
    sum += shifted_toward_zero(term,
                               group_fraction_bits - 8 + a[g].exponent + b[g].exponent - largest);
  }
  if (sum == 0) return 0;
  const auto magnitude = static_cast<std::uint64_t>(std::abs(sum));
  const int place = largest - group_fraction_bits;
  const int exponent = place + 63 - __builtin_clzll(magnitude);
  const std::uint32_t sign = sum < 0 ? 0x80000000U : 0U;
  if (exponent > 127) return fp32_value(sign | 0x7F800000);
  if (exponent < -126)
    return decode(Format::fp32, encode_scaled(float_format(Format::fp32), sum < 0, magnitude, place,
                                              Rounding::toward_zero, Overflow::to_special));
  const int surplus = 63 - __builtin_clzll(magnitude) - 23;
  const auto significand =
      static_cast<std::uint32_t>(surplus >= 0 ? magnitude >> surplus : magnitude << -surplus);
  return fp32_value(sign | (static_cast<std::uint32_t>(exponent + 127) << 23) |
                    (significand & 0x7FFFFF));
}

/// Sums of groups of 16, [groups][columns], of one row of A and a step of the transposed B.
void sum_groups(const float* __restrict a, const float* __restrict b, std::int64_t columns,
                int length, float* __restrict sums) {
  std::fill(sums, sums + groups * columns, 0.0F);
  for (int p = 0; p < length; ++p) {
    const float factor = a[p];
    float* __restrict target = sums + p / group * columns;
    const float* __restrict source = b + p * columns;
    for (std::int64_t j = 0; j < columns; ++j) target[j] += factor * source[j];
  }
}

void group_gemm(const QuantisedMatrix& a, const QuantisedMatrix& b, int promote_every, float* d) {
  constexpr std::int64_t tile = 64;
  const std::int64_t m = a.rows, n = b.rows, k = a.cols;
  const std::int64_t per_row = ceil_div(k, group);
  const std::vector<Scale> a_scales = group_scales(a), b_scales = group_scales(b);
  std::vector<float> columns(static_cast<std::size_t>(tile * k));
  std::array<float, groups * tile> sums;
  std::array<float, tile> part;
  for (std::int64_t first = 0; first < n; first += tile) {
    const std::int64_t width = std::min(tile, n - first);
    for (std::int64_t j = 0; j < width; ++j)
      for (std::int64_t p = 0; p < k; ++p)
        columns[static_cast<std::size_t>(p * width + j)] =
            b.values[static_cast<std::size_t>((first + j) * k + p)];
    for (std::int64_t i = 0; i < m; ++i) {
      float* const outputs = d + i * n + first;
      std::fill(outputs, outputs + width, 0.0F);
      part.fill(0);
      for (std::int64_t begin = 0; begin < k; begin += group_step) {
        const auto length = static_cast<int>(std::min<std::int64_t>(group_step, k - begin));
        sum_groups(a.values.data() + i * k + begin, columns.data() + begin * width, width, length,
                   sums.data());
        const std::int64_t at = begin / group;
        for (std::int64_t j = 0; j < width; ++j) {
          float& c = part[static_cast<std::size_t>(j)];
          c = group_step_of(sums.data() + j, width, a_scales.data() + i * per_row + at,
                            b_scales.data() + (first + j) * per_row + at,
                            static_cast<int>(ceil_div(length, group)), c);
        }
        const std::int64_t end = begin + length;
        if (end != k && (promote_every == 0 || end % promote_every != 0)) continue;
        for (std::int64_t j = 0; j < width; ++j) {
          float& c = part[static_cast<std::size_t>(j)];
          outputs[j] = promote_every == 0 ? c : promoted(outputs[j], c);
          c = 0;
        }
      }
    }
  }
}

}  // namespace

bool takes_block_scales(const Unit& unit, Scaling a, Scaling b) {
  if (!unit.block_scales || unit.products != mx_step) return false;
  if (a == Scaling::mx && b == Scaling::mx) return bits(unit.input) <= 8;
  return is_nvfp4(a) && is_nvfp4(b) && unit.input == Format::e2m1;
}

void block_scaled_gemm(const Unit& unit, const QuantisedMatrix& a, const QuantisedMatrix& b,
                       int promote_every, float* d, Isa isa) {
  check(unit, a, b, promote_every);
  if (by_groups(unit)) {
    group_gemm(a, b, promote_every, d);
  } else {
    mx_gemm(unit, a, b, promote_every, d, isa);
  }
}

void block_scaled_gemm_reference(const Unit& unit, const QuantisedMatrix& a,
                                 const QuantisedMatrix& b, int promote_every, float* d) {
  check(unit, a, b, promote_every);
  const std::int64_t k = a.cols;
  const int step = by_groups(unit) ? group_step : mx_step;
  const std::int64_t chain = promote_every == 0 ? std::max<std::int64_t>(k, 1) : promote_every;
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < b.rows; ++j) {
      const float* const x = a.values.data() + i * k;
      const float* const y = b.values.data() + j * k;
      float main = 0;
      for (std::int64_t from = 0; from < k; from += chain) {
        float c = 0;
        for (std::int64_t begin = from; begin < std::min(from + chain, k); begin += step) {
          const auto length = static_cast<int>(std::min<std::int64_t>(step, k - begin));
          if (!by_groups(unit)) {
            c = mx_step_reference(unit, x + begin, y + begin, length, a.block_scale(i, begin),
                                  b.block_scale(j, begin), c);
            continue;
          }
          std::array<float, groups> sums{};
          std::array<Scale, groups> a_scales, b_scales;
          for (int p = 0; p < length; ++p)
            sums[static_cast<std::size_t>(p / group)] += x[begin + p] * y[begin + p];
          const auto count = static_cast<int>(ceil_div(length, group));
          for (int g = 0; g < count; ++g) {
            const std::int64_t at = begin + std::int64_t{g} * group;
            a_scales[static_cast<std::size_t>(g)] = scale_of(a.scaling, a.block_scale(i, at));
            b_scales[static_cast<std::size_t>(g)] = scale_of(b.scaling, b.block_scale(j, at));
          }
          c = group_step_of(sums.data(), 1, a_scales.data(), b_scales.data(), count, c);
        }
        main = promote_every == 0 ? c : promoted(main, c);
      }
      d[i * b.rows + j] = main;
    }
  }
}

}  // namespace tessera
