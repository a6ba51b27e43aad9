#include <unistd.h>
#include <zstd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "tests/cli/program.h"

using namespace tessera::test;

// Files made to cost as much as they can: refused in a second or two, in bounded memory. What a
// corpus cannot hold for its size; tests/fuzz has the small ones.

namespace {

const std::string gemm = "gemm m=64 n=64 k=64 dtype=bf16";

/// Runs with little time and memory, and checks that the input was refused with `part`.
void check_refused(const std::vector<std::string>& arguments, const std::string& part,
                   int status = 2) {
  ProgramOptions options;
  options.cpu_seconds = 30;
  options.memory_bytes = std::int64_t{2} << 30;
  const Outcome outcome = Program(arguments, options).finish();
  INFO(arguments.back() << "\n" << outcome.out.substr(0, 500) << outcome.err.substr(0, 2000));
  CHECK(outcome.status == status);
  CHECK(outcome.err.size() < 10'000);
  CHECK(contains(status == 2 ? outcome.err : outcome.out, part));
}

std::string repeated(const std::string& text, std::size_t times) {
  std::string all;
  all.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

/// A file of `bytes` zeros that takes no room on the disk.
std::string sparse(const ScratchFolder& folder, const std::string& name, std::int64_t bytes) {
  const std::string file = folder.write(name, "");
  REQUIRE(truncate(file.c_str(), bytes) == 0);
  return file;
}

/// Nine levels of nine references each: 9^9 values if they were written out.
std::string alias_bomb() {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last +
            repeated(", " + last, 8) + "]\n";
  }
  return text;
}

std::string little_endian(std::uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

/// A kernel of one context that executes `code`, indented by six spaces.
std::string trace_of(const std::string& grid, const std::string& code) {
  return "tessera-trace 1\nchip toy\nsection s\n  op o add bf16\n  kernel k op o grid " + grid +
         "\n    role r copies 1 warps 1 registers 32\n" + code;
}

}  // namespace

TEST_CASE("a hostile chip is refused quickly in little memory") {
  const ScratchFolder folder;
  const auto refused = [&](const std::string& text, const std::string& part) {
    check_refused({"run", "--op", gemm, "--chip", folder.write("c.yaml", text)}, part);
  };
  refused("a: " + std::string(1'000'000, '['), "c.yaml:1: ");
  refused(repeated("a: [\n", 200'000), "c.yaml:");
  refused(alias_bomb(), "c.yaml:1: ");
  refused("base: &a [*a]\n", "c.yaml:1: ");
  refused(std::string(1'000'000, 'x'), "c.yaml:1: ");
  refused(repeated("x: 1\n", 200'000), "c.yaml:1: x: unknown key");
  refused(repeated("? ", 2000), "c.yaml:");
  check_refused({"run", "--op", gemm, "--chip", sparse(folder, "s.yaml", std::int64_t{1} << 40)},
                "larger than 1 MiB");
}

TEST_CASE("a hostile model is refused quickly in little memory") {
  const ScratchFolder folder;
  const auto refused = [&](const std::string& name, const std::string& text,
                           const std::string& part) {
    check_refused({"run", "--chip", "toy", "--phase", "prefill", "--seq", "16", "--model",
                   folder.write(name, text)},
                  part);
  };
  refused("m.yaml", "a: " + std::string(1'000'000, '{'), "m.yaml:1: ");
  refused("m.yaml", alias_bomb(), "m.yaml:1: ");
  refused("m.yaml", ",", "m.yaml:1: ");
  refused("m.yaml", repeated("- ", 400'000), "m.yaml:1: ");
  refused("m.yaml", "windowed_layers: " + repeated("[", 1000), "m.yaml:1: ");
  refused("m.yaml", repeated("x", 100) + ": " + repeated("y", 2'000'000), "too long");
  refused("c.json", std::string(4'000'000, '['), "c.json:1: nested deeper");
  refused("c.json", repeated("{\"a\":", 800'000), "c.json:1: nested deeper");
  refused("c.json", "[" + repeated("1,", 2'000'000) + "1]", "c.json:1: ");
  refused("c.json", "{\"x\": \"" + std::string(5'000'000, 'x') + "\"}", "too long");
  for (const char* name : {"s.yaml", "s.json"}) {
    check_refused({"run", "--chip", "toy", "--phase", "prefill", "--seq", "16", "--model",
                   sparse(folder, name, std::int64_t{1} << 40)},
                  "too long");
  }
}

TEST_CASE("a hostile trace is refused quickly in little memory") {
  const ScratchFolder folder;
  const auto refused = [&](const std::string& text, const std::string& part) {
    const std::string file = folder.write("t.trace", text);
    check_refused({"replay", "--chip", "toy", file}, part);
  };
  std::string nested;
  for (std::size_t i = 0; i < 100; ++i) nested += std::string(6 + i, ' ') + "for i in 0 .. 2\n";
  refused(trace_of("1", nested + std::string(106, ' ') + "setup 1\n"), "t.trace:");
  const std::string most = "9223372036854775807";
  refused(trace_of("1", "      for i in 0 .. " + most + "\n        setup 1\n"), "too long");
  refused(trace_of("1",
                   "      for i in 0 .. 40000\n        for j in 0 .. 40000\n"
                   "          for k in 0 .. 40000\n            setup 1\n"),
          "too long");
  refused(trace_of(most, "      setup 1\n"), "grid is " + most);
  refused(trace_of("900000000", "      setup 1\n"), "too long");
  refused(trace_of("1", "      setup " + most + "\n"), "setup");
  refused(trace_of("1", "      vector softmax " + most + "\n"), "vector");
  refused("tessera-trace 1\nsection s repeat " + most + "\n", "repeat");
  refused("tessera-trace 1\nsection s\n  tensor t weight bf16 " + most + " x " + most + " at 0\n",
          "tensor");
  refused(repeated("section s\n", 2'000'000), "t.trace:1: ");
  refused("tessera-trace 1\n" + repeated("section s\n", 2'000'000), "t.trace:");
  refused("tessera-trace 1\nworkload \"" + std::string(70'000'000, 'x') + "\"\n", "too large");
  check_refused({"trace", "check", sparse(folder, "s.trace", std::int64_t{1} << 40)}, "too large");
}

TEST_CASE("a packed trace that unpacks to more than it says or may is refused") {
  const ScratchFolder folder;
  const std::string text = folder.write("t.trace", trace_of("1", "      setup 1\n"));
  REQUIRE(run({"trace", "pack", text, folder / "t.ttb"}).status == 0);
  const std::string head = folder.read("t.ttb").substr(0, 44);
  const auto packed = [](const std::string& content) {
    std::string frame(ZSTD_compressBound(content.size()), '\0');
    frame.resize(ZSTD_compress(frame.data(), frame.size(), content.data(), content.size(), 19));
    return frame;
  };
  const auto refused = [&](std::uint64_t claim, const std::string& frame, const std::string& part) {
    check_refused({"trace", "check", folder.write("b.ttb", head + little_endian(claim) + frame)},
                  part);
  };
  const std::string bomb = packed(std::string(256 << 20, '\0'));
  REQUIRE(bomb.size() < 100'000);
  refused(256 << 20, bomb, "corrupt");
  refused(1, bomb, "its size does not match");
  refused(std::uint64_t{1} << 60, bomb, "it unpacks to");
  refused(~std::uint64_t{0}, "", "it unpacks to");
  refused(200 << 20, packed("x"), "its size does not match");
  refused(2, packed("x") + packed("y"), "corrupt");
}

TEST_CASE("a hostile table of measurements is refused quickly in little memory") {
  const ScratchFolder folder;
  const auto refused = [&](const std::string& text, const std::string& part) {
    check_refused({"validate", "--chip", "toy", "--measured", folder.write("m.csv", text)}, part);
  };
  const std::string header = "op,rows,cols,measured_us\n";
  refused(header + std::string(20'000'000, ','), "m.csv:2: has more than 100 fields");
  refused(std::string(20'000'000, ','), "m.csv:1: has more than 100 fields");
  refused(header + repeated("add,1,1,1\n", 1'000'000), "has more than 200000 rows");
  refused(header + std::string(20'000'000, '\n'), "no rows");
  refused(header + "\"" + std::string(20'000'000, 'x'), "m.csv:2: ");
  refused(header + "add,1,1," + std::string(1'000'000, '9') + "\n", "m.csv:2: measured_us");
  check_refused(
      {"validate", "--chip", "toy", "--measured", sparse(folder, "s.csv", std::int64_t{1} << 40)},
      "larger than 64 MiB");
}

TEST_CASE("hostile tensors are refused quickly in little memory") {
  const ScratchFolder folder;
  const auto refused = [&](const std::string& name, const std::string& content,
                           const std::string& part) {
    std::filesystem::create_directory(folder.path() / "tensors");
    const std::string file = folder.write("tensors/" + name, content);
    check_refused({"run", "--chip", "toy", "--model", "gpt2-xl", "--phase", "prefill", "--seq", "8",
                   "--layers", "1", "--tensors", folder / "tensors"},
                  part);
    std::filesystem::remove(file);
  };
  const auto safetensors = [](const std::string& header) {
    return little_endian(header.size()) + header;
  };
  refused("a.safetensors", safetensors(std::string(40'000'000, '[')), "nests too deep");
  refused("a.safetensors", safetensors("{\"x\":{\"dtype\":" + repeated("{\"a\":", 1'000'000)),
          "nests too deep");
  refused("a.safetensors",
          safetensors("{\"x\":{\"dtype\":\"F32\",\"shape\":[1" + repeated(",1", 10'000'000) + "]"),
          "holds a long list");
  refused("a.safetensors", little_endian(~std::uint64_t{0}) + "{}", "a header of");
  refused("a.safetensors",
          safetensors("{\"x\":{\"dtype\":\"F32\",\"shape\":[281474976710656,281474976710656],"
                      "\"data_offsets\":[0,8]}}") +
              "12345678",
          "x: ");
  refused("a.npy", std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12) + "{", "a header of");
  refused("a.npy",
          std::string("\x93NUMPY\x01\x00\x60\x00", 10) +
              "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, "
              "9223372036854775807), }" +
              "\n",
          "a.npy: ");
}

TEST_CASE("an operation or a flag of great length is refused with a short message") {
  const std::string long_text(100'000, 'x');
  check_refused({"run", "--chip", "toy", "--op", long_text}, "--op: ");
  check_refused({"run", "--chip", "toy", "--op", "gemm m=1 n=1 k=1 " + long_text + "=1"}, "--op: ");
  check_refused({"run", "--op", gemm, "--chip", long_text}, "--chip: ");
  check_refused({"run", "--op", gemm, "--chip", "toy", "--set", long_text + "=1"}, "--set: ");
}
