#include "sim/datapath/vectors.h"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "sim/base/error.h"

using namespace tessera;

namespace {

VectorOptions options(const std::string& unit, Accumulator accumulator = Accumulator::fp32,
                      std::int64_t count = 400, int steps = 1) {
  return {find_unit(unit), accumulator, count, 5, steps};
}

std::string text(const VectorOptions& options, VectorFormat format = VectorFormat::rows) {
  std::ostringstream out;
  write_vectors(out, options, format);
  return out.str();
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

/// Rows of `options`, by what they aim at, whose result another unit would not give.
std::map<Aim, int> told_apart(const VectorOptions& options, const Unit& other) {
  std::map<Aim, int> rows;
  for (std::int64_t i = 0; i < options.count; ++i) {
    const MmaRow row = test_vector(options, i);
    const std::uint32_t d = dot_add_chain(other, options.accumulator, row.a.data(), row.b.data(),
                                          static_cast<std::int64_t>(row.a.size()), row.c);
    if (d != row.expected) ++rows[all_aims()[static_cast<std::size_t>(i) % all_aims().size()]];
  }
  return rows;
}

int sum(const std::map<Aim, int>& rows) {
  int total = 0;
  for (const auto& [aim, count] : rows) total += count;
  return total;
}

void for_each_unit(const std::function<void(const Unit&, Accumulator)>& check) {
  for (const Unit& unit : units()) {
    check(unit, Accumulator::fp32);
    if (unit.fp16_accumulator) check(unit, Accumulator::fp16);
  }
}

}  // namespace

TEST_CASE("vectors of every unit pass the check that they are written for") {
  for_each_unit([](const Unit& unit, Accumulator accumulator) {
    for (const int steps : {1, 3}) {
      CAPTURE(unit.name, accumulator == Accumulator::fp16, steps);
      VectorOptions o = options(unit.name, accumulator, 200, steps);
      std::istringstream in(text(o));
      std::ostringstream out;
      const MmaSummary summary = run_mma(in, out, {unit, accumulator, RowKind::checked, "vectors"});
      CHECK(summary.rows == 200);
      CHECK(summary.mismatches == 0);
    }
  });
}

TEST_CASE("vectors tell a unit from one with another bit, step or rounding") {
  for_each_unit([](const Unit& unit, Accumulator accumulator) {
    CAPTURE(unit.name, accumulator == Accumulator::fp16);
    const VectorOptions o = options(unit.name, accumulator, 800);
    const auto detected = [&](const std::function<void(Unit&)>& change) {
      Unit other = unit;
      change(other);
      return sum(told_apart(o, other));
    };
    CHECK(detected([](Unit& u) { u.fraction_bits -= 1; }) > 0);
    CHECK(detected([](Unit& u) { u.fraction_bits += 1; }) > 0);
    CHECK(detected([](Unit& u) { u.products /= 2; }) > 0);
    if (accumulator == Accumulator::fp32) {
      CHECK(detected([](Unit& u) { u.output_fraction_bits -= 1; }) > 0);
      CHECK(detected([](Unit& u) { u.output_rounding = Rounding::nearest_even; }) > 0);
      if (unit.output_fraction_bits < 23)
        CHECK(detected([](Unit& u) { u.output_fraction_bits += 1; }) > 0);
    }
    // Unless the smallest product is a multiple of what the floor keeps.
    const int floor = accumulator == Accumulator::fp16 ? unit.floor_fp16 : unit.floor_fp32;
    const FloatFormat& input = float_format(unit.input);
    if (2 * (input.min_exponent() - input.fraction_bits) < floor - unit.fraction_bits)
      CHECK(detected([](Unit& u) { u.floor_fp32 = u.floor_fp16 = Unit::no_floor; }) > 0);
  });
}

TEST_CASE("every aim is hit by its rows") {
  const Accumulator accumulator = GENERATE(Accumulator::fp32, Accumulator::fp16);
  const VectorOptions o = options("h100.fp16", accumulator, 2000);
  const float smallest_normal = accumulator == Accumulator::fp16 ? 0x1p-14F : 0x1p-126F;
  const Unit& unit = o.unit;
  std::map<std::string, int> seen;
  for (std::int64_t i = 0; i < o.count; ++i) {
    const MmaRow row = test_vector(o, i);
    const Aim aim = all_aims()[static_cast<std::size_t>(i) % all_aims().size()];
    const float d = fp32_value(row.expected);
    bool nan = false, infinite = false, zero_times_infinity = false, subnormal = false;
    double exact = fp32_value(row.c), largest = std::fabs(exact);
    for (std::size_t k = 0; k < row.a.size(); ++k) {
      const float x = fp32_value(row.a[k]), y = fp32_value(row.b[k]);
      nan |= std::isnan(x) || std::isnan(y);
      infinite |= std::isinf(x) || std::isinf(y);
      zero_times_infinity |= (std::isinf(x) && y == 0) || (std::isinf(y) && x == 0);
      subnormal |= (x != 0 && std::fabs(x) < 0x1p-14F) || (y != 0 && std::fabs(y) < 0x1p-14F);
      exact += double{x} * y;
      largest = std::max(largest, std::fabs(double{x} * y));
    }
    const std::string group(name(aim));
    seen[group + " nan operand"] += nan;
    seen[group + " infinite operand"] += infinite;
    seen[group + " zero times infinity"] += zero_times_infinity;
    seen[group + " subnormal operand"] += subnormal;
    seen[group + " special c"] += !std::isfinite(fp32_value(row.c));
    seen[group + " subnormal c"] +=
        row.c << 1 != 0 && std::fabs(fp32_value(row.c)) < smallest_normal;
    seen[group + " negative zero"] +=
        std::count(row.a.begin(), row.a.end(), 0x80000000u) > 0 && row.expected == 0;
    seen[group + " nan"] += std::isnan(d);
    seen[group + " infinite"] += std::isinf(d);
    seen[group + " overflow"] += std::isinf(d) && !infinite && std::isfinite(fp32_value(row.c));
    seen[group + " small sum of large terms"] += largest > 0 && std::fabs(exact) < largest / 256;
    // What the alignment drops: all terms are exact in double where nothing is.
    Unit wide = unit;
    wide.fraction_bits = 40;
    seen[group + " truncated terms"] +=
        dot_add(wide, o.accumulator, row.a.data(), row.b.data(), row.c) != row.expected;
  }
  for (const char* wanted :
       {"specials nan operand", "specials infinite operand", "specials zero times infinity",
        "specials special c", "specials nan", "specials infinite", "zeros negative zero",
        "cancellation small sum of large terms", "subnormals subnormal operand",
        "subnormals subnormal c", "bits subnormal operand"}) {
    CAPTURE(wanted);
    CHECK(seen[wanted] >= 10);
  }
  // Products of FP16 operands cannot carry an FP32 sum beyond its range, and terms truncated so far
  // down rarely reach the ten bits of an FP16 result.
  if (accumulator == Accumulator::fp16) {
    CHECK(seen["specials overflow"] >= 10);
  } else {
    CHECK(seen["alignment truncated terms"] >= 100);
    CHECK(seen["carries truncated terms"] >= 10);
  }
  // Ordinary data is ordinary.
  for (const char* unwanted : {"normal nan", "normal infinite", "alignment nan"}) {
    CAPTURE(unwanted);
    CHECK(seen[unwanted] == 0);
  }
}

TEST_CASE("a longer file begins with the shorter one, and another seed gives other rows") {
  VectorOptions o = options("ada.e5m2", Accumulator::fp16, 50, 2);
  const std::vector<std::string> rows = lines(text(o));
  o.count = 20;
  const std::vector<std::string> fewer = lines(text(o));
  REQUIRE(fewer.size() + 30 == rows.size());
  const auto is_row = [](const std::string& line) { return line[0] != '#'; };
  const auto first = std::find_if(fewer.begin(), fewer.end(), is_row);
  CHECK(std::equal(first, fewer.end(), std::find_if(rows.begin(), rows.end(), is_row)));
  CHECK(lines(text(o)) == fewer);
  o.seed = 6;
  CHECK(lines(text(o)).back() != fewer.back());
}

TEST_CASE("rows are the same on every machine") {
  // Of the first 64 rows of each kind of unit: a change of the generator is a change for users.
  std::uint64_t hash = 14695981039346656037u;
  for (const char* unit : {"h100.e4m3", "a100.tf32", "v100.fp16"}) {
    VectorOptions o = options(unit, Accumulator::fp32, 64);
    for (const char c : text(o)) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  }
  CHECK(hash == 1185387340976021835u);
}

TEST_CASE("hexadecimal rows hold the codes of their formats") {
  VectorOptions o = options("ada.e4m3", Accumulator::fp16, 16);
  const std::vector<std::string> hex = lines(text(o, VectorFormat::hex));
  REQUIRE(hex.size() == 19);
  for (std::int64_t i = 0; i < o.count; ++i) {
    const MmaRow row = test_vector(o, i);
    std::istringstream in(hex[static_cast<std::size_t>(i) + 3]);
    std::string word;
    const auto same = [&](Format format, std::uint32_t pattern) {
      in >> word;
      const float value = decode(format, static_cast<std::uint32_t>(std::stoul(word, nullptr, 16)));
      const bool nan = std::isnan(value) && std::isnan(fp32_value(pattern));
      return word.size() == static_cast<std::size_t>(bits(format) / 4) &&
             (nan || fp32_bits(value) == pattern);
    };
    for (const auto* words : {&row.a, &row.b})
      for (const std::uint32_t w : *words) CHECK(same(Format::e4m3, w));
    CHECK(same(Format::fp16, row.c));
    CHECK(same(Format::fp16, row.expected));
    CHECK(!(in >> word));
  }
}

TEST_CASE("a word for $readmemh packs a row as its comment says") {
  VectorOptions o = options("v100.fp16", Accumulator::fp32, 8);
  const std::vector<std::string> memh = lines(text(o, VectorFormat::memh));
  CHECK(memh[2] == "// logic [191:0] rows [0:7]; initial $readmemh(FILE, rows);");
  CHECK(memh[3] ==
        "// a[i] = rows[n][16*i +: 16], b[i] = rows[n][64 + 16*i +: 16] in fp16, i = 0 to 3;");
  CHECK(memh[4] == "// c = rows[n][128 +: 32], expected d = rows[n][160 +: 32] in fp32");
  const MmaRow row = test_vector(o, 7);
  const std::string& word = memh.back();
  REQUIRE(word.size() == 48);
  CHECK(word.substr(0, 16) == fmt::format("{:08x}{:08x}", row.expected, row.c));
  const std::uint32_t a0 =
      encode(Format::fp16, double{fp32_value(row.a[0])}, Rounding::toward_zero, Overflow::saturate);
  CHECK(word.substr(44) == fmt::format("{:04x}", a0));
}

TEST_CASE("vectors of a unit of one's own are checked like the built-in ones") {
  VectorOptions o = options("h100.e4m3", Accumulator::fp32, 160, 2);
  o.unit.name = "own";
  o.unit.products = 1;
  o.unit.fraction_bits = 3;
  o.unit.output_fraction_bits = 5;
  o.unit.output_rounding = Rounding::nearest_even;
  for (const Format format : {Format::e4m3, Format::e4m3fnuz, Format::e2m1, Format::bf16}) {
    o.unit.input = format;
    CAPTURE(name(format));
    std::istringstream in(text(o));
    std::ostringstream out;
    CHECK(run_mma(in, out, {o.unit, o.accumulator, RowKind::checked, "own"}).mismatches == 0);
  }
}

TEST_CASE("vectors that nobody can want are refused") {
  const auto refused = [](VectorOptions o, const std::string& reason) {
    std::ostringstream out;
    CHECK_THROWS_WITH(write_vectors(out, o, VectorFormat::rows), Catch::Contains(reason));
  };
  refused(options("h100.e4m3", Accumulator::fp32, 0), "count: 0 is out of range; give 1 to");
  refused(options("h100.e4m3", Accumulator::fp32, 1, 0), "steps: 0 is out of range");
  refused(options("h100.e4m3", Accumulator::fp32, 1, 1025), "1025");
  refused(options("h100.bf16", Accumulator::fp16), "no FP16 accumulator");
  VectorOptions o = options("h100.e4m3");
  o.unit.products = 0;
  refused(o, "products");
}
