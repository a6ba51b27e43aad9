#include "sim/datapath/scaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "sim/base/error.h"
#include "sim/base/units.h"
#include "sim/datapath/cast.h"

namespace tessera {
namespace {

constexpr float largest_fp32 = std::numeric_limits<float>::max();
/// Stretch of the reported block dynamic range where the scaling has no finer one.
constexpr int dynamic_range_stretch = 128;

struct Grid {
  std::int64_t rows, cols;  ///< of a block
};

Grid grid_of(Scaling scaling, std::int64_t rows, std::int64_t cols) {
  const Grid whole = {std::max<std::int64_t>(rows, 1), std::max<std::int64_t>(cols, 1)};
  switch (scaling) {
    case Scaling::none:
    case Scaling::tensor:
      break;
    case Scaling::token:
    case Scaling::channel:
      return {1, whole.cols};
    case Scaling::block_1x128:
      return {1, 128};
    case Scaling::block_128x128:
      return {128, 128};
    case Scaling::mx:
      return {1, 32};
    case Scaling::nvfp4:
      return {1, 16};
    case Scaling::nvfp4_16x16:
      return {16, 16};
  }
  return whole;
}

bool is_nvfp4(Scaling scaling) {
  return scaling == Scaling::nvfp4 || scaling == Scaling::nvfp4_16x16;
}

/// How the elements of a block are scaled: times the factor (or divided by the scale), and back.
struct BlockScale {
  float factor = 1;
  bool divide = false;
  float scale = 1;
};

BlockScale from_factor(float factor) { return {factor, false, 1.0F / factor}; }

/// Transformer Engine's float_to_e8m0: rounded up, subnormals below 2^-127 to code 0.
int e8m0_up(float value) {
  if (std::isnan(value)) return 0xFF;
  if (std::isinf(value)) return 0xFE;
  const std::uint32_t pattern = fp32_bits(value);
  const int exponent = static_cast<int>(pattern >> 23);
  const std::uint32_t fraction = pattern & 0x7FFFFF;
  const bool up = fraction > 0 && exponent != 0xFE && !(exponent == 0 && fraction <= 0x400000);
  return exponent + static_cast<int>(up);
}

BlockScale from_e8m0(int code) {
  const float factor = code == 0 ? 1.0F : std::ldexp(1.0F, 127 - code);
  return {factor, false, decode(Format::e8m0, static_cast<std::uint32_t>(code))};
}

BlockScale block_scale(float amax, Format format, ScaleRule rule) {
  const float max = max_finite(format);
  switch (rule) {
    case ScaleRule::recipe:
    case ScaleRule::fp32:
      return from_factor(scale_from_amax(amax, max, false));
    case ScaleRule::power_of_two_down:
      return from_factor(scale_from_amax(amax, max, true));
    case ScaleRule::serving: {
      const float scale = std::max(amax / max, 1.0F / (max * 512.0F));
      return {0, true, scale};
    }
    case ScaleRule::deepgemm: {
      const float scale = std::max(amax, 1e-4F) / max;
      return {1.0F / scale, false, scale};
    }
    case ScaleRule::torchao:
      return from_factor(static_cast<float>(double{max} / std::max(double{amax}, 1e-12)));
    case ScaleRule::e8m0_up:
      return from_e8m0(e8m0_up(amax * (1.0F / max)));
    case ScaleRule::e8m0_down: {
      if (amax == 0) return from_e8m0(0);
      if (std::isinf(amax)) return from_e8m0(0xFE);
      const int exponent = std::ilogb(amax) - std::ilogb(max);
      return from_e8m0(std::clamp(exponent + 127, 0, 0xFE));
    }
  }
  return {};
}

ScaleRule recipe_rule(Scaling scaling) {
  switch (scaling) {
    case Scaling::none:
    case Scaling::tensor:
    case Scaling::nvfp4:
    case Scaling::nvfp4_16x16:
      break;
    case Scaling::token:
    case Scaling::channel:
      return ScaleRule::serving;
    case Scaling::block_1x128:
    case Scaling::block_128x128:
      return ScaleRule::power_of_two_down;
    case Scaling::mx:
      return ScaleRule::e8m0_up;
  }
  return ScaleRule::fp32;
}

void check(Format format, Scaling scaling, ScaleRule rule) {
  if (!is_float(format) || format == Format::e8m0)
    throw InputError("format", fmt::format("{} holds no numbers to quantise", name(format)),
                     "give a floating-point format, as e4m3");
  if (is_nvfp4(scaling) && format != Format::e2m1)
    throw InputError("format",
                     fmt::format("{} scaling is of e2m1, not {}", name(scaling), name(format)),
                     "give e2m1, or another scaling");
  if (scaling == Scaling::mx && bits(format) > 8)
    throw InputError("format", fmt::format("mx scaling has no elements of {}", name(format)),
                     "give a format of 8 bits or fewer, or another scaling");
  const bool e8m0_rule = rule == ScaleRule::e8m0_up || rule == ScaleRule::e8m0_down;
  const bool own = rule == ScaleRule::recipe;
  if (!own && (e8m0_rule != (scaling == Scaling::mx) || is_nvfp4(scaling)))
    throw InputError("scale rule", fmt::format("this rule is not of {} scaling", name(scaling)),
                     "give a rule of the scaling, or its own");
}

/// x rounded to the format; saturating where the elements are scaled.
void round_row(Format format, const float* x, float* rounded, std::int64_t n) {
  if (format == Format::fp32) {
    std::copy(x, x + n, rounded);
  } else if (format == Format::tf32) {
    for (std::int64_t i = 0; i < n; ++i) {
      const float kept = fp32_value(fp32_bits(x[i]) & 0xFFFFE000);
      rounded[i] = std::isnan(x[i]) ? x[i] : kept;
    }
  } else {
    round_to(format, bits(format) <= 8 ? Overflow::saturate : Overflow::to_special, x, rounded, n);
  }
}

/// Accumulates QuantisationStatistics element by element, in one order.
class StatisticsSums {
 public:
  StatisticsSums(float max, int stretch) : max_(max), stretch_(stretch) {}

  /// One row: the elements, scaled, rounded, and their scales (each of `block` elements).
  void add_row(const float* x, const float* scaled, const float* values, std::int64_t n,
               const float* scales, std::int64_t block, double tensor_scale) {
    for (std::int64_t begin = 0; begin < n; begin += stretch_) {
      const std::int64_t end = std::min<std::int64_t>(begin + stretch_, n);
      float high = 0, low = std::numeric_limits<float>::infinity();
      for (std::int64_t i = begin; i < end; ++i) {
        if (!std::isfinite(x[i])) {
          ++non_finite_;
          continue;
        }
        const float magnitude = std::abs(x[i]);
        high = std::max(high, magnitude);
        if (magnitude > 0) low = std::min(low, magnitude);
        underflows_ += static_cast<std::int64_t>(magnitude > 0 && values[i] == 0);
        overflows_ += static_cast<std::int64_t>(std::abs(scaled[i]) > max_);
      }
      amax_ = std::max(amax_, high);
      amin_ = std::min(amin_, low);
      if (high > 0) widest_ = std::max(widest_, double{high} / double{low});
    }
    for (std::int64_t begin = 0, b = 0; begin < n; begin += block, ++b) {
      const std::int64_t end = std::min(begin + block, n);
      const double scale = double{scales[b]} * tensor_scale;
      double error2 = 0, square = 0;
      for (std::int64_t i = begin; i < end; ++i) {
        if (!std::isfinite(x[i])) continue;
        const double e = double{values[i]} * scale - double{x[i]};
        error2 += e * e;
        square += double{x[i]} * double{x[i]};
      }
      error2_ += error2;
      square_ += square;
    }
    elements_ += n;
  }

  QuantisationStatistics statistics(const std::vector<float>& scales, double tensor_scale) const {
    QuantisationStatistics s;
    s.elements = elements_;
    s.non_finite = non_finite_;
    s.dynamic_range_block = stretch_;
    if (elements_ == 0) return s;
    const auto all = static_cast<double>(elements_);
    s.amax = amax_;
    s.underflow_share = static_cast<double>(underflows_) / all;
    s.overflow_share = static_cast<double>(overflows_) / all;
    if (amax_ > 0) {
      s.dynamic_range = std::log2(double{amax_}) - std::log2(double{amin_});
      s.max_block_dynamic_range = std::log2(widest_);
    }
    s.mse = error2_ / static_cast<double>(std::max<std::int64_t>(elements_ - non_finite_, 1));
    s.rel_rmse = error2_ == 0 ? 0 : std::sqrt(error2_ / square_);
    s.sqnr_db = -20 * std::log10(s.rel_rmse);
    const auto extremes = std::minmax_element(scales.begin(), scales.end());
    s.scale_min = double{*extremes.first} * tensor_scale;
    s.scale_max = double{*extremes.second} * tensor_scale;
    return s;
  }

 private:
  float max_;
  int stretch_;
  std::int64_t elements_ = 0, non_finite_ = 0, underflows_ = 0, overflows_ = 0;
  float amax_ = 0, amin_ = std::numeric_limits<float>::infinity();
  double widest_ = 1, error2_ = 0, square_ = 0;
};

/// Fills `values`, `scales` and `statistics` of a matrix whose other fields are set. `scale_of`
/// gives the BlockScale of a block from its number and its largest magnitude.
template <class ScaleOf>
void fill(QuantisedMatrix& q, const float* x, bool amax_wanted, ScaleOf scale_of) {
  q.values.resize(static_cast<std::size_t>(q.rows * q.cols));
  const std::int64_t blocks = q.scale_columns();
  const std::int64_t bands = std::max<std::int64_t>(ceil_div(q.rows, q.block_rows), 1);
  q.scales.resize(static_cast<std::size_t>(bands * blocks));
  std::vector<BlockScale> band(static_cast<std::size_t>(blocks));
  std::vector<float> amax(static_cast<std::size_t>(blocks));
  std::vector<float> scaled(static_cast<std::size_t>(q.cols));
  const int stretch = static_cast<int>(std::min<std::int64_t>(q.block_cols, dynamic_range_stretch));
  StatisticsSums sums(max_finite(q.format), std::max(stretch, 1));
  const bool plain = q.scaling == Scaling::none;

  for (std::int64_t first = 0, number = 0; first < std::max<std::int64_t>(q.rows, 1);
       first += q.block_rows, ++number) {
    const std::int64_t last = std::min(first + q.block_rows, q.rows);
    std::fill(amax.begin(), amax.end(), 0.0F);
    for (std::int64_t r = first; amax_wanted && r < last; ++r)
      for (std::int64_t b = 0; b < blocks; ++b) {
        const std::int64_t begin = b * q.block_cols;
        const std::int64_t length = std::min(q.block_cols, q.cols - begin);
        float& largest = amax[static_cast<std::size_t>(b)];
        largest = std::max(largest, amax_of(x + r * q.cols + begin, length));
      }
    float* const scales = q.scales.data() + number * blocks;
    for (std::int64_t b = 0; b < blocks; ++b) {
      const auto at = static_cast<std::size_t>(b);
      band[at] = scale_of(number * blocks + b, amax[at]);
      scales[b] = band[at].scale;
    }
    for (std::int64_t r = first; r < last; ++r) {
      const float* const row = x + r * q.cols;
      const float* to_round = row;
      if (!plain) {
        for (std::int64_t b = 0; b < blocks; ++b) {
          const BlockScale s = band[static_cast<std::size_t>(b)];
          const std::int64_t end = std::min((b + 1) * q.block_cols, q.cols);
          float* const target = scaled.data();
          if (s.divide) {
            for (std::int64_t c = b * q.block_cols; c < end; ++c) target[c] = row[c] / s.scale;
          } else {
            for (std::int64_t c = b * q.block_cols; c < end; ++c) target[c] = row[c] * s.factor;
          }
        }
        to_round = scaled.data();
      }
      float* const values = q.values.data() + r * q.cols;
      round_row(q.format, to_round, values, q.cols);
      sums.add_row(row, to_round, values, q.cols, scales, q.block_cols, double{q.tensor_scale});
    }
  }
  q.statistics = sums.statistics(q.scales, double{q.tensor_scale});
}

QuantisedMatrix empty_matrix(std::int64_t rows, std::int64_t cols, Format format, Scaling scaling) {
  QuantisedMatrix q;
  q.format = format;
  q.scaling = scaling;
  q.rows = rows;
  q.cols = cols;
  const Grid grid = grid_of(scaling, rows, cols);
  q.block_rows = grid.rows;
  q.block_cols = grid.cols;
  return q;
}

/// Transformer Engine's two levels: the E4M3 scale of a block under the tensor's FP32 scale.
void fill_nvfp4(QuantisedMatrix& q, const float* x) {
  const float amax = amax_of(x, q.rows * q.cols);
  float encode_scale = std::min(448.0F * 6.0F / amax, largest_fp32);
  if (amax == 0 || encode_scale == 0) encode_scale = 1;
  q.tensor_scale = 1.0F / encode_scale;
  fill(q, x, true, [&](std::int64_t, float block_amax) {
    const float wanted = block_amax * (encode_scale * (1.0F / 6.0F));
    const float scale = decode(
        Format::e4m3, encode(Format::e4m3, wanted, Rounding::nearest_even, Overflow::saturate));
    return BlockScale{std::min(1.0F / (scale * q.tensor_scale), largest_fp32), false, scale};
  });
}

}  // namespace

std::string_view name(Scaling scaling) {
  switch (scaling) {
    case Scaling::none:
      return "none";
    case Scaling::tensor:
      return "tensor";
    case Scaling::token:
      return "token";
    case Scaling::channel:
      return "channel";
    case Scaling::block_1x128:
      return "1x128";
    case Scaling::block_128x128:
      return "128x128";
    case Scaling::mx:
      return "mx";
    case Scaling::nvfp4:
      return "nvfp4";
    case Scaling::nvfp4_16x16:
      return "nvfp4-16x16";
  }
  return "";
}

const std::vector<Scaling>& all_scalings() {
  static const std::vector<Scaling> all = {
      Scaling::none,    Scaling::tensor,      Scaling::token,
      Scaling::channel, Scaling::block_1x128, Scaling::block_128x128,
      Scaling::mx,      Scaling::nvfp4,       Scaling::nvfp4_16x16};
  return all;
}

Scaling parse_scaling(std::string_view text) {
  std::vector<std::string> names;
  for (const Scaling s : all_scalings()) {
    if (name(s) == text) return s;
    names.emplace_back(name(s));
  }
  const std::string close = nearest(std::string(text), names);
  throw InputError("scaling", fmt::format("there is no scaling '{}'", text),
                   close.empty() ? fmt::format("give one of {}", fmt::join(names, ", "))
                                 : fmt::format("did you mean '{}'?", close));
}

std::int64_t QuantisedMatrix::scale_columns() const {
  return std::max<std::int64_t>(ceil_div(cols, block_cols), 1);
}

float QuantisedMatrix::block_scale(std::int64_t row, std::int64_t col) const {
  return scales[static_cast<std::size_t>(row / block_rows * scale_columns() + col / block_cols)];
}

double QuantisedMatrix::scale(std::int64_t row, std::int64_t col) const {
  return double{block_scale(row, col)} * double{tensor_scale};
}

std::vector<double> QuantisedMatrix::dequantised() const {
  std::vector<double> x(values.size());
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < cols; ++c) {
      const auto at = static_cast<std::size_t>(r * cols + c);
      x[at] = double{values[at]} * scale(r, c);
    }
  return x;
}

QuantisedMatrix QuantisedMatrix::rows_of(const std::vector<std::int64_t>& chosen) const {
  QuantisedMatrix part;
  part.format = format;
  part.scaling = scaling;
  part.rows = static_cast<std::int64_t>(chosen.size());
  part.cols = cols;
  part.block_cols = block_cols;
  part.tensor_scale = tensor_scale;
  part.statistics = statistics;
  part.values.reserve(chosen.size() * static_cast<std::size_t>(cols));
  const bool one_band = block_rows >= rows;
  part.block_rows = one_band ? std::max<std::int64_t>(part.rows, 1) : 1;
  if (one_band) part.scales = scales;
  const std::int64_t blocks = scale_columns();
  for (const std::int64_t r : chosen) {
    part.values.insert(part.values.end(), values.begin() + r * cols,
                       values.begin() + (r + 1) * cols);
    const std::int64_t band = r / block_rows * blocks;
    if (!one_band)
      part.scales.insert(part.scales.end(), scales.begin() + band, scales.begin() + band + blocks);
  }
  return part;
}

float amax_of(const float* x, std::int64_t n) {
  float amax = 0;
  // A comparison with NaN is false.
  for (std::int64_t i = 0; i < n; ++i) amax = std::abs(x[i]) > amax ? std::abs(x[i]) : amax;
  return amax;
}

float scale_from_amax(float amax, float max, bool power_of_two) {
  if (amax == 0 || !std::isfinite(amax)) return 1;
  float scale = max / amax;
  if (std::isinf(scale)) scale = largest_fp32;
  return power_of_two ? fp32_value(fp32_bits(scale) & 0xFF800000) : scale;
}

QuantisedMatrix quantise(const float* x, std::int64_t rows, std::int64_t cols, Format format,
                         Scaling scaling, ScaleRule rule) {
  check(format, scaling, rule);
  QuantisedMatrix q = empty_matrix(rows, cols, format, scaling);
  if (is_nvfp4(scaling)) {
    fill_nvfp4(q, x);
    return q;
  }
  if (scaling == Scaling::none) {
    fill(q, x, false, [](std::int64_t, float) { return BlockScale{}; });
    return q;
  }
  const ScaleRule used = rule == ScaleRule::recipe ? recipe_rule(scaling) : rule;
  fill(q, x, true, [&](std::int64_t, float amax) { return block_scale(amax, format, used); });
  return q;
}

QuantisedMatrix quantise_with(const float* x, std::int64_t rows, std::int64_t cols, Format format,
                              Scaling scaling, const std::vector<float>& scales) {
  check(format, scaling, ScaleRule::recipe);
  if (is_nvfp4(scaling) || scaling == Scaling::none)
    throw InputError("scales", fmt::format("{} scaling takes none", name(scaling)),
                     "leave them out, or give another scaling");
  QuantisedMatrix q = empty_matrix(rows, cols, format, scaling);
  const auto expected = static_cast<std::size_t>(
      std::max<std::int64_t>(ceil_div(rows, q.block_rows), 1) * q.scale_columns());
  if (scales.size() != expected)
    throw InputError("scales",
                     fmt::format("{} of them for a {} x {} matrix with {} scaling", scales.size(),
                                 rows, cols, name(scaling)),
                     fmt::format("give {}", expected));
  for (std::size_t i = 0; i < scales.size(); ++i)
    if (!std::isfinite(scales[i]) || scales[i] <= 0)
      throw InputError(fmt::format("scales[{}]", i), fmt::format("{} is no scale", scales[i]),
                       "give a finite number above 0");
  fill(q, x, false, [&](std::int64_t block, float) {
    const float scale = scales[static_cast<std::size_t>(block)];
    return BlockScale{std::min(1.0F / scale, largest_fp32), false, scale};
  });
  return q;
}

DelayedScaling::DelayedScaling(Format format) : DelayedScaling(format, Options()) {}

DelayedScaling::DelayedScaling(Format format, const Options& options)
    : format_(format), options_(options) {
  check(format, Scaling::tensor, ScaleRule::fp32);
  if (options.history_length < 1)
    throw InputError("history length", fmt::format("{} is too short", options.history_length),
                     "give 1 or more; Transformer Engine's default is 1024");
  if (options.margin < -100 || options.margin > 100)
    throw InputError("margin", fmt::format("{} is out of range", options.margin),
                     "give -100 to 100; Transformer Engine's default is 0");
}

QuantisedMatrix DelayedScaling::step(const float* x, std::int64_t rows, std::int64_t cols) {
  QuantisedMatrix q = empty_matrix(rows, cols, format_, Scaling::tensor);
  fill(q, x, false, [&](std::int64_t, float) { return from_factor(scale_); });

  history_.push_front(amax_of(x, rows * cols));
  if (history_.size() > static_cast<std::size_t>(options_.history_length)) history_.pop_back();
  const float amax = options_.algorithm == Algorithm::most_recent
                         ? history_.front()
                         : *std::max_element(history_.begin(), history_.end());
  if (amax == 0 || !std::isfinite(amax)) return q;
  const float scale = std::ldexp(max_finite(format_), -options_.margin) / amax;
  scale_ = std::isinf(scale) ? largest_fp32 : scale;
  return q;
}

}  // namespace tessera
