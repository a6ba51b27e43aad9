#include "sim/datapath/unit.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

#include "sim/base/error.h"
#include "sim/base/random.h"

using namespace tessera;

namespace {

using Words = std::vector<std::uint32_t>;

Words patterns(const std::vector<double>& values) {
  Words words;
  for (const double v : values) words.push_back(fp32_bits(static_cast<float>(v)));
  return words;
}

/// One step: missing pairs are zeros, values are rounded to the unit's format.
std::uint32_t step(const std::string& unit_name, std::vector<double> a, std::vector<double> b,
                   double c = 0, Accumulator accumulator = Accumulator::fp32) {
  const Unit& unit = find_unit(unit_name);
  a.resize(static_cast<std::size_t>(unit.products), 0);
  b.resize(static_cast<std::size_t>(unit.products), 0);
  for (auto* values : {&a, &b})
    for (double& v : *values)
      v = decode(unit.input, encode(unit.input, v, Rounding::nearest_even, Overflow::to_special));
  return dot_add(unit, accumulator, patterns(a).data(), patterns(b).data(),
                 fp32_bits(static_cast<float>(c)));
}

std::vector<double> ones(std::size_t n) { return std::vector<double>(n, 1.0); }

constexpr double infinity = std::numeric_limits<double>::infinity();

}  // namespace

// Published point vectors: the write-up of a bit-exact A100 emulator (arXiv 2606.00279) and the
// un-normalised products of Khattak & Mikaitis (arXiv 2512.07004).
TEST_CASE("a one and seven ten-millionths add up as on an A100") {
  std::vector<double> a(8, 1e-7);
  a[0] = 1;
  CHECK(step("a100.bf16", a, ones(8)) == 0x3F800003);
  // One more fraction bit and twice the products: a prediction of the model.
  CHECK(step("h100.bf16", a, ones(8)) == 0x3F800005);
}

TEST_CASE("a product of two significands above one is aligned before it is normalised") {
  const std::vector<double> tiny = {0x1p-23, 0x1p-24, 0x1p-24};
  CHECK(step("a100.fp16", {1.5, tiny[0], tiny[1], tiny[2]}, {1.5, 1, 1, 1}) == 0x40100001);
  CHECK(step("a100.fp16", {2.25, tiny[0], tiny[1], tiny[2]}, {1, 1, 1, 1}) == 0x40100000);
}

TEST_CASE("infinities and NaN follow the rules of the hardware") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(step("h100.fp16", {infinity, -infinity}, {1, 1}) == canonical_nan_fp32);
  CHECK(step("h100.fp16", {infinity}, {0}) == canonical_nan_fp32);
  CHECK(step("h100.fp16", {nan}, {1}) == canonical_nan_fp32);
  CHECK(step("h100.fp16", {1}, {1}, nan) == canonical_nan_fp32);
  CHECK(step("h100.fp16", {1}, {1}, nan, Accumulator::fp16) == canonical_nan_fp16);
  CHECK(step("h100.fp16", {infinity}, {-1}) == 0xFF800000);
  CHECK(step("h100.fp16", {-infinity}, {-1}, infinity) == 0x7F800000);
  CHECK(step("h100.fp16", {-infinity}, {1}, infinity) == canonical_nan_fp32);
  CHECK(step("h100.e4m3", {nan}, {0}) == canonical_nan_fp32);
  // Although the sum is truncated, what passes the largest finite number is Inf.
  CHECK(step("h100.bf16", {0x1p127, 0x1p127}, {1, 1}) == 0x7F800000);
  CHECK(step("h100.fp16", {-65504, -65504}, {1, 1}, 0, Accumulator::fp16) == 0xFF800000);
}

TEST_CASE("sums of zeros are a positive zero") {
  CHECK(step("h100.fp16", {-0.0, 1}, {1, -0.0}, -0.0) == 0);
  CHECK(step("h100.fp16", {1, -1}, {1, 1}) == 0);
}

TEST_CASE("Hopper's FP8 keeps thirteen fraction bits of every term and of the sum") {
  // 1 + 2^-13 is kept, 1 + 2^-14 is not; two of the latter are dropped before they can add up.
  CHECK(step("h100.e4m3", {1, 0x1p-7}, {1, 0x1p-6}) == fp32_bits(1 + 0x1p-13F));
  CHECK(step("h100.e4m3", {1, 0x1p-7, 0x1p-7}, {1, 0x1p-7, 0x1p-7}) == fp32_bits(1));
  CHECK(step("b200.e4m3", {1, 0x1p-7, 0x1p-7}, {1, 0x1p-7, 0x1p-7}) == fp32_bits(1 + 0x1p-13F));
  // The incoming accumulator is a term like the others.
  CHECK(step("h100.e4m3", {1}, {1}, 1 + 0x1p-14) == fp32_bits(2));
  CHECK(step("h100.e4m3", {}, {}, 1 + 0x1p-14) == fp32_bits(1));
  // Truncation is toward zero on both sides.
  CHECK(step("h100.e4m3", {-1, 0x1p-7}, {1, -0x1p-7}) == fp32_bits(-1));
}

TEST_CASE("subnormals count, as operands, accumulators and results") {
  CHECK(step("h100.fp16", {0x1p-24}, {0x1p-24}) == fp32_bits(0x1p-48F));
  CHECK(step("h100.bf16", {0x1p-133}, {0x1p-8}) == fp32_bits(0x1p-141F));
  CHECK(step("h100.fp16", {}, {}, 0x1p-149) == 1);
  CHECK(step("h100.fp16", {0x1p-24}, {1}, 0, Accumulator::fp16) == fp32_bits(0x1p-24F));
  CHECK(step("h100.fp16", {0x1p-24}, {0.5}, 0, Accumulator::fp16) == 0);
  CHECK(step("h100.fp16", {0x1p-24, 0x1p-24}, {0.5, 0x1p-10}, 0, Accumulator::fp16) ==
        fp32_bits(0x1p-24F));
}

TEST_CASE("tf32 operands lose the bits that the format does not have") {
  const Unit& unit = find_unit("a100.tf32");
  Words a(4, 0), b(4, 0);
  a[0] = 0x3F801FFF;
  b[0] = 0x3F800000;
  CHECK(dot_add(unit, Accumulator::fp32, a.data(), b.data(), 0) == 0x3F800000);
}

TEST_CASE("products of all pairs of FP8 codes are exact") {
  for (const char* unit_name : {"b200.e4m3", "b200.e5m2"}) {
    const Unit& unit = find_unit(unit_name);
    Words a(32, 0), b(32, 0);
    int wrong = 0;
    for (std::uint32_t i = 0; i < 256; ++i) {
      for (std::uint32_t j = 0; j < 256; ++j) {
        const float x = decode(unit.input, i), y = decode(unit.input, j);
        a[0] = fp32_bits(x);
        b[0] = fp32_bits(y);
        const float d = fp32_value(dot_add(unit, Accumulator::fp32, a.data(), b.data(), 0));
        wrong += !(d == x * y || (d != d && x * y != x * y));
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("the order of products inside a step changes nothing, the order of steps does") {
  const Unit& unit = find_unit("h100.e4m3");
  const Random random(3);
  int changed = 0;
  for (std::uint64_t trial = 0; trial < 200; ++trial) {
    Words a(64), b(64);
    for (std::uint64_t i = 0; i < 64; ++i) {
      const std::uint32_t bits = random.bits(trial * 64 + i);
      // Codes of finite values.
      a[i] = fp32_bits(decode(Format::e4m3, bits % 0x7F | (bits >> 8 & 0x80)));
      b[i] = fp32_bits(decode(Format::e4m3, (bits >> 16) % 0x7F | (bits >> 24 & 0x80)));
    }
    const std::uint32_t c = fp32_bits(1.25F);
    const std::uint32_t d = dot_add_chain(unit, Accumulator::fp32, a.data(), b.data(), 64, c);
    Words a2 = a, b2 = b;
    std::reverse(a2.begin(), a2.begin() + 32);
    std::reverse(b2.begin(), b2.begin() + 32);
    CHECK(dot_add_chain(unit, Accumulator::fp32, a2.data(), b2.data(), 64, c) == d);
    std::rotate(a2.begin(), a2.begin() + 32, a2.end());
    std::rotate(b2.begin(), b2.begin() + 32, b2.end());
    changed += dot_add_chain(unit, Accumulator::fp32, a2.data(), b2.data(), 64, c) != d;
  }
  CHECK(changed > 20);
}

TEST_CASE("a chain that ends inside a step is filled up with zeros") {
  const Unit& unit = find_unit("v100.fp16");
  const Words a = patterns({1, 2, 3, 4, 5}), b = patterns({1, 1, 1, 1, 1});
  CHECK(dot_add_chain(unit, Accumulator::fp32, a.data(), b.data(), 5, 0) == fp32_bits(15));
  CHECK(dot_add_chain(unit, Accumulator::fp32, a.data(), b.data(), 0, 7) == 7);
}

TEST_CASE("every built-in unit is valid and has a name of its own") {
  std::set<std::string> names;
  for (const Unit& unit : units()) {
    CAPTURE(unit.name);
    CHECK_NOTHROW(validate(unit));
    CHECK(names.insert(unit.name).second);
    CHECK_FALSE(unit.description.empty());
    CHECK(&find_unit(unit.name) == &unit);
  }
  for (const char* name : {"v100.fp16", "a100.tf32", "ada.e5m2", "h100.e4m3", "b200.bf16"})
    CHECK(names.count(name) == 1);
  CHECK_THROWS_WITH(find_unit("h100.e4m4"), Catch::Contains("did you mean 'h100.e4m3'"));
}

TEST_CASE("a unit of one's own is refused outside what can be computed") {
  const auto refused = [](auto change, const std::string& key) {
    Unit unit = find_unit("h100.fp16");
    change(unit);
    CHECK_THROWS_WITH(validate(unit), Catch::Contains(key));
  };
  refused([](Unit& u) { u.products = 0; }, "products");
  refused([](Unit& u) { u.products = 1 << 30; }, "products");
  refused([](Unit& u) { u.fraction_bits = 41; }, "fraction_bits");
  refused([](Unit& u) { u.output_fraction_bits = 24; }, "output_fraction_bits");
  refused([](Unit& u) { u.output_rounding = Rounding::stochastic; }, "output_rounding");
  refused([](Unit& u) { u.input = Format::fp32; }, "input");
  refused([](Unit& u) { u.floor_fp32 = 1; }, "floor_fp32");
}

TEST_CASE("a unit at the limits of its parameters does not overflow") {
  Unit unit = find_unit("h100.bf16");
  unit.products = 1024;
  unit.fraction_bits = 40;
  validate(unit);
  const Words a(1024, 0x3FFF0000), b(1024, 0xBFFF0000);
  // 1024 products of -(2 - 2^-7)^2.
  CHECK(dot_add(unit, Accumulator::fp32, a.data(), b.data(), 0) ==
        fp32_bits(-1024 * 0x1.FEp0F * 0x1.FEp0F));
}
