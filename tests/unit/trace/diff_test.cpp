#include "sim/trace/diff.h"

#include <catch2/catch.hpp>
#include <random>

#include "random_trace.h"
#include "sim/trace/text.h"

namespace tessera {
namespace {

using Lines = std::vector<std::string>;

Lines lines(const Trace& before, const Trace& after) {
  Lines all;
  for (const Difference& difference : diff(before, after)) all.push_back(to_text(difference));
  return all;
}

/// The difference that replacing `from` (all of it) by `to` in the text of a GEMM makes.
Lines edit(const std::string& from, const std::string& to) {
  std::string text = to_text(small_gemm());
  const std::size_t line = text.find("\ndigest ") + 1;
  text.replace(line, text.find('\n', line) - line, "digest -");
  REQUIRE(text.find(from) != std::string::npos);
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return lines(small_gemm(), parse_text(text, "t.trace"));
}

const std::string producer = "kernel gemm/gemm role producer: ";
const std::string consumer = "kernel gemm/gemm role consumer: ";

TEST_CASE("A trace does not differ from itself, nor from another writing of it") {
  CHECK(lines(small_gemm(), small_gemm()).empty());
  Trace other = small_gemm();
  other.tool_version = "9.9.9";
  CHECK(lines(small_gemm(), other).empty());
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    REQUIRE(lines(random_trace(seed), random_trace(seed)).empty());
  }
}

TEST_CASE("The names of variables are no difference, exchanged ones included") {
  Trace renamed = small_gemm();
  renamed.sections[0].kernels[0].roles[0].variables = {"cluster", "rank", "copy", "t",
                                                       "i",       "j",    "kk"};
  CHECK(lines(small_gemm(), renamed).empty());
  renamed.sections[0].kernels[0].roles[0].variables = {"cluster", "rank", "copy", "tile",
                                                       "n",       "m",    "k"};
  CHECK(lines(small_gemm(), renamed).empty());
}

TEST_CASE("Changed fields are named") {
  CHECK(edit("load b [n*128, k] 128 x 64", "load b [n*128, k] 64 x 64") ==
        Lines{producer + "box of `load b` 128 x 64 -> 64 x 64"});
  CHECK(edit("setup 300", "setup 200") == Lines{producer + "cycles of `setup` 300 -> 200"});
  CHECK(edit("group 2", "group 8") == Lines{producer + "group of `raster m n` 2 -> 8",
                                            consumer + "group of `raster m n` 2 -> 8"});
  CHECK(edit("slots 3", "slots 4") == Lines{"kernel gemm/gemm barrier full: slots 3 -> 4",
                                            "kernel gemm/gemm barrier empty: slots 3 -> 4"});
  CHECK(edit("grid 5", "grid 6") == Lines{"kernel gemm/gemm: grid 5 -> 6"});
  CHECK(edit("registers 200", "registers 168") == Lines{consumer + "registers 200 -> 168"});
  CHECK(edit("bf16 512 x 512 at 0 warm", "bf16 512 x 512 at 0") ==
        Lines{"section gemm tensor a: warm yes -> no"});
  CHECK(edit("chip toy", "chip h100-sxm") == Lines{"chip toy -> h100-sxm"});
  CHECK(edit("section gemm repeat 1", "section gemm repeat 4") ==
        Lines{"section gemm: repeat 1 -> 4"});
  CHECK(edit("reads 524288", "reads 1048576") ==
        Lines{"section gemm op gemm: reads 524288 -> 1048576"});
}

TEST_CASE("Added, removed and moved instructions are named") {
  CHECK(edit("          mma_wait 0\n", "") == Lines{consumer + "`mma_wait 0` removed"});
  CHECK(edit("      setup 300\n", "      setup 300\n      setup 7\n") ==
        Lines{producer + "`setup 7` added after `setup 300`"});
  CHECK(edit("        store_wait 0\n", "      store_wait 0\n") ==
        Lines{consumer + "`store_wait 0` moved"});
  CHECK(edit("        store_wait 0\n", "        store_wait 0\n      setup 9\n") ==
        Lines{consumer + "`setup 9` added after the loop `for tile in cluster .. 16 step 5`"});
  CHECK(edit("          mma 64 x 128 x 64 bf16\n",
             "          for kk in 0 .. 64 step 16\n            mma 64 x 128 x 16 bf16\n") ==
        Lines{consumer + "shape of `mma` 64 x 128 x 64 -> 64 x 128 x 16",
              consumer + "`for kk in 0 .. 64 step 16` added after `wait full`"});
}

TEST_CASE("Whole parts are added, removed and renamed") {
  Trace other = small_gemm();
  other.sections[0].tensors[2].name = "out";
  CHECK(lines(small_gemm(), other) == Lines{"section gemm: tensor c renamed to out"});
  other = small_gemm();
  other.sections.push_back(other.sections[0]);
  other.sections[1].name = "more";
  CHECK(lines(small_gemm(), other) == Lines{"section more added"});
  CHECK(lines(other, small_gemm()) == Lines{"section more removed"});
  other = small_gemm();
  other.sections[0].name = "renamed";
  CHECK(lines(small_gemm(), other) == Lines{"section gemm renamed to renamed"});
  other = small_gemm();
  other.sections[0].kernels[0].roles.erase(other.sections[0].kernels[0].roles.begin());
  CHECK(lines(small_gemm(), other) == Lines{"kernel gemm/gemm: role producer removed"});
  other = small_gemm();
  other.sections[0].kernels[0].name = "k";
  CHECK(lines(small_gemm(), other) == Lines{"section gemm: kernel gemm renamed to k"});
}

TEST_CASE("A tensor put in front renumbers references and changes no instruction") {
  Trace other = small_gemm();
  Section& section = other.sections[0];
  section.tensors.insert(section.tensors.begin(),
                         {"z", Format::fp32, 8, 8, TensorKind::weight, false, 16777216});
  for (Role& role : section.kernels[0].roles) {
    for (Instruction& instruction : role.code) {
      if (auto* load = std::get_if<Load>(&instruction)) ++load->tensor;
      if (auto* store = std::get_if<Store>(&instruction)) ++store->tensor;
    }
  }
  CHECK(lines(small_gemm(), other) == Lines{"section gemm: tensor z added"});
}

TEST_CASE("Different random traces are compared without accident") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CHECK_NOTHROW(lines(random_trace(seed), random_trace(seed + 1)));
  }
}

TEST_CASE("Every change of a role's text is reported") {
  // Lines of a role are removed, doubled or exchanged at random: never silence.
  const std::string base = to_text(small_gemm());
  std::mt19937_64 bits(3);
  int compared = 0;
  for (int i = 0; i < 500; ++i) {
    Trace changed = small_gemm();
    auto& code = changed.sections[0].kernels[0].roles[bits() % 2].code;
    const std::size_t at = bits() % code.size(), other = bits() % code.size();
    switch (bits() % 3) {
      case 0:
        code.erase(code.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 1:
        code.insert(code.begin() + static_cast<std::ptrdiff_t>(at), code[other]);
        break;
      default:
        std::swap(code[at], code[other]);
        break;
    }
    std::string text;
    try {
      text = to_text(changed);
    } catch (const std::exception&) {
      continue;  // its loops do not match
    }
    ++compared;
    INFO(text);
    CHECK(lines(small_gemm(), changed).empty() == (text == base));
  }
  CHECK(compared > 100);
}

}  // namespace
}  // namespace tessera
