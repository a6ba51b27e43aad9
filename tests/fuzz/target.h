#pragma once

#include <string>
#include <string_view>

namespace tessera::test {

/// What a target gives a parser: one input. The parser either takes it or throws InputError; every
/// other end (another exception, a crash, a sanitizer's report, too much time or memory, a
/// `require` that does not hold) is a finding. Each file of targets/ defines it for its parser.
void feed(std::string_view input);

/// feed(), and what holds for every refusal: its message is short, in one line of plain text.
void feed_and_judge(std::string_view input);

/// Ends the process with `what` on standard error unless `holds`.
void require(bool holds, const char* what);

/// A file in memory, for parsers that want a path.
class MemoryFile {
 public:
  MemoryFile();
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  /// Gives the file this content, and returns its path.
  const std::string& hold(std::string_view content);

 private:
  int file_;
  std::string path_;
};

}  // namespace tessera::test
