#include "sim/sweep/expression.h"

#include <fmt/format.h>
#include <muParser.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <map>

#include "sim/trace/digest.h"

namespace tessera {
namespace {

constexpr std::size_t max_expression_bytes = 2000;
constexpr int max_depth = 64;  // of parentheses: the parser recurses

double logical_not(double x) { return x == 0 ? 1 : 0; }
double round_half_away(double x) { return std::round(x); }
double floor_of(double x) { return std::floor(x); }
double ceil_of(double x) { return std::ceil(x); }
double power(double x, double y) { return std::pow(x, y); }
double modulo(double x, double y) { return std::fmod(x, y); }

/// Every "text" replaced by its number, and what a user is likely to get wrong refused.
template <class Fail>
std::string without_texts(const std::string& text, const Fail& fail) {
  std::string plain;
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' || c == '\'') {
      const std::size_t end = text.find(c, i + 1);
      if (end == std::string::npos) fail("a quote is not closed", "close it");
      plain += fmt::format("({})", text_code(std::string_view(text).substr(i + 1, end - i - 1)));
      i = end;
      continue;
    }
    if (c == '(' && ++depth > max_depth) fail("nested too deep", "use fewer parentheses");
    if (c == ')') --depth;
    const bool compares = c == '=' && i > 0 && std::string("=<>!").find(text[i - 1]) < 4;
    if (c == '=' && !compares && (i + 1 == text.size() || text[i + 1] != '='))
      fail("'=' does not compare", "write ==");
    plain += std::isspace(static_cast<unsigned char>(c)) != 0 ? ' ' : c;
  }
  return plain;
}

}  // namespace

double text_code(std::string_view text) {
  // 48 bits of the digest: whole in a double, and not by chance a number of a user's.
  const std::string digest = content_digest(text);
  std::uint64_t bits = 0;
  std::from_chars(digest.data(), digest.data() + 12, bits, 16);
  return -static_cast<double>(bits) - 0.5;
}

struct Expression::Parsed {
  mu::Parser parser;
  std::vector<std::string> used;
  std::map<std::string, double> values;  // nodes stay where they are: the parser points to them
};

Expression::Expression(const std::string& text, const ExpressionNames& names,
                       const std::string& key, const SourceLocation& where)
    : text_(text), parsed_(std::make_unique<Parsed>()) {
  const auto fail = [&](const std::string& wrong, const std::string& right) {
    throw InputError(where, key, wrong, right);
  };
  if (text.find_first_not_of(" \t\n") == std::string::npos)
    fail("an empty expression", "write one, e.g. l2.size_mib * 2 > hbm.stacks");
  if (text.size() > max_expression_bytes)
    fail(fmt::format("an expression of {} bytes", text.size()),
         fmt::format("at most {} bytes", max_expression_bytes));
  const std::string plain = without_texts(text, fail);
  mu::Parser& parser = parsed_->parser;
  try {
    parser.DefineNameChars("0123456789_.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    parser.ClearConst();
    parser.DefineInfixOprt("!", logical_not);
    parser.DefineFun("round", round_half_away);
    parser.DefineFun("floor", floor_of);
    parser.DefineFun("ceil", ceil_of);
    parser.DefineFun("pow", power);
    parser.DefineFun("mod", modulo);
    // Any name is a variable at first, so that all unknown ones are known by name.
    parser.SetVarFactory(
        [](const char* name, void* values) {
          return &(*static_cast<std::map<std::string, double>*>(values))[name];
        },
        &parsed_->values);
    parser.SetExpr(plain);
    for (const auto& variable : parser.GetUsedVar()) parsed_->used.push_back(variable.first);
    for (const std::string& name : parsed_->used) {
      const auto knows = [&](const std::vector<std::string>& all) {
        return std::find(all.begin(), all.end(), name) != all.end();
      };
      if (knows(names.numbers) || knows(names.texts)) continue;
      std::vector<std::string> all = names.numbers;
      all.insert(all.end(), names.texts.begin(), names.texts.end());
      const std::string close = nearest(name, all);
      fail(fmt::format("there is no '{}' in '{}'", name, text),
           close.empty() ? "name an axis, a workload's number or a key of the chip (`tessera list "
                           "chips --keys`)"
                         : fmt::format("did you mean '{}'?", close));
    }
    // Parses: what is wrong shows now, not at the first point.
    for (const std::string& name : parsed_->used) parsed_->values[name] = 1;
    parser.Eval();
  } catch (const mu::ParserError& error) {
    std::string message = error.GetMsg();
    while (!message.empty() && message.back() == '.') message.pop_back();
    fail(fmt::format("'{}' is no expression: {}", text, message),
         "e.g. l2.size_mib * 2 > hbm.stacks");
  }
}

Expression::~Expression() = default;
Expression::Expression(Expression&&) noexcept = default;
Expression& Expression::operator=(Expression&&) noexcept = default;

const std::vector<std::string>& Expression::used() const { return parsed_->used; }

double Expression::evaluate(const std::function<double(const std::string&)>& value_of) const {
  for (const std::string& name : parsed_->used) parsed_->values[name] = value_of(name);
  return parsed_->parser.Eval();
}

}  // namespace tessera
