#include "sim/config/loader.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "sim/base/error.h"
#include "sim/config/schema.h"
#include "tests/support/scratch_folder.h"

using namespace tessera;
using Catch::Contains;
using Catch::StartsWith;

namespace {

const std::string kChips = std::string(TESSERA_SOURCE_DIR) + "/configs/chips";

// The message of the InputError that loading gives, or "" if it succeeds.
std::string load_error(const std::string& chip, const std::vector<std::string>& overrides = {},
                       const std::vector<std::string>& dirs = {kChips}) {
  try {
    load_chip(chip, overrides, dirs);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

// The message for a file with this text.
std::string text_error(const std::string& text) {
  const ScratchFolder folder;
  const std::string file = folder.write("chip.yaml", text);
  std::string message = load_error(file);
  const std::size_t at = message.find(folder.path());
  if (at != std::string::npos) message.erase(at, folder.path().size() + 1);
  return message;
}

// The message for `--set OVERRIDE` of the toy chip.
std::string set_error(const std::string& override) { return load_error("toy", {override}); }

bool same(const ChipConfig& a, const ChipConfig& b) {
  return canonical_text(a) == canonical_text(b);
}

}  // namespace

// --- bases and overrides
// --------------------------------------------------------------------------

TEST_CASE("a chip with a base gives only the differences") {
  const ScratchFolder folder;
  const std::string file =
      folder.write("mine.yaml", "base: toy\nl2:\n  size_mib: 4\nhbm: {bandwidth_gbps: 128}\n");
  const ChipConfig chip = load_chip(file, {}, {kChips});
  ChipConfig expected = load_chip("toy", {}, {kChips});
  expected.name = "mine";
  expected.description = "";
  expected.l2.size_mib = 4;
  expected.hbm.bandwidth_gbps = 128;
  CHECK(canonical_text(chip) == canonical_text(expected));
}

TEST_CASE("bases chain, and the nearest file wins") {
  const ScratchFolder folder;
  folder.write("a.yaml", "base: toy\nl2: {size_mib: 2, near_latency_cycles: 50}\n");
  folder.write("b.yaml", "l2: {size_mib: 3}\nbase: a\n");
  const ChipConfig chip = load_chip(folder.write("c.yaml", "base: ./b.yaml\n"), {}, {kChips});
  CHECK(chip.l2.size_mib == 3);
  CHECK(chip.l2.near_latency_cycles == 50);
  CHECK(chip.core.count == 4);
  CHECK(chip.name == "c");
}

TEST_CASE("the files of a chip are its own and its bases'") {
  const ScratchFolder folder;
  const std::string toy = kChips + "/toy.yaml";
  const std::string b = folder.write("b.yaml", "base: toy\n");
  const std::string c = folder.write("c.yaml", "base: ./b.yaml\n");
  CHECK(chip_files("toy", {kChips}) == std::vector<std::string>{toy});
  const std::vector<std::string> files = chip_files(c, {kChips});
  REQUIRE(files.size() == 3);
  CHECK(files[0] == c);
  CHECK(std::filesystem::equivalent(files[1], b));
  CHECK(files[2] == toy);
  CHECK(chip_files("no such chip", {kChips}).empty());
  CHECK(chip_files(folder.path() + "/none.yaml").empty());
  CHECK(chip_files(folder.write("lost.yaml", "base: ./none.yaml\n")).size() == 1);
  CHECK(chip_files(folder.write("broken.yaml", "base: [\n")).size() == 1);
  const std::string own = folder.write("own.yaml", "base: ./own.yaml\n");
  CHECK_FALSE(chip_files(own).empty());  // ends
}

TEST_CASE("a base file is found relative to the file that names it") {
  const ScratchFolder folder;
  folder.write("bases/one.yaml", "base: toy\ncore: {count: 8}\n");
  const std::string file = folder.write("chips/two.yaml", "base: ../bases/one.yaml\n");
  CHECK(load_chip(file, {}, {kChips}).core.count == 8);
}

TEST_CASE("a user's chip may extend the installed one of the same name") {
  const ScratchFolder folder;
  const std::string file = folder.write("toy.yaml", "base: toy\ncore: {count: 8}\n");
  CHECK(load_chip(file, {}, {kChips}).core.count == 8);
  CHECK(load_chip("toy", {}, {folder.path(), kChips}).core.count == 8);
  CHECK(load_chip("toy", {}, {kChips, folder.path()}).core.count == 4);
}

TEST_CASE("cycles, missing bases and endless chains are refused where they are named") {
  const ScratchFolder folder;
  const std::string a = folder.write("a.yaml", "# first\nbase: b\n");
  folder.write("b.yaml", "base: c\n");
  folder.write("c.yaml", "base: a.yaml\n");
  CHECK_THAT(load_error(a), Contains("c.yaml:1: base: the bases form a cycle: a -> b -> c -> a"));
  CHECK_THAT(load_error(folder.write("self.yaml", "base: self\n")),
             Contains("self.yaml:1: base: a chip cannot be its own base"));
  CHECK_THAT(load_error(folder.write("self2.yaml", "base: ./self2.yaml\n")),
             Contains("form a cycle: self2 -> self2"));
  CHECK_THAT(load_error(folder.write("none.yaml", "\nbase: h100-sxn\n")),
             Contains("none.yaml:2: base: no chip 'h100-sxn'; did you mean 'h100-sxm'?"));
  CHECK_THAT(load_error(folder.write("nofile.yaml", "base: x/y.yaml\n")),
             Contains("nofile.yaml:1: base: no file"));
  for (int i = 0; i < 12; ++i)
    folder.write("n" + std::to_string(i) + ".yaml", "base: n" + std::to_string(i + 1) + "\n");
  CHECK_THAT(load_error(folder.path() + "/n0.yaml"), Contains("more than 8 bases"));
}

TEST_CASE("overrides beat the file, and the last of one key wins") {
  const ChipConfig chip = load_chip(
      "toy", {"hbm.bandwidth_gbps=32", "core.count=2", " hbm.bandwidth_gbps = 128 "}, {kChips});
  CHECK(chip.hbm.bandwidth_gbps == 128);
  CHECK(chip.core.count == 2);
  CHECK(load_chip("toy", {"name=other chip"}, {kChips}).name == "other chip");
  CHECK(load_chip("toy", {"dma.multicast=false"}, {kChips}).dma.multicast == 0);
}

TEST_CASE("overrides are checked like files and name themselves as the place") {
  CHECK(set_error("hbm.bandwidth_gbps=fast") ==
        "--set: hbm.bandwidth_gbps: 'fast' is not a number; give a number in GB/s, 0.001 to "
        "10000000");
  CHECK_THAT(set_error("core.count"), StartsWith("--set: 'core.count' has no '='"));
  CHECK_THAT(set_error("=4"), Contains("unknown key"));
  CHECK_THAT(set_error("core.count="), Contains("core.count: no value"));
  CHECK_THAT(set_error("base=h100-sxm"), Contains("base: cannot be overridden"));
  CHECK_THAT(set_error("core.cuont=2"), Contains("did you mean 'core.count'?"));
  CHECK_THAT(set_error("core.count=2=3"), Contains("'2=3' is not a number"));
}

// --- finding chips
// --------------------------------------------------------------------------------

TEST_CASE("an unknown chip names the nearest one, an absent file itself") {
  CHECK(load_error("h100-smx") == "--chip: no chip 'h100-smx'; did you mean 'h100-sxm'?");
  CHECK_THAT(load_error("zzzzzzzzzz"), Contains("known chips: a100-sxm, h100-pcie"));
  CHECK_THAT(load_error("toy", {}, {}), Contains("no chips are installed here"));
  CHECK_THAT(load_error("./absent.yaml"), StartsWith("--chip: no file './absent.yaml'"));
  CHECK_THAT(load_error(kChips + "/"), Contains("is a folder"));
  CHECK_THAT(load_error(""), Contains("no chip ''"));
  CHECK_THAT(load_error(std::string(100000, 'x')), Contains("known chips"));
}

TEST_CASE("chip_names lists each name once, sorted, and passes over folders that are absent") {
  const ScratchFolder folder;
  folder.write("toy.yaml", "");
  folder.write("b.yaml", "");
  folder.write("readme.md", "");
  folder.write("sub.yaml/x", "");
  CHECK(chip_names({folder.path(), "/nonexistent"}) == std::vector<std::string>{"b", "toy"});
  const std::vector<std::string> both = chip_names({folder.path(), kChips});
  CHECK(std::is_sorted(both.begin(), both.end()));
  CHECK(std::count(both.begin(), both.end(), "toy") == 1);
  CHECK(chip_names({}).empty());
}

// --- keys
// -----------------------------------------------------------------------------------------

TEST_CASE("an unknown key is reported with file, line and the nearest valid key") {
  CHECK(text_error("base: toy\nl2:\n  size_mib: 2\n  near_latncy_cycles: 3\n") ==
        "chip.yaml:4: l2.near_latncy_cycles: unknown key; did you mean 'l2.near_latency_cycles'?");
  CHECK(text_error("base: toy\nclok:\n  core_mhz: 3\n") ==
        "chip.yaml:2: clok: unknown section; did you mean 'clock'?");
  CHECK_THAT(text_error("bandwidth_gbps: 3\n"), Contains("did you mean 'hbm.bandwidth_gbps'?"));
  CHECK_THAT(text_error("bsae: toy\n"), Contains("did you mean 'base'?"));
  CHECK_THAT(text_error("l2:\n  qqqqqqqqqqqqqqqqqqqq: 3\n"), Contains("see docs/reference"));
}

TEST_CASE("a key in the wrong unit is pointed to the right one, its value converted") {
  CHECK(text_error("base: toy\nhbm:\n  bandwidth_tbps: 3.35\n") ==
        "chip.yaml:3: hbm.bandwidth_tbps: unknown key; did you mean 'hbm.bandwidth_gbps', in GB/s? "
        "(bandwidth_gbps: 3350)");
  CHECK_THAT(text_error("l2:\n  size_mb: 50\n"), Contains("did you mean 'l2.size_mib', in MiB?"));
  CHECK_THAT(text_error("l2:\n  size_kib: 51200\n"), Contains("(size_mib: 50)"));
  CHECK_THAT(text_error("l2:\n  size: 50\n"), Contains("'l2.size_mib', in MiB"));
  CHECK_THAT(set_error("clock.core_ghz=1.98"), Contains("(core_mhz: 1980)"));
  CHECK_THAT(set_error("l2.near_latency_ns=100"), Contains("'l2.near_latency_cycles', in cycles"));
  CHECK_THAT(set_error("power.l2_pj_per_bit=3"), Contains("(l2_pj_per_byte: 24)"));
}

TEST_CASE("a key given twice is refused with both lines") {
  CHECK(text_error("base: toy\nclock:\n  core_mhz: 3\n  min_mhz: 1\n  core_mhz: 4\n") ==
        "chip.yaml:5: clock.core_mhz: given twice, first in line 3; keep one");
  CHECK_THAT(text_error("clock:\n  core_mhz: 3\nl2:\n  size_mib: 1\nclock:\n  min_mhz: 3\n"),
             StartsWith("chip.yaml:5: clock: given twice, first in line 1"));
  CHECK_THAT(text_error("clock.core_mhz: 3\nclock:\n  core_mhz: 3\n"),
             StartsWith("chip.yaml:3: clock.core_mhz: given twice, first in line 1"));
  CHECK_THAT(text_error("base: toy\nbase: toy\n"), Contains("base: given twice"));
}

TEST_CASE("all missing required keys are listed at once") {
  const std::string message = text_error("clock:\n  core_mhz: 1000\n");
  CHECK_THAT(message, StartsWith("chip.yaml: missing keys: clock.min_mhz, core.count, "));
  CHECK_THAT(message, Contains("power.voltage_exponent; give them, or name a base"));
  CHECK(message.find("clock.core_mhz") == std::string::npos);
  CHECK(message.find("l2.line_bytes") == std::string::npos);  // has a default
  CHECK_THAT(text_error(""), Contains("missing keys: clock.core_mhz"));
}

// --- values
// ---------------------------------------------------------------------------------------

TEST_CASE("a value with a unit is refused with the number to write") {
  CHECK(text_error("base: toy\nl2:\n  size_mib: 50 MiB\n") ==
        "chip.yaml:3: l2.size_mib: '50 MiB' carries a unit; write the bare number in MiB: 50");
  CHECK_THAT(set_error("hbm.bandwidth_gbps=3.35TB/s"), Contains("in GB/s: 3350"));
  CHECK_THAT(set_error("clock.core_mhz=2 GHz"), Contains("in MHz: 2000"));
  CHECK_THAT(set_error("l2.near_latency_cycles=30 ns"),
             Contains("write the bare number in cycles"));
}

TEST_CASE("values of the wrong type are refused") {
  CHECK_THAT(set_error("core.count=4.5"), Contains("'4.5' is not an integer; give an integer"));
  CHECK_THAT(set_error("core.count=4.0"), Contains("'4.0' is not an integer; write 4"));
  CHECK_THAT(set_error("core.count=1e3"), Contains("write 1000"));
  CHECK_THAT(set_error("core.count=0x10"), Contains("not a number"));
  CHECK_THAT(set_error("core.count=1_000"), Contains("not a number"));
  CHECK_THAT(set_error("hbm.trcd_ns=nan"), Contains("not a number"));
  CHECK_THAT(set_error("hbm.trcd_ns=inf"), Contains("not a number"));
  CHECK_THAT(set_error("hbm.trcd_ns=1e999"), Contains("not a number"));
  CHECK_THAT(set_error("hbm.trcd_ns=1e"), Contains("not a number"));
  CHECK_THAT(set_error("hbm.trcd_ns=1.2.3"), Contains("not a number"));
  CHECK_THAT(set_error("dma.multicast=2"), Contains("neither 0 nor 1"));
  CHECK_THAT(text_error("l2:\n  size_mib: \"50\"\n"), Contains("in quotes; write 50 without"));
  CHECK_THAT(text_error("l2:\n  size_mib: [50]\n"), Contains("chip.yaml:2: l2.size_mib: a list"));
  CHECK_THAT(text_error("l2:\n  size_mib: {a: 1}\n"), Contains("l2.size_mib: nested too deep"));
  CHECK_THAT(text_error("l2:\n  size_mib:\n"), Contains("l2.size_mib: no value"));
  CHECK_THAT(text_error("l2:\n  size_mib: ~\n"), Contains("l2.size_mib: no value"));
  CHECK_THAT(text_error("l2: 5\n"), Contains("l2: '5' where a section belongs"));
  CHECK_THAT(text_error("name: {a: 1}\n"), Contains("name: a section; give a single value"));
  CHECK_THAT(text_error("name: \"a\\nb\"\n"), Contains("name: control characters"));
  CHECK_THAT(text_error("name: " + std::string(300, 'x') + "\n"), Contains("longer than 200"));
  CHECK(set_error("hbm.trcd_ns=+1.5e1").empty());
  CHECK(set_error("hbm.trcd_ns=.5").empty());
}

TEST_CASE("every number is accepted at both ends of its range and refused beyond") {
  for (const KeyInfo& key : chip_schema()) {
    if (key.type != KeyType::integer && key.type != KeyType::real) continue;
    INFO(key.name);
    const auto attempt = [&](double value) {
      const std::string text = key.type == KeyType::integer
                                   ? std::to_string(static_cast<std::int64_t>(value))
                                   : std::to_string(value);
      return set_error(key.name + "=" + text);
    };
    const double step = key.type == KeyType::integer ? 1 : 0.001;
    const std::string out_of_range = "is out of range; give a";
    CHECK_THAT(attempt(key.min - step), Contains(out_of_range));
    CHECK_THAT(attempt(key.max + step), Contains(out_of_range));
    // At the ends only another key may object.
    CHECK(attempt(key.min).find(out_of_range) == std::string::npos);
    CHECK(attempt(key.max).find(out_of_range) == std::string::npos);
    CHECK_THAT(set_error(key.name + "=99999999999999999999999"), Contains("out of range"));
  }
}

// --- keys against each other
// ----------------------------------------------------------------------

TEST_CASE("keys that contradict each other are refused") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"clock.min_mhz=1001", "clock.min_mhz: 1001 is above clock.core_mhz; at most 1000"},
      {"core.max_cluster=8", "core.max_cluster: 8 is above core.count; at most 4"},
      {"core.max_blocks=33", "core.max_blocks: 33 is above core.max_warps"},
      {"scratchpad.reserved_per_block_bytes=131072", "leaves a block no scratchpad"},
      {"l2.partitions=2", "l2.size_mib: 1 does not divide by l2.partitions, 2"},
      {"l2.line_bytes=96", "l2.line_bytes: 96 is not a power of two"},
      {"l2.far_latency_cycles=199", "199 is below l2.near_latency_cycles; at least 200"},
      {"hbm.row_bytes=1000", "hbm.row_bytes: 1000 is not a power of two"},
      {"hbm.burst_bytes=48", "hbm.burst_bytes: 48 is not a power of two"},
      {"hbm.interleave_bytes=384", "hbm.interleave_bytes: 384 is not a power of two"},
      {"hbm.interleave_bytes=16", "16 is not a multiple of hbm.burst_bytes; a multiple of 32"},
      {"hbm.interleave_bytes=2048", "2048 is above hbm.row_bytes; at most 1024"},
      {"hbm.bank_groups=3", "hbm.banks: 8 does not divide by hbm.bank_groups, 3"},
      {"hbm.banks=12", "hbm.banks: 12 is not a power of two"},
      {"hbm.tras_ns=14", "hbm.tras_ns: 14 is below hbm.trcd_ns; at least 15"},
      {"hbm.trfc_ns=4000", "hbm.trfc_ns: 4000 is not below hbm.trefi_ns"},
      {"hbm.bandwidth_gbps=10000000", "hbm.bandwidth_gbps: one burst of 32 B"},
      {"launch.overlap_us=1.5", "launch.overlap_us: 1.5 is above launch.gap_us; at most 1"},
      {"power.idle_w=100", "power.idle_w: 100 is not below power.cap_w"},
  };
  for (const auto& [override, message] : cases) CHECK_THAT(set_error(override), Contains(message));
}

TEST_CASE("relations hold exactly at their edges") {
  for (const char* fine :
       {"clock.min_mhz=1000", "core.max_cluster=4", "core.max_blocks=32",
        "scratchpad.reserved_per_block_bytes=131071", "l2.far_latency_cycles=200",
        "hbm.interleave_bytes=32", "hbm.interleave_bytes=1024", "hbm.tras_ns=15",
        "hbm.trfc_ns=3999.999", "hbm.trfc_ns=0", "launch.overlap_us=1", "power.idle_w=99.9"})
    CHECK(set_error(fine).empty());
}

TEST_CASE("partitions must divide both rates and need a link") {
  const auto error = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"l2.partitions=2", "l2.size_mib=2"});
    return load_error("toy", more);
  };
  CHECK_THAT(error({}), Contains("l2.link_bytes_per_cycle: 0 with several partitions"));
  CHECK(error({"l2.link_bytes_per_cycle=64"}).empty());
  CHECK_THAT(error({"l2.read_bytes_per_cycle=129"}), Contains("a multiple of 2, e.g. 128"));
  CHECK_THAT(error({"l2.write_bytes_per_cycle=1"}), Contains("a multiple of 2, e.g. 2"));
}

TEST_CASE("a chip without any tensor-core rate is refused") {
  std::vector<std::string> zeros;
  for (const char* format : {"fp16", "bf16", "tf32"})
    zeros.push_back(std::string("tensor_core.") + format + "_flops_per_cycle=0");
  CHECK(load_error("toy", zeros).empty());
  zeros.emplace_back("tensor_core.fp8_flops_per_cycle=0");
  CHECK_THAT(load_error("toy", zeros), Contains("every tensor-core rate is 0"));
}

TEST_CASE("a contradiction is reported where its key was given") {
  CHECK_THAT(text_error("base: toy\n\nclock:\n  min_mhz: 2000\n"),
             StartsWith("chip.yaml:4: clock.min_mhz: 2000 is above"));
  CHECK_THAT(set_error("clock.min_mhz=2000"), StartsWith("--set: clock.min_mhz"));
}

TEST_CASE("of keys that contradict each other the one given last is named, with its place") {
  CHECK(set_error("power.cap_w=4") ==
        "--set: power.cap_w: 4 does not go with power.idle_w: 5 is not below power.cap_w; below 4 "
        "for power.idle_w");
  CHECK_THAT(set_error("hbm.trcd_ns=31"),
             StartsWith("--set: hbm.trcd_ns: 31 does not go with hbm.tras_ns: 30 is below"));
  CHECK_THAT(set_error("l2.partitions=2"), StartsWith("--set: l2.partitions: 2 does not go with"));
  CHECK_THAT(text_error("base: toy\npower:\n  cap_w: 4\n"),
             StartsWith("chip.yaml:3: power.cap_w: 4 does not go with power.idle_w: 5 is not"));
  // Of two in one place it is the one that is compared.
  CHECK_THAT(text_error("base: toy\npower:\n  idle_w: 9\n  cap_w: 4\n"),
             StartsWith("chip.yaml:3: power.idle_w: 9 is not below power.cap_w; below 4"));
  CHECK_THAT(load_error("toy", {"power.cap_w=4", "power.idle_w=4"}),
             StartsWith("--set: power.idle_w: 4 is not below power.cap_w"));
  CHECK_THAT(load_error("toy", {"power.idle_w=4", "power.cap_w=4"}),
             StartsWith("--set: power.cap_w: 4 does not go with power.idle_w"));
}

TEST_CASE("check_chip checks chips that came from elsewhere") {
  ChipConfig chip = load_chip("toy", {}, {kChips});
  CHECK_NOTHROW(check_chip(chip));
  chip.core.count = 0;
  CHECK_THROWS_WITH(check_chip(chip), Contains("core.count: 0 is out of range"));
  CHECK_THROWS_AS(check_chip(ChipConfig{}), InputError);
  chip = load_chip("toy", {}, {kChips});
  chip.hbm.trcd_ns = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(check_chip(chip), Contains("hbm.trcd_ns"));
}

// --- YAML that is not a chip
// ----------------------------------------------------------------------

TEST_CASE("malformed YAML is reported with its line") {
  CHECK_THAT(text_error("clock:\n  core_mhz: 3\n min: 4\n"), StartsWith("chip.yaml:3: not valid"));
  CHECK_THAT(text_error("clock: {core_mhz: 3\n"), Contains("not valid YAML"));
  CHECK_THAT(text_error("name: \"x\nbase: toy\n"),
             Contains("chip.yaml:1: a quote without its end"));
  CHECK_THAT(text_error("base: toy\nname: 'x\n\n"), Contains("chip.yaml:2: a quote without"));
  CHECK(text_error("base: toy\nname: 'it''s \\'\ndescription: \"a \\\" b\"\n").empty());
  CHECK(text_error("\xef\xbb\xbfname: \"x\"\nbase: toy\r\n").empty());
  CHECK_THAT(text_error("- a\n- b\n"), Contains("chip.yaml:1: a list"));
  CHECK_THAT(text_error("hello\n"), Contains("'hello' is not a mapping"));
  CHECK_THAT(text_error("name: a\n---\nname: b\n"), Contains("a second document"));
  CHECK_THAT(text_error("? {a: b}\n: c\n"), Contains("a mapping as a key"));
  CHECK_THAT(text_error("? [a]\n: c\n"), Contains("a list"));
}

TEST_CASE("anchors, aliases, merge keys and tags are refused") {
  CHECK_THAT(text_error("clock: &c {core_mhz: 3}\n"), Contains("anchors and aliases"));
  CHECK_THAT(text_error("clock: {core_mhz: &x 3}\n"), Contains("anchors and aliases"));
  CHECK_THAT(text_error("clock: *c\n"), Contains("chip.yaml:1:"));
  CHECK_THAT(text_error("<<: toy\n"), Contains("merge keys"));
  CHECK_THAT(text_error("clock: {core_mhz: !!int 3}\n"), Contains("the YAML tag"));
  CHECK_THAT(text_error("clock: !x {core_mhz: 3}\n"), Contains("the YAML tag"));
}

TEST_CASE("an alias bomb is refused at its first anchor") {
  std::string bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n";
  for (char c = 'b'; c <= 'z'; ++c) {
    const std::string previous(1, static_cast<char>(c - 1));
    bomb += std::string(1, c) + ": &" + c + " [*" + previous + ", *" + previous + "]\n";
  }
  CHECK_THAT(text_error(bomb), StartsWith("chip.yaml:1: YAML anchors"));
}

TEST_CASE("deep nesting, long lines and huge files are refused before they are parsed") {
  CHECK_THAT(text_error(std::string(3000, '[')), Contains("brackets nested more than 16 deep"));
  CHECK_THAT(text_error("# {[\n" + std::string(17, '{')),
             StartsWith("chip.yaml:2: brackets nested more than 16 deep"));
  std::string steps;
  for (int i = 0; i < 1400; ++i) steps += std::string(static_cast<std::size_t>(i), ' ') + "l2:\n";
  CHECK_THAT(text_error(steps), Contains("nested too deep"));
  CHECK_THAT(text_error("name: " + std::string(5000, 'x')), Contains("more than 4096 bytes"));
  CHECK_THAT(text_error(std::string((1 << 20) + 1, '\n')), Contains("larger than 1 MiB"));
  CHECK_THAT(text_error(std::string(1 << 20, '\n')), Contains("missing keys"));
  CHECK_THAT(text_error(std::string(100, '\0')), Contains("control character \\x00"));
  CHECK_THAT(text_error(std::string(100, '\x1b')), Contains("control character \\x1b"));
}

TEST_CASE("sixteen brackets pass the depth check and fail as a chip") {
  CHECK_THAT(text_error(std::string(16, '[') + std::string(16, ']')), Contains("a list"));
}

// --- writing
// --------------------------------------------------------------------------------------

TEST_CASE("a dumped chip loads to the same values, bit for bit") {
  const ScratchFolder folder;
  for (const std::string& name : chip_names({kChips})) {
    INFO(name);
    const ChipConfig chip =
        load_chip(name, {"hbm.trcd_ns=14.123456789012345", "power.l2_pj_per_byte=0.1"}, {kChips});
    const ChipConfig again = load_chip(folder.write(name + ".yaml", dump_yaml(chip)));
    CHECK(same(chip, again));
    CHECK(again.hbm.trcd_ns == 14.123456789012345);
    CHECK(again.name == chip.name);
  }
}

TEST_CASE("text survives the round trip whatever it holds") {
  const ScratchFolder folder;
  for (const char* text : {"a: b # c", "\"quoted\" \\ back", "- list", "", "&x", "caf\xc3\xa9"}) {
    ChipConfig chip = load_chip("toy", {}, {kChips});
    chip.description = text;
    CHECK(load_chip(folder.write("chip.yaml", dump_yaml(chip))).description == text);
  }
}

TEST_CASE("the canonical text holds every key and tells any two chips apart") {
  const ChipConfig toy = load_chip("toy", {}, {kChips});
  const std::string text = canonical_text(toy);
  CHECK(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) ==
        chip_schema().size());
  CHECK_THAT(text, StartsWith("name=toy\n"));
  CHECK_THAT(text, Contains("\nhbm.bandwidth_gbps=64\n"));
  ChipConfig other = toy;
  other.hbm.bandwidth_gbps = std::nextafter(64.0, 65.0);
  CHECK(canonical_text(other) != text);
}
