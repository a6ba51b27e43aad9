#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/error.h"

namespace tessera {

/// What an expression may speak of.
struct ExpressionNames {
  std::vector<std::string> numbers;  ///< names of numbers: keys of the chip, axes, metrics
  std::vector<std::string> texts;    ///< names of texts, to be compared with "..." only
};

/// An arithmetic expression of a sweep file, such as `l2.size_mib * 2 > hbm.stacks` or
/// `precision == "fp8" && batch >= 8`. Numbers, names, + - * / ^, comparisons, && || !,
/// CONDITION ? A : B, parentheses, and the functions abs, min, max, sqrt, exp, ln, log2, log10,
/// pow, floor, ceil, round, mod. Conditions are 1 or 0. muParser does the arithmetic, in doubles.
class Expression {
 public:
  /// Throws InputError under `key` at `where`: a syntax error, or an unknown name (with the
  /// nearest).
  Expression(const std::string& text, const ExpressionNames& names, const std::string& key,
             const SourceLocation& where);
  ~Expression();
  Expression(Expression&&) noexcept;
  Expression& operator=(Expression&&) noexcept;

  /// The value where `value_of` gives that of each name; text_code() of a text. May be NaN.
  double evaluate(const std::function<double(const std::string&)>& value_of) const;
  /// The names it speaks of, sorted.
  const std::vector<std::string>& used() const;
  const std::string& text() const { return text_; }

 private:
  struct Parsed;
  std::string text_;
  std::unique_ptr<Parsed> parsed_;
};

/// The number that stands for a text in an expression: equal texts, equal numbers.
double text_code(std::string_view text);

}  // namespace tessera
