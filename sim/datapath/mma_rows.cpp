#include "sim/datapath/mma_rows.h"

#include <fmt/format.h>

#include <istream>
#include <limits>
#include <ostream>
#include <string_view>

namespace tessera {
namespace {

constexpr std::string_view blanks = " \t\r";

/// The beginning of a word for an error message.
std::string shown(std::string_view word) {
  std::string text(word.substr(0, 20));
  for (char& ch : text)
    if (ch < ' ' || ch > '~') ch = '?';
  return text;
}

std::uint32_t parse_word(std::string_view word, std::size_t index, const SourceLocation& where) {
  std::uint32_t value = 0;
  bool valid = word.size() == 8;
  for (const char ch : word) {
    if (!valid) break;
    const int digit = ch >= '0' && ch <= '9'   ? ch - '0'
                      : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
                      : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                               : -1;
    valid = digit >= 0;
    value = value << 4 | static_cast<std::uint32_t>(digit & 0xF);
  }
  if (!valid)
    throw InputError(where, fmt::format("word {}", index + 1),
                     fmt::format("'{}' is not an FP32 bit pattern", shown(word)),
                     "give 8 hexadecimal digits, as 3f800000 for 1");
  return value;
}

std::vector<std::uint32_t> parse_words(const std::string& line, const SourceLocation& where) {
  std::vector<std::uint32_t> words;
  const std::string_view text = line;
  for (std::size_t at = text.find_first_not_of(blanks); at != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(blanks, at), text.size());
    words.push_back(parse_word(text.substr(at, end - at), words.size(), where));
    at = text.find_first_not_of(blanks, end);
  }
  return words;
}

void require_value(Format format, std::uint32_t word, const std::string& what,
                   const SourceLocation& where) {
  if (format == Format::tf32 || format == Format::fp32 || representable(format, fp32_value(word)))
    return;
  throw InputError(
      where, what,
      fmt::format("{:08x} ({:g}) is not a value of {}", word, fp32_value(word), name(format)),
      fmt::format("give the FP32 pattern of one; the nearest is {:08x}",
                  fp32_bits(decode(format, encode(format, double{fp32_value(word)},
                                                  Rounding::nearest_even, Overflow::saturate)))));
}

bool is_nan(std::uint32_t pattern) { return (pattern & 0x7FFFFFFF) > 0x7F800000; }

bool equal(Accumulator accumulator, std::uint32_t x, std::uint32_t y) {
  return x == y || (accumulator == Accumulator::fp16 && is_nan(x) && is_nan(y));
}

}  // namespace

MmaRow parse_row(const Unit& unit, Accumulator accumulator, RowKind kind, const std::string& line,
                 const SourceLocation& where) {
  const std::vector<std::uint32_t> words = parse_words(line, where);
  const std::size_t products = static_cast<std::size_t>(unit.products);
  const std::size_t tail = kind == RowKind::checked ? 2 : 1;
  const std::size_t pairs = words.size() < tail ? 0 : (words.size() - tail) / 2;
  if (pairs == 0 || words.size() != 2 * pairs + tail || pairs % products != 0) {
    const std::string one_step = fmt::format("{0} of a, {0} of b, one of c{1}", products,
                                             kind == RowKind::checked ? ", one of d" : "");
    throw InputError(where, "row", fmt::format("{} words do not make one", words.size()),
                     fmt::format("a step of {} has {} ({}); a and b may be multiples of {}",
                                 unit.name, 2 * products + tail, one_step, products));
  }
  MmaRow row;
  const auto middle = words.begin() + static_cast<std::ptrdiff_t>(pairs);
  row.a.assign(words.begin(), middle);
  row.b.assign(middle, middle + static_cast<std::ptrdiff_t>(pairs));
  row.c = words[2 * pairs];
  if (kind == RowKind::checked) row.expected = words[2 * pairs + 1];
  for (std::size_t i = 0; i < pairs; ++i) {
    require_value(unit.input, row.a[i], fmt::format("a[{}]", i), where);
    require_value(unit.input, row.b[i], fmt::format("b[{}]", i), where);
  }
  require_value(accumulator == Accumulator::fp16 ? Format::fp16 : Format::fp32, row.c, "c", where);
  return row;
}

std::string row_text(const MmaRow& row, RowKind kind) {
  std::string text;
  for (const auto* words : {&row.a, &row.b})
    for (const std::uint32_t word : *words) text += fmt::format("{:08x} ", word);
  text += fmt::format("{:08x}", row.c);
  if (kind == RowKind::checked) text += fmt::format(" {:08x}", row.expected);
  return text;
}

MmaSummary run_mma(std::istream& in, std::ostream& out, const MmaOptions& options) {
  validate(options.unit);
  require_accumulator(options.unit, options.accumulator);
  MmaSummary summary;
  std::string line;
  for (std::int64_t number = 1; std::getline(in, line); ++number) {
    const std::size_t first = line.find_first_not_of(blanks);
    if (first == std::string::npos || line[first] == '#') continue;
    // Locations count lines in an int; nobody reads the number of a later one.
    const SourceLocation where = {options.file, static_cast<int>(std::min<std::int64_t>(
                                                    number, std::numeric_limits<int>::max()))};
    const MmaRow row = parse_row(options.unit, options.accumulator, options.kind, line, where);
    const std::uint32_t d =
        dot_add_chain(options.unit, options.accumulator, row.a.data(), row.b.data(),
                      static_cast<std::int64_t>(row.a.size()), row.c);
    ++summary.rows;
    if (options.kind == RowKind::plain) {
      out << fmt::format("{:08x}\n", d);
    } else if (!equal(options.accumulator, d, row.expected)) {
      ++summary.mismatches;
      if (summary.first.size() < 10) summary.first.push_back({number, row.expected, d});
    }
  }
  if (options.kind == RowKind::checked)
    out << fmt::format("{} rows, {} mismatches\n", summary.rows, summary.mismatches);
  return summary;
}

}  // namespace tessera
