#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "sim/base/error.h"
#include "sim/datapath/unit.h"

namespace tessera {

// Rows of bit patterns for `tessera mma` and for hardware test benches. A row is a line of
// whitespace-separated 8-digit hexadecimal FP32 patterns: n words of a, n of b, one of c and, when
// checking, one expected d. n is a multiple of unit.products; several steps are chained in order.
// Empty lines and lines that start with '#' are skipped.

struct MmaRow {
  std::vector<std::uint32_t> a, b;  ///< n each
  std::uint32_t c = 0;
  std::uint32_t expected = 0;  ///< only with RowKind::checked
};

enum class RowKind { plain, checked };

/// Parses one line (no comment). Throws InputError at `where` if it is not such a row, or a word is
/// not a value of the unit's input format (c: of the accumulator's). tf32 words may have any low
/// bits: the unit ignores them.
MmaRow parse_row(const Unit& unit, Accumulator accumulator, RowKind kind, const std::string& line,
                 const SourceLocation& where);

/// The line of a row, without the newline.
std::string row_text(const MmaRow& row, RowKind kind);

struct MmaOptions {
  Unit unit;
  Accumulator accumulator = Accumulator::fp32;
  RowKind kind = RowKind::plain;
  std::string file = "stdin";  ///< how errors name the input
};

/// A row whose expected word is not what the unit computes.
struct MmaMismatch {
  std::int64_t line = 0;
  std::uint32_t expected = 0;
  std::uint32_t computed = 0;
};

struct MmaSummary {
  std::int64_t rows = 0;
  std::int64_t mismatches = 0;
  std::vector<MmaMismatch> first;  ///< at most 10
};

/// Reads rows until the end of `in`. RowKind::plain writes one word per row to `out`;
/// RowKind::checked compares and writes `N rows, M mismatches`. With an FP16 accumulator any NaN
/// equals any other, because an FP16 NaN has no single FP32 pattern. Throws InputError: see
/// parse_row(), and a unit that has no FP16 accumulator.
MmaSummary run_mma(std::istream& in, std::ostream& out, const MmaOptions& options);

}  // namespace tessera
