#include "sim/cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "sim/base/error.h"

namespace tessera::cli {
namespace {

std::string_view environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace

void print(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!written || std::fflush(stdout) != 0)
    throw InputError("standard output", fmt::format("cannot be written: {}", std::strerror(errno)),
                     "free some space, or write to a file");
}

bool colour_wanted() {
  return isatty(STDOUT_FILENO) == 1 && environment("NO_COLOR").empty() &&
         environment("TERM") != "dumb";
}

int columns() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const int set = std::atoi(std::string(environment("COLUMNS")).c_str());
  return set > 0 ? set : 100;
}

Progress::Progress(const std::string& what)
    : what_(what.substr(0, 60)),
      shown_(isatty(STDERR_FILENO) == 1),
      began_(std::chrono::steady_clock::now()),
      drawn_(began_) {
  show("...");
}

void Progress::show(const std::string& how_far) const {
  if (!shown_) return;
  fmt::print(stderr, "\r\x1b[K{} {}", what_, how_far);
  std::fflush(stderr);
}

void Progress::update(std::size_t done, std::size_t of) {
  if (!shown_ || done == 0) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = now;
  const double elapsed = std::chrono::duration<double>(now - began_).count();
  const double rate = static_cast<double>(done) / elapsed;
  fmt::print(stderr, "\r\x1b[K{}: {} of {}, {:.0f}/s, {:.0f} s left", what_, done, of, rate,
             static_cast<double>(of - done) / rate);
  std::fflush(stderr);
}

Progress::~Progress() {
  if (!shown_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

}  // namespace tessera::cli
