#include "sim/trace/binary.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>

#include "random_trace.h"
#include "sim/base/error.h"
#include "sim/trace/text.h"
#include "sim/trace/trace_file.h"

namespace tessera {
namespace {

using Catch::Contains;

std::string error_of(const std::string& data) {
  try {
    parse_binary(data, "t.bin");
  } catch (const InputError& e) {
    return e.what();
  }
  return "no error";
}

/// A file in a fresh place, removed at the end of the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content)
      : path_((std::filesystem::temp_directory_path() /
               ("tessera-trace-" + std::to_string(std::random_device()())))
                  .string()) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~TemporaryFile() { std::remove(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST_CASE("Random traces survive binary and back, text through binary too") {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const Trace trace = random_trace(seed);
    const std::string data = to_binary(trace);
    REQUIRE(is_binary_trace(data));
    const Trace again = parse_binary(data, "t.bin");
    REQUIRE(to_binary(again) == data);
    REQUIRE(to_text(again) == to_text(trace));
    REQUIRE(to_binary(parse_text(to_text(trace), "t.trace")) == data);
  }
}

TEST_CASE("Binary is compact") {
  CHECK(to_binary(small_gemm()).size() < to_text(small_gemm()).size());
}

TEST_CASE("A binary trace cut off at any byte is refused") {
  const std::string data = to_binary(small_gemm());
  for (std::size_t size = 0; size < data.size(); ++size) {
    INFO(size);
    REQUIRE_THROWS_AS(parse_binary(std::string_view(data).substr(0, size), "t.bin"), InputError);
  }
}

TEST_CASE("A binary trace with any bit flipped is refused, or reads the same") {
  const Trace trace = small_gemm();
  const std::string data = to_binary(trace);
  for (std::size_t bit = 0; bit < data.size() * 8; ++bit) {
    std::string damaged = data;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    // Some bits of a compressed frame mean nothing; the digest vouches for the rest.
    std::string read = to_text(trace);
    try {
      read = to_text(parse_binary(damaged, "t.bin"));
    } catch (const InputError&) {
      continue;
    }
    REQUIRE(read == to_text(trace));
  }
}

TEST_CASE("Mutated binaries are read or refused, never worse") {
  std::mt19937_64 bits(7);
  const std::string base = to_binary(random_trace(11));
  int refused = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string data = base;
    for (int edits = 1 + static_cast<int>(bits() % 3); edits > 0; --edits) {
      const std::size_t at = bits() % data.size();
      switch (bits() % 3) {
        case 0:
          data[at] = static_cast<char>(bits());
          break;
        case 1:
          data.erase(at, 1 + bits() % 8);
          break;
        default:
          data.insert(at, data.substr(bits() % data.size(), bits() % 16));
          break;
      }
      if (data.empty()) break;
    }
    try {
      parse_binary(data, "t.bin");
    } catch (const InputError&) {
      ++refused;
    }
  }
  CHECK(refused > 3900);
}

TEST_CASE("Each mistake in a binary has its own message") {
  const std::string data = to_binary(small_gemm());
  CHECK_THAT(error_of(""), Contains("t.bin: trace: corrupt: it ends early"));
  CHECK_THAT(error_of(std::string(100, 'x')), Contains("not a binary trace"));
  std::string changed = data;
  changed[8] = 2;
  CHECK_THAT(error_of(changed), Contains("version 2") && Contains("reads version 1"));
  changed = data;
  changed[12] = changed[12] == 'a' ? 'b' : 'a';
  CHECK_THAT(error_of(changed), Contains("digest does not match"));
  changed = data;
  changed[44] = static_cast<char>(changed[44] + 1);
  CHECK_THAT(error_of(changed), Contains("size does not match"));
  changed[50] = 1;
  CHECK_THAT(error_of(changed), Contains("at most 268435456"));
  CHECK_THAT(error_of(data + "x"), Contains("corrupt"));
}

TEST_CASE("A file of either form is recognised") {
  const Trace trace = small_gemm();
  const TemporaryFile text(to_text(trace));
  const TemporaryFile binary(to_binary(trace));
  CHECK(to_text(read_trace(text.path())) == to_text(trace));
  CHECK(to_text(read_trace(binary.path())) == to_text(trace));
  const TemporaryFile empty("");
  CHECK_THROWS_WITH(read_trace(empty.path()), Contains("the file is empty"));
  const TemporaryFile stump(to_binary(trace).substr(0, 6));
  CHECK_THROWS_WITH(read_trace(stump.path()), Contains("it ends early"));
  CHECK_THROWS_WITH(read_trace("/nonexistent/x.trace"), Contains("cannot be opened"));
  CHECK_THROWS_WITH(read_trace(std::filesystem::temp_directory_path().string()),
                    Contains("it is a directory"));
}

}  // namespace
}  // namespace tessera
