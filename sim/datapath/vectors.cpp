#include "sim/datapath/vectors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>

#include "sim/base/error.h"
#include "sim/base/random.h"

namespace tessera {
namespace {

/// The random draws of one row.
class Draw {
 public:
  Draw(std::uint64_t seed, std::int64_t row) : random_(seed, static_cast<std::uint64_t>(row)) {}

  std::uint32_t bits() { return random_.bits(next_++); }
  /// In [low, high]; low <= high.
  int between(int low, int high) {
    const auto range = static_cast<std::uint64_t>(high - low + 1);
    return low + static_cast<int>(bits() * range >> 32);
  }
  bool once_in(int n) { return between(1, n) == 1; }
  bool coin() { return once_in(2); }
  /// Nearly normal, of unit variance: twelve uniform draws, so that no mathematical library's last
  /// place decides.
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += bits() * 0x1p-32;
    return sum;
  }

 private:
  Random random_;
  std::uint64_t next_ = 0;
};

/// What makes a step's words: values of the unit's format and of its accumulator's.
class Maker {
 public:
  Maker(const VectorOptions& options, std::int64_t row)
      : unit_(options.unit),
        fp16_(options.accumulator == Accumulator::fp16),
        accumulator_(fp16_ ? Format::fp16 : Format::fp32),
        low_(float_format(unit_.input).min_exponent()),
        high_(std::ilogb(max_finite(unit_.input))),
        draw_(options.seed, row) {}

  /// Fills a and b; the first step of a row chooses c too.
  void step(Aim aim, bool first, std::vector<float>& a, std::vector<float>& b, float& c) {
    a_.assign(static_cast<std::size_t>(unit_.products), 0);
    b_ = a_;
    first_ = first;
    c_ = c;
    switch (aim) {
      case Aim::specials:
        specials();
        break;
      case Aim::zeros:
        zeros();
        break;
      case Aim::cancellation:
        cancellation();
        break;
      case Aim::subnormals:
        subnormals();
        break;
      case Aim::alignment:
        alignment();
        break;
      case Aim::carries:
        carries();
        break;
      case Aim::bits:
        bits();
        break;
      case Aim::normal:
        normal();
        break;
    }
    a = a_;
    b = b_;
    c = c_;
  }

 private:
  std::size_t products() const { return a_.size(); }
  std::size_t any_index() { return static_cast<std::size_t>(draw_.between(0, unit_.products - 1)); }

  void set(std::size_t i, float x, float y) {
    a_[i] = x;
    b_[i] = y;
    if (draw_.coin()) std::swap(a_[i], b_[i]);
  }
  void set_c(float c) {
    if (first_) c_ = c;
  }

  float in_format(Format format, double value) const {
    return decode(format, encode(format, value, Rounding::nearest_even, Overflow::saturate));
  }

  /// Any finite number of a format, every code as likely.
  float finite(Format format) {
    const FloatFormat& f = float_format(format);
    for (;;) {
      const float value = decode(format, draw_.bits() << f.padding_bits);
      if (std::isfinite(value)) return value;
    }
  }

  /// A random number whose exponent, as the hardware counts it, is `exponent`: at the format's
  /// smallest one it may be subnormal.
  float with_exponent(Format format, int exponent) {
    const FloatFormat& f = float_format(format);
    std::uint32_t significand = 1u << f.fraction_bits;
    significand |= draw_.bits() & (significand - 1);
    if (exponent == f.min_exponent() && draw_.once_in(4)) significand -= 1u << f.fraction_bits;
    // The largest exponents may have codes that are no numbers.
    const double magnitude =
        std::min(std::ldexp(significand, exponent - f.fraction_bits), double{max_finite(format)});
    return static_cast<float>(draw_.coin() ? magnitude : -magnitude);
  }

  /// A power of two of either sign, subnormal ones included; the nearest that the format has.
  float power(Format format, int exponent) {
    const FloatFormat& f = float_format(format);
    exponent =
        std::clamp(exponent, f.min_exponent() - f.fraction_bits, std::ilogb(max_finite(format)));
    return std::ldexp(draw_.coin() ? 1.0F : -1.0F, exponent);
  }

  /// Operands whose product has this exponent, or the nearest possible one.
  void set_product(std::size_t i, int exponent) {
    exponent = std::clamp(exponent, 2 * low_, 2 * high_);
    const int x = draw_.between(std::max(low_, exponent - high_), std::min(high_, exponent - low_));
    set(i, with_exponent(unit_.input, x), with_exponent(unit_.input, exponent - x));
  }

  /// Operands whose product is this power of two, or the nearest possible one.
  void set_power(std::size_t i, int exponent) {
    const int least = low_ - float_format(unit_.input).fraction_bits;
    exponent = std::clamp(exponent, 2 * least, 2 * high_);
    // Of normal numbers mostly, where those have such a product.
    const int low = exponent >= 2 * low_ && !draw_.once_in(4) ? low_ : least;
    const int x = draw_.between(std::max(low, exponent - high_), std::min(high_, exponent - low));
    set(i, power(unit_.input, x), power(unit_.input, exponent - x));
  }

  float accumulator_with_exponent(int exponent) {
    return with_exponent(accumulator_,
                         std::clamp(exponent, float_format(accumulator_).min_exponent(),
                                    std::ilogb(max_finite(accumulator_))));
  }

  /// The exponent of the accumulator as the hardware counts it; that of 1 for 0, Inf and NaN.
  int exponent_of_c() const {
    return c_ == 0 || !std::isfinite(c_)
               ? 0
               : std::max(std::ilogb(c_), float_format(accumulator_).min_exponent());
  }

  void normal() {
    for (std::size_t i = 0; i < products(); ++i)
      set(i, in_format(unit_.input, draw_.normal()), in_format(unit_.input, draw_.normal()));
    set_c(in_format(accumulator_, draw_.normal() * std::sqrt(unit_.products)));
  }

  void bits() {
    // Padding, where the format has any, is for the unit to ignore.
    const std::uint32_t padding = (1u << float_format(unit_.input).padding_bits) - 1;
    const auto any = [&] {
      return fp32_value(fp32_bits(finite(unit_.input)) | (draw_.bits() & padding));
    };
    for (std::size_t i = 0; i < products(); ++i) set(i, any(), any());
    // Over the whole range of an FP32 the products would rarely matter.
    set_c(draw_.coin() ? finite(accumulator_)
                       : accumulator_with_exponent(draw_.between(2 * low_, 2 * high_)));
  }

  void specials() {
    normal();
    const Specials has = float_format(unit_.input).specials;
    const float largest = max_finite(unit_.input);
    const float infinity = std::numeric_limits<float>::infinity();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float sign = draw_.coin() ? 1.0F : -1.0F;
    const std::size_t i = any_index(), other = any_index();
    const int last_without_infinity = 4, last_without_nan = 3;
    switch (draw_.between(0, has == Specials::ieee   ? 9
                             : has == Specials::none ? last_without_nan
                                                     : last_without_infinity)) {
      case 0:  // overflow, or the largest sum
        for (std::size_t k = 0; k < products(); ++k) set(k, sign * largest, largest);
        set_c(sign * max_finite(accumulator_));
        break;
      case 1:  // a few last places below the largest accumulator, or above
        for (std::size_t k = 0; k < products(); ++k)
          set_product(k, std::ilogb(max_finite(accumulator_)) - draw_.between(0, 26));
        set_c(sign * max_finite(accumulator_));
        break;
      case 2:
        set_c(sign * infinity);
        break;
      case 3:
        set_c(nan);
        break;
      case 4:
        set(i, nan, draw_.coin() ? 0 : finite(unit_.input));
        break;
      case 5:
        set(i, sign * infinity, with_exponent(unit_.input, draw_.between(low_, high_)));
        break;
      case 6:
        set(i, sign * infinity, draw_.coin() ? 0.0F : -0.0F);
        break;
      case 7:  // of one sign, or of both
        set(i, sign * infinity, 1);
        set(other, infinity, draw_.coin() ? 1.0F : -1.0F);
        break;
      case 8:
        set(i, sign * infinity, 1);
        set_c(draw_.coin() ? infinity : -infinity);
        break;
      default:  // Inf from the operands, overflow from the sum
        for (std::size_t k = 0; k < products(); ++k) set(k, largest, largest);
        set(i, sign * infinity, infinity);
        break;
    }
  }

  void zeros() {
    const auto zero = [&] { return draw_.coin() ? 0.0F : -0.0F; };
    const bool all = draw_.coin();
    for (std::size_t i = 0; i < products(); ++i)
      set(i, zero(), all || draw_.coin() ? zero() : finite(unit_.input));
    set_c(zero());
    if (draw_.once_in(4)) set_c(finite(accumulator_));
    if (!draw_.once_in(3)) return;
    if (products() > 1) {
      const float x = finite(unit_.input), y = finite(unit_.input);
      set(0, x, y);
      set(products() - 1, x, -y);
    } else {
      const float x = with_exponent(unit_.input, std::clamp(0, low_, high_));
      set(0, x, 1);
      set_c(-x);
    }
  }

  void cancellation() {
    // Pairs that cancel, in random places, and one or two products that are left.
    std::vector<std::size_t> order(products());
    for (std::size_t i = 0; i < products(); ++i) order[i] = i;
    for (std::size_t i = products() - 1; i > 0; --i)
      std::swap(order[i], order[static_cast<std::size_t>(draw_.between(0, static_cast<int>(i)))]);
    const std::size_t left = std::min<std::size_t>(products(), draw_.coin() ? 1 : 2);
    const int middle = draw_.between(2 * low_ + unit_.fraction_bits / 2, 2 * high_);
    std::size_t used = 0;
    for (; used + 2 + left <= products(); used += 2) {
      set_product(order[used], std::clamp(middle, 2 * low_, 2 * high_) - draw_.between(0, 3));
      set(order[used + 1], -a_[order[used]], b_[order[used]]);
    }
    for (; used < products(); ++used)
      set_product(order[used], middle - draw_.between(0, unit_.fraction_bits + 4));
    if (draw_.coin()) {
      set_c(draw_.coin() ? 0 : accumulator_with_exponent(middle - unit_.fraction_bits));
    } else if (first_) {
      // The accumulator cancels a product as far as its format can hold that.
      c_ = in_format(accumulator_, -double{a_[order[0]]} * b_[order[0]]);
    } else if (std::isfinite(c_)) {
      // A product cancels the accumulator likewise.
      set(order[0], in_format(unit_.input, -c_), in_format(unit_.input, 1));
    }
  }

  void subnormals() {
    const FloatFormat& f = float_format(unit_.input);
    const auto tiny = [&] {
      const std::uint32_t below = (2u << f.fraction_bits) - 1;
      const float value = decode(unit_.input, (draw_.bits() & below) << f.padding_bits);
      return draw_.coin() ? value : -value;
    };
    const std::uint32_t small_code =
        draw_.bits() & ((1u << float_format(accumulator_).fraction_bits) - 1);
    const float small = decode(accumulator_, small_code);
    switch (draw_.between(0, 5)) {
      case 0:
        for (std::size_t i = 0; i < products(); ++i) set(i, tiny(), tiny());
        set_c(draw_.coin() ? small : -small);
        break;
      case 1:
        for (std::size_t i = 0; i < products(); ++i) set(i, tiny(), finite(unit_.input));
        set_c(draw_.coin() ? 0 : accumulator_with_exponent(2 * low_));
        break;
      case 2:
        set(any_index(), tiny(), draw_.coin() ? 0 : tiny());
        set_c(draw_.coin() ? small : -small);
        break;
      default: {
        // Sums at the last place of the accumulator's subnormals, or half of it, and the little
        // that the floor of the alignment keeps or drops.
        const int last_place = fp16_ ? -24 : -149;
        const int floor = fp16_ ? unit_.floor_fp16 : unit_.floor_fp32;
        const int kept = std::max(floor, last_place - 1) - unit_.fraction_bits;
        const bool only_lost = !draw_.once_in(4);
        for (std::size_t i = 0; i < products(); ++i) {
          if (only_lost) {
            if (draw_.coin()) set_power(i, kept - draw_.between(-1, 6));
          } else if (draw_.coin()) {
            set_power(i, last_place - draw_.between(2, unit_.fraction_bits + 12));
          } else {
            set_product(i, last_place - draw_.between(0, 24));
          }
        }
        set_power(any_index(), last_place + draw_.between(-1, 1));
        set_c(0);
        break;
      }
    }
  }

  void alignment() {
    const int kept = unit_.fraction_bits;
    const int product_fraction = 2 * float_format(unit_.input).fraction_bits;
    const int accumulator_fraction = float_format(accumulator_).fraction_bits;
    const bool product_leads = draw_.coin();
    int largest = 0;  // exponent that all are aligned to
    if (!first_ && !product_leads) {
      largest = exponent_of_c();
    } else if (!first_) {
      largest = exponent_of_c() + kept - draw_.between(-2, accumulator_fraction + 2);
    } else if (product_leads) {
      const int lowest = std::min(2 * low_ + kept - product_fraction, 2 * high_);
      largest = draw_.between(std::max(2 * low_, lowest), 2 * high_);
      set_c(
          accumulator_with_exponent(largest - kept + draw_.between(-2, accumulator_fraction + 2)));
      if (draw_.once_in(4)) set_c(0);
    } else {
      largest = draw_.between(2 * low_, 2 * high_) + kept;
      set_c(accumulator_with_exponent(largest));
      largest = exponent_of_c();
    }
    // Exponents from "all dropped" to "all kept".
    for (std::size_t i = 0; i < products(); ++i) {
      const int exponent = largest - kept + draw_.between(-2, product_fraction + 1);
      if (draw_.once_in(4)) {
        set_power(i, exponent);
      } else {
        set_product(i, exponent);
      }
    }
    if (product_leads) set_product(any_index(), largest);
    if (draw_.coin()) return;
    // Of one sign, so that what is dropped adds up.
    for (std::size_t i = 0; i < products(); ++i) {
      a_[i] = std::fabs(a_[i]);
      b_[i] = std::fabs(b_[i]);
    }
  }

  void carries() {
    const FloatFormat& f = float_format(unit_.input);
    const FloatFormat& accumulator = float_format(accumulator_);
    const int result_bits = fp16_ ? accumulator.fraction_bits : unit_.output_fraction_bits;
    const auto ones = [&](const FloatFormat& format, Format of, int exponent) {
      return in_format(of, std::ldexp(2 - std::ldexp(1, -format.fraction_bits), exponent));
    };
    const float sign = draw_.coin() ? 1.0F : -1.0F;
    if (draw_.coin()) {
      // The longest carries: every significand all ones.
      const int exponent = draw_.between(low_, high_);
      for (std::size_t i = 0; i < products(); ++i)
        set(i, sign * ones(f, unit_.input, exponent), ones(f, unit_.input, exponent));
      set_c(sign * ones(accumulator, accumulator_,
                        std::clamp(2 * exponent + draw_.between(-2, 2), accumulator.min_exponent(),
                                   std::ilogb(max_finite(accumulator_)))));
      return;
    }
    if (draw_.once_in(3)) {
      // Equal products, half of the sum's last place, and an accumulator or a product that breaks
      // the tie if the alignment keeps it.
      const int exponent =
          draw_.coin() ? 2 * high_ : draw_.between(std::max(2 * low_, -result_bits), 2 * high_);
      const int count = draw_.coin() ? unit_.products : draw_.between(1, unit_.products);
      if (draw_.coin()) {
        set_power(0, exponent);
      } else {
        set_product(0, exponent);
      }
      for (int i = 1; i < count; ++i) {
        a_[static_cast<std::size_t>(i)] = a_[0];
        b_[static_cast<std::size_t>(i)] = b_[0];
      }
      const double total = count * std::fabs(double{a_[0]} * b_[0]);
      if (total == 0) return;
      const int half = std::ilogb(total) - result_bits - 1;
      const int lost = exponent - unit_.fraction_bits - draw_.between(0, 1);
      set_c(0);
      set_power(any_index(), half);
      if (draw_.coin()) {
        set_c(power(accumulator_, lost));
      } else {
        set_power(any_index(), lost);
      }
      return;
    }
    // The accumulator or a product leads, the rest is a last place of the result, half of one, or
    // less, of either sign.
    const bool product_leads = draw_.coin();
    int exponent = product_leads || !first_ ? draw_.between(low_ + high_, 2 * high_)
                                            : draw_.between(2 * low_, 2 * high_) + result_bits;
    if (product_leads) {
      set_c(0);
    } else {
      set_c(draw_.coin() ? power(accumulator_, exponent) : accumulator_with_exponent(exponent));
      if (first_ && draw_.coin()) set_c(sign * ones(accumulator, accumulator_, exponent_of_c()));
      exponent = exponent_of_c();
    }
    for (std::size_t i = 0; i < products(); ++i)
      if (draw_.coin()) set_power(i, exponent - result_bits - draw_.between(0, 3));
    if (!product_leads) return;
    if (draw_.coin()) {
      set_power(any_index(), exponent);
    } else {
      set_product(any_index(), exponent);
    }
  }

  const Unit& unit_;
  const bool fp16_;
  const Format accumulator_;
  const int low_, high_;  ///< exponents of the input format
  Draw draw_;
  std::vector<float> a_, b_;
  float c_ = 0;
  bool first_ = true;
};

/// The FP32 pattern of a value as rows hold it: NaN as the format decodes and encodes it.
std::uint32_t word(Format format, float value) {
  if (std::isnan(value))
    return fp32_bits(
        decode(format, encode(format, double{value}, Rounding::toward_zero, Overflow::to_special)));
  return fp32_bits(value);
}

/// Hexadecimal digits that hold a code.
int digits(Format format) { return (bits(format) + 3) / 4; }

std::string code_text(Format format, std::uint32_t pattern) {
  const std::uint32_t code = bits(format) == 32
                                 ? pattern
                                 : encode(format, double{fp32_value(pattern)},
                                          Rounding::toward_zero, Overflow::to_special);
  return fmt::format("{:0{}x}", code, digits(format));
}

Format format_of(Accumulator accumulator) {
  return accumulator == Accumulator::fp16 ? Format::fp16 : Format::fp32;
}

std::string hex_line(const VectorOptions& options, const MmaRow& row) {
  const Format result = format_of(options.accumulator);
  std::string line;
  for (const auto* words : {&row.a, &row.b})
    for (const std::uint32_t w : *words) line += code_text(options.unit.input, w) + " ";
  return line + code_text(result, row.c) + " " + code_text(result, row.expected);
}

/// The most significant digit is written first: d, c, then b and a from the last element down.
std::string memh_line(const VectorOptions& options, const MmaRow& row) {
  const Format result = format_of(options.accumulator);
  std::string line = code_text(result, row.expected) + code_text(result, row.c);
  for (const auto* words : {&row.b, &row.a})
    for (auto w = words->rbegin(); w != words->rend(); ++w)
      line += code_text(options.unit.input, *w);
  return line;
}

std::string header(const VectorOptions& options, VectorFormat format) {
  const char* const comment = format == VectorFormat::rows ? "#" : "//";
  const Format result = format_of(options.accumulator);
  const int n = options.unit.products * options.steps;
  std::string text =
      fmt::format("{} {}, {} accumulator: {} rows of {} {} of {} products, seed {}\n", comment,
                  options.unit.name, name(result), options.count, options.steps,
                  options.steps == 1 ? "step" : "steps", options.unit.products, options.seed);
  std::vector<std::string_view> aims;
  for (const Aim aim : all_aims()) aims.push_back(name(aim));
  text += fmt::format("{} rows aim in turn at {}\n", comment, fmt::join(aims, ", "));
  switch (format) {
    case VectorFormat::rows:
      text += fmt::format("# FP32 patterns: {0} of a, {0} of b, c, expected d\n", n);
      break;
    case VectorFormat::hex:
      text += fmt::format("// codes: {0} of a and {0} of b in {1}, c and expected d in {2}\n", n,
                          name(options.unit.input), name(result));
      break;
    case VectorFormat::memh: {
      const int w = 4 * digits(options.unit.input), r = 4 * digits(result);
      text += fmt::format(
          "// logic [{}:0] rows [0:{}]; initial $readmemh(FILE, rows);\n"
          "// a[i] = rows[n][{}*i +: {}], b[i] = rows[n][{} + {}*i +: {}] in {}, i = 0 to {};\n"
          "// c = rows[n][{} +: {}], expected d = rows[n][{} +: {}] in {}\n",
          2 * n * w + 2 * r - 1, options.count - 1, w, w, n * w, w, w, name(options.unit.input),
          n - 1, 2 * n * w, r, 2 * n * w + r, r, name(result));
      break;
    }
  }
  return text;
}

}  // namespace

const std::vector<Aim>& all_aims() {
  static const std::vector<Aim> all = {Aim::specials,   Aim::zeros,     Aim::cancellation,
                                       Aim::subnormals, Aim::alignment, Aim::carries,
                                       Aim::bits,       Aim::normal};
  return all;
}

std::string_view name(Aim aim) {
  switch (aim) {
    case Aim::specials:
      return "specials";
    case Aim::zeros:
      return "zeros";
    case Aim::cancellation:
      return "cancellation";
    case Aim::subnormals:
      return "subnormals";
    case Aim::alignment:
      return "alignment";
    case Aim::carries:
      return "carries";
    case Aim::bits:
      return "bits";
    case Aim::normal:
      return "normal";
  }
  return "?";
}

MmaRow test_vector(const VectorOptions& options, std::int64_t index) {
  const std::vector<Aim>& aims = all_aims();
  const Aim aim = aims[static_cast<std::size_t>(index) % aims.size()];
  const Format result = format_of(options.accumulator);
  Maker maker(options, index);
  MmaRow row;
  std::vector<float> a, b;
  float c = 0;
  for (int step = 0; step < options.steps; ++step) {
    maker.step(aim, step == 0, a, b, c);
    if (step == 0) row.expected = row.c = word(result, c);
    for (const float x : a) row.a.push_back(word(options.unit.input, x));
    for (const float y : b) row.b.push_back(word(options.unit.input, y));
    row.expected = dot_add(options.unit, options.accumulator, &*(row.a.end() - a.size()),
                           &*(row.b.end() - b.size()), row.expected);
    c = fp32_value(row.expected);
  }
  return row;
}

void validate(const VectorOptions& options) {
  validate(options.unit);
  require_accumulator(options.unit, options.accumulator);
  const auto require = [](const char* key, std::int64_t value, std::int64_t most) {
    if (value < 1 || value > most)
      throw InputError(key, fmt::format("{} is out of range", value),
                       fmt::format("give 1 to {}", most));
  };
  require("count", options.count, max_vector_count);
  require("steps", options.steps, max_vector_steps);
}

void write_vectors(std::ostream& out, const VectorOptions& options, VectorFormat format) {
  validate(options);
  out << header(options, format);
  for (std::int64_t index = 0; index < options.count; ++index) {
    const MmaRow row = test_vector(options, index);
    switch (format) {
      case VectorFormat::rows:
        out << row_text(row, RowKind::checked);
        break;
      case VectorFormat::hex:
        out << hex_line(options, row);
        break;
      case VectorFormat::memh:
        out << memh_line(options, row);
        break;
    }
    out << '\n';
  }
}

}  // namespace tessera
