#include "tests/fuzz/target.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "sim/base/error.h"

namespace tessera::test {
namespace {

constexpr std::size_t longest_message = 8192;

}  // namespace

void feed_and_judge(std::string_view input) {
  try {
    feed(input);
  } catch (const InputError& refusal) {
    const std::string_view message = refusal.what();
    require(!message.empty() && message.size() <= longest_message, "a message of moderate length");
    require(std::none_of(message.begin(), message.end(),
                         [](unsigned char c) { return (c < 0x20 && c != '\n') || c == 0x7f; }),
            "a message without control characters");
  }
}

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

MemoryFile::MemoryFile() : file_(memfd_create("input", MFD_CLOEXEC)) {
  if (file_ < 0) throw std::runtime_error("no file in memory");
  path_ = "/proc/self/fd/" + std::to_string(file_);
}

MemoryFile::~MemoryFile() { close(file_); }

const std::string& MemoryFile::hold(std::string_view content) {
  const auto size = static_cast<ssize_t>(content.size());
  if (ftruncate(file_, 0) != 0 || pwrite(file_, content.data(), content.size(), 0) != size)
    throw std::runtime_error("the file in memory takes no content");
  return path_;
}

}  // namespace tessera::test

// SystemC's library, which some parsers come with, wants this symbol.
extern "C" int sc_main(int, char**) { return 0; }
