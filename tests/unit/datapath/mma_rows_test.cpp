#include "sim/datapath/mma_rows.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <sstream>

using namespace tessera;
namespace fs = std::filesystem;

namespace {

MmaOptions options(const std::string& unit, Accumulator accumulator, RowKind kind) {
  return {find_unit(unit), accumulator, kind, "rows"};
}

std::string repeated(const std::string& word, int n) {
  std::string text;
  for (int i = 0; i < n; ++i) text += word + " ";
  return text;
}

/// The text of a gzip file. The program is on every system these tests run on; a library would be
/// linked for this one test.
std::string decompressed(const fs::path& path) {
  std::FILE* pipe = popen(("gzip -dc '" + path.string() + "'").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  char chunk[1 << 16];
  while (const std::size_t n = std::fread(chunk, 1, sizeof chunk, pipe)) text.append(chunk, n);
  REQUIRE(pclose(pipe) == 0);
  return text;
}

}  // namespace

TEST_CASE("a row of bit patterns gives one word") {
  std::istringstream in("# two ones\n\n" + repeated("3f800000", 8) + "40000000\r\n");
  std::ostringstream out;
  const MmaSummary summary =
      run_mma(in, out, options("v100.fp16", Accumulator::fp32, RowKind::plain));
  CHECK(out.str() == "40c00000\n");  // 4 ones and 2
  CHECK(summary.rows == 1);
}

TEST_CASE("several steps in one row are chained in order") {
  std::istringstream in(repeated("3F800000", 16) + "00000000\n");
  std::ostringstream out;
  run_mma(in, out, options("v100.fp16", Accumulator::fp32, RowKind::plain));
  CHECK(out.str() == "41000000\n");
}

TEST_CASE("checking counts rows and mismatches and keeps the first ones") {
  const std::string row = repeated("3f800000", 8) + "00000000 ";
  std::istringstream in(row + "40800000\n" + row + "40800001\n");
  std::ostringstream out;
  const MmaSummary summary =
      run_mma(in, out, options("v100.fp16", Accumulator::fp32, RowKind::checked));
  CHECK(out.str() == "2 rows, 1 mismatches\n");
  REQUIRE(summary.first.size() == 1);
  CHECK(summary.first[0].line == 2);
  CHECK(summary.first[0].expected == 0x40800001);
  CHECK(summary.first[0].computed == 0x40800000);
}

TEST_CASE("any FP16 NaN equals another, an FP32 NaN must have the unit's bits") {
  const std::string row = "7fc00000 " + repeated("3f800000", 7) + "00000000 7fc00000\n";
  for (const Accumulator accumulator : {Accumulator::fp16, Accumulator::fp32}) {
    std::istringstream in(row);
    std::ostringstream out;
    const auto summary = run_mma(in, out, options("v100.fp16", accumulator, RowKind::checked));
    CHECK(summary.mismatches == (accumulator == Accumulator::fp16 ? 0 : 1));
  }
}

TEST_CASE("a row is written as it is read") {
  const std::string line = repeated("3f800000", 4) + repeated("c0000000", 4) + "00000001 c1000000";
  const Unit& unit = find_unit("v100.fp16");
  const MmaRow row =
      parse_row(unit, Accumulator::fp32, RowKind::checked, line, SourceLocation{"rows", 1});
  CHECK(row_text(row, RowKind::checked) == line);
  CHECK(row.expected == 0xC1000000);
}

TEST_CASE("a wrong row is refused with its line and what would be right") {
  const auto error = [](const std::string& unit, Accumulator accumulator, const std::string& text) {
    std::istringstream in("\n" + text);
    std::ostringstream out;
    try {
      run_mma(in, out, options(unit, accumulator, RowKind::plain));
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  const auto f32 = Accumulator::fp32;
  CHECK_THAT(error("v100.fp16", f32, "3f800000"), Catch::Contains("rows:2: row: 1 words"));
  CHECK_THAT(error("v100.fp16", f32, repeated("3f800000", 7)), Catch::Contains("4 of a, 4 of b"));
  CHECK_THAT(error("v100.fp16", f32, repeated("3f800000", 11)), Catch::Contains("11 words"));
  CHECK_THAT(error("v100.fp16", f32, repeated("3f80000", 9)), Catch::Contains("8 hexadecimal"));
  CHECK_THAT(error("v100.fp16", f32, repeated("3f80000g", 9)), Catch::Contains("'3f80000g'"));
  CHECK_THAT(error("v100.fp16", f32, std::string("\0\x1b[2J\xff", 6)),
             Catch::Contains("word 1: '??[2J?' is not an FP32 bit pattern"));
  CHECK_THAT(error("v100.fp16", f32, repeated("3f800001", 9)),
             Catch::Contains("a[0]: 3f800001 (1) is not a value of fp16") &&
                 Catch::Contains("the nearest is 3f800000"));
  CHECK_THAT(error("v100.fp16", Accumulator::fp16, repeated("3f800000", 8) + "3f800001"),
             Catch::Contains("c: 3f800001"));
  CHECK(error("v100.fp16", f32, repeated("3f800000", 8) + "3f800001") == "accepted");
  CHECK(error("a100.tf32", f32, repeated("3f800001", 9)) == "accepted");
  CHECK_THAT(error("a100.bf16", Accumulator::fp16, ""), Catch::Contains("no FP16 accumulator"));
}

// Rows measured on GPUs, unit.format.output.gpu.txt.gz (Khattak & Mikaitis, BSD-2-Clause).
TEST_CASE("rows from real GPUs are reproduced to the bit") {
  const fs::path directory = fs::path(TESSERA_SOURCE_DIR).parent_path() / "shared/hardware_vectors";
  if (!fs::is_directory(directory)) {
    WARN("skipped: there is no " << directory);
    return;
  }
  int files = 0;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() != ".gz") continue;
    const std::string file = entry.path().filename().string();
    CAPTURE(file);
    const std::size_t first = file.find('.'), second = file.find('.', first + 1);
    const std::string output = file.substr(second + 1, 3);
    REQUIRE((output == "f16" || output == "f32"));
    std::istringstream in(decompressed(entry.path()));
    std::ostringstream out;
    const MmaSummary summary =
        run_mma(in, out,
                options(file.substr(0, second),
                        output == "f16" ? Accumulator::fp16 : Accumulator::fp32, RowKind::checked));
    CHECK(summary.rows > 0);
    CHECK(summary.mismatches == 0);
    ++files;
  }
  CHECK(files > 0);
}
