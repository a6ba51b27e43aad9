#include "sim/config/chip_unit.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "sim/base/error.h"
#include "sim/config/loader.h"
#include "tests/support/scratch_folder.h"

using namespace tessera;
using Catch::Contains;

namespace {

const std::string kChips = std::string(TESSERA_SOURCE_DIR) + "/configs/chips";

ChipConfig shipped(const std::string& name, const std::vector<std::string>& overrides = {}) {
  return load_chip(name, overrides, {kChips});
}

std::string load_error(const std::string& name, const std::vector<std::string>& overrides) {
  try {
    shipped(name, overrides);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

std::vector<std::string> names(const std::vector<Unit>& units) {
  std::vector<std::string> all;
  for (const Unit& unit : units) all.push_back(unit.name);
  return all;
}

std::uint32_t sum_of(const Unit& unit, std::vector<float> terms) {
  std::vector<std::uint32_t> a(static_cast<std::size_t>(unit.products), 0), b = a;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    a[i] = fp32_bits(terms[i]);
    b[i] = fp32_bits(1);
  }
  return dot_add(unit, Accumulator::fp32, a.data(), b.data(), 0);
}

}  // namespace

TEST_CASE("the shipped chips compute with the units of their generation") {
  for (const char* hopper : {"h100-sxm", "h100-pcie", "h200-sxm", "toy"}) {
    INFO(hopper);
    CHECK(names(units_of(shipped(hopper))) == std::vector<std::string>{"h100.fp16", "h100.bf16",
                                                                       "h100.tf32", "h100.e4m3",
                                                                       "h100.e5m2"});
  }
  CHECK(names(units_of(shipped("a100-sxm"))) ==
        std::vector<std::string>{"a100.fp16", "a100.bf16", "a100.tf32"});
  const Unit fp8 = unit_of(shipped("h200-sxm"), Format::e4m3);
  CHECK(fp8.products == 32);
  CHECK(fp8.fraction_bits == 13);
  CHECK(fp8.description == find_unit("h100.e4m3").description);
}

TEST_CASE("a chip's file defines a unit of its own") {
  const ScratchFolder folder;
  const ChipConfig chip = load_chip(folder.write("mine.yaml",
                                                 "base: toy\n"
                                                 "fp8_unit:\n"
                                                 "  like: ada.e4m3\n"
                                                 "  products: 64\n"
                                                 "  fraction_bits: 17\n"
                                                 "  output_fraction_bits: 15\n"
                                                 "  output_rounding: nearest_even\n"
                                                 "  fp16_accumulator: 0\n"
                                                 "  floor_fp32: -100\n"
                                                 "  floor_fp16: -10\n"),
                                    {}, {kChips});
  const Unit unit = unit_of(chip, Format::e5m2);
  CHECK(unit.name == "mine.e5m2");
  CHECK(unit.input == Format::e5m2);
  CHECK(unit.products == 64);
  CHECK(unit.fraction_bits == 17);
  CHECK(unit.output_fraction_bits == 15);
  CHECK(unit.output_rounding == Rounding::nearest_even);
  CHECK(!unit.fp16_accumulator);
  CHECK(unit.floor_fp32 == -100);
  CHECK(unit.floor_fp16 == -10);
  CHECK_THAT(unit.description, Contains("ada.e5m2 with products 64, fraction_bits 17"));
  // The other sections keep the generation's.
  CHECK(unit_of(chip, Format::bf16).name == "h100.bf16");
  // A chip based on it inherits the unit, text keys included.
  folder.write("next.yaml", "base: mine\nfp8_unit: {products: 16}\n");
  const ChipConfig next = load_chip(folder.path() + "/next.yaml", {}, {folder.path(), kChips});
  CHECK(next.fp8_unit.like == "ada.e4m3");
  CHECK(unit_of(next, Format::e4m3).fraction_bits == 17);
  CHECK(unit_of(next, Format::e4m3).products == 16);
}

TEST_CASE("a unit of one's own computes with its numbers") {
  // 1 + 2^-9 + 2^-9: 13 fraction bits keep both, 8 drop both.
  const std::vector<float> terms = {1.0F, 0x1p-9F, 0x1p-9F};
  CHECK(sum_of(unit_of(shipped("toy"), Format::e4m3), terms) == fp32_bits(1 + 0x1p-8F));
  CHECK(sum_of(unit_of(shipped("toy", {"fp8_unit.fraction_bits=8"}), Format::e4m3), terms) ==
        fp32_bits(1));
  // With 8 bits of result the sum of exact terms is cut, or rounded up.
  const std::vector<float> tie = {1.0F, 0x1p-8F, 0x1p-9F};
  CHECK(sum_of(unit_of(shipped("toy", {"fp8_unit.output_fraction_bits=8"}), Format::e4m3), tie) ==
        fp32_bits(1 + 0x1p-8F));
  CHECK(sum_of(unit_of(shipped("toy", {"fp8_unit.output_fraction_bits=8",
                                       "fp8_unit.output_rounding=nearest_even"}),
                       Format::e4m3),
               tie) == fp32_bits(1 + 0x1p-7F));
}

TEST_CASE("a key that repeats the built-in value makes no unit of one's own") {
  CHECK(unit_of(shipped("toy", {"fp8_unit.products=32"}), Format::e4m3).name == "h100.e4m3");
  CHECK(unit_of(shipped("toy", {"fp8_unit.output_rounding=toward_zero"}), Format::e4m3).name ==
        "h100.e4m3");
  CHECK(unit_of(shipped("toy", {"fp8_unit.products=31"}), Format::e4m3).name == "toy.e4m3");
}

TEST_CASE("a unit takes the formats of its section, and others of the generation") {
  const ChipConfig toy = shipped("toy");
  const Unit fnuz = unit_of(toy, Format::e4m3fnuz);
  CHECK(fnuz.name == "toy.e4m3fnuz");
  CHECK(fnuz.input == Format::e4m3fnuz);
  CHECK(fnuz.fraction_bits == 13);
  CHECK(unit_of(shipped("toy", {"tensor_core.arithmetic=b200"}), Format::e2m1).name == "b200.e2m1");
  CHECK_THROWS_WITH(unit_of(toy, Format::e2m1),
                    Contains("tensor_core.arithmetic: h100 has no unit for e2m1"));
  CHECK_THROWS_AS(unit_of(toy, Format::fp32), InputError);
  CHECK_THROWS_AS(unit_of(toy, Format::int32), InputError);
  CHECK(unit_of(shipped("toy", {"fp16_unit.like=h100.bf16"}), Format::fp16).name == "h100.fp16");
  const Unit bf16_circuit = unit_of(shipped("toy", {"fp16_unit.like=a100.tf32"}), Format::fp16);
  CHECK(bf16_circuit.name == "a100.fp16");
}

TEST_CASE("a user finds a chip's unit by format, by chip and format, and the built-in ones") {
  const ChipConfig toy = shipped("toy", {"fp8_unit.products=16"});
  CHECK(find_unit(toy, "e4m3").name == "toy.e4m3");
  CHECK(find_unit(toy, "toy.e4m3").products == 16);
  CHECK(find_unit(toy, "h100.e4m3").products == 32);
  CHECK_THROWS_WITH(find_unit(toy, "e4m4"), Contains("did you mean 'e4m3'"));
  CHECK_THROWS_WITH(find_unit(toy, "h100.e4m4"), Contains("did you mean 'h100.e4m3'"));
  CHECK_THROWS_AS(find_unit(toy, ""), InputError);
}

TEST_CASE("wrong unit keys are refused when the chip is read, with key and advice") {
  CHECK_THAT(load_error("toy", {"tensor_core.arithmetic=h1000"}),
             Contains("tensor_core.arithmetic: there are no units of a 'h1000'; give one of v100"));
  CHECK_THAT(load_error("toy", {"fp8_unit.like=h100.e4m4"}),
             Contains("fp8_unit.like: there is no built-in unit 'h100.e4m4'; did you mean "
                      "'h100.e4m3'?"));
  CHECK_THAT(load_error("toy", {"fp8_unit.output_rounding=up"}),
             Contains("fp8_unit.output_rounding: 'up' is no rounding of a sum; give toward_zero"));
  CHECK_THAT(load_error("toy", {"fp8_unit.products=1025"}),
             Contains("fp8_unit.products: '1025' is out of range; give an integer"));
  CHECK_THAT(load_error("toy", {"fp8_unit.fraction_bits=41"}), Contains("0 to 40"));
  CHECK_THAT(load_error("a100-sxm", {"tensor_core.fp8_flops_per_cycle=4096"}),
             Contains("fp8_unit.like: a100 has no unit for e4m3; name the unit that multiplies "
                      "e4m3, as h100.e4m3"));
  CHECK(load_error("a100-sxm",
                   {"tensor_core.fp8_flops_per_cycle=4096", "fp8_unit.like=ada.e4m3"}) == "");
  // Sections of formats without a rate are read too.
  CHECK_THAT(load_error("a100-sxm", {"fp8_unit.like=x"}), Contains("fp8_unit.like"));
}
