#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "sim/datapath/mma_rows.h"
#include "sim/datapath/unit.h"

namespace tessera {

// Seeded stimulus with expected results, for a test bench of a tensor core in hardware. Rows take
// the aims below in turn, so any part of a file has them all.

/// What a row is made to exercise.
enum class Aim : std::uint8_t {
  specials,      ///< Inf, NaN, Inf x 0, opposite infinities, overflow
  zeros,         ///< signed zeros, and sums that are exactly zero
  cancellation,  ///< products that cancel each other or the accumulator, and what is left
  subnormals,    ///< subnormal operands, accumulators and results; the floor of the alignment
  alignment,     ///< terms across the last fraction bit that the alignment keeps
  carries,       ///< significands of ones, ties, borrows from a power of two
  bits,          ///< random bit patterns
  normal,        ///< normally distributed values
};

/// Every aim, in the order of the rows.
const std::vector<Aim>& all_aims();
std::string_view name(Aim aim);

constexpr std::int64_t max_vector_count = 10'000'000;
constexpr int max_vector_steps = 1024;

struct VectorOptions {
  Unit unit;
  Accumulator accumulator = Accumulator::fp32;
  std::int64_t count = 1000;  ///< rows
  std::uint64_t seed = 1;
  int steps = 1;  ///< chained in each row
};

/// Row `index` with its expected result: a function of the unit's arithmetic, accumulator, seed,
/// steps and index alone, so a longer file begins with the shorter one. Its aim is
/// all_aims()[index % 8]. What a unit's format lacks (Inf, exponents far enough apart) is replaced
/// by what it has.
MmaRow test_vector(const VectorOptions& options, std::int64_t index);

enum class VectorFormat : std::uint8_t {
  rows,  ///< FP32 patterns, as `tessera mma --check` reads them
  hex,   ///< one row a line, each number as the code of its own format
  memh,  ///< one word a row, for Verilog's $readmemh
};

/// Throws InputError, naming the key, unless count and steps are 1 to the limits above and the unit
/// is valid and has the accumulator.
void validate(const VectorOptions& options);

/// Writes comments that say what follows, then options.count rows. Throws as validate().
void write_vectors(std::ostream& out, const VectorOptions& options, VectorFormat format);

}  // namespace tessera
