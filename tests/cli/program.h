#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace tessera::test {

/// A folder of its own below the system's temporary one, removed with everything in it at the end.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  /// Writes a file and returns its path.
  std::string write(const std::string& name, const std::string& text) const;
  std::string read(const std::string& name) const;
  /// Names of everything in the folder, sorted; hidden files included.
  std::vector<std::string> names() const;

 private:
  std::filesystem::path path_;
};

/// How a run of the program ended.
struct Outcome {
  int status = 0;  ///< exit status, or -signal
  std::string out, err;
};

struct ProgramOptions {
  std::string data = TESSERA_SOURCE_DIR;     ///< $TESSERA_DATA
  std::string standard_output;               ///< a file to write to instead of being captured
  std::string standard_input = "/dev/null";  ///< a file to read
  bool error_terminal = false;               ///< standard error is a terminal (captured as well)
  /// Of the processor's time and of memory, enough for any input that is refused; beyond, the
  /// program ends. 0: as much as there is. (AddressSanitizer reserves more memory than there is:
  /// its builds have no bound.)
  int cpu_seconds = 0;
  std::int64_t memory_bytes = 0;
  /// > 0: files stop growing there, as on a full disk.
  std::int64_t file_bytes = 0;
};

/// A running tessera without a terminal, by default with the source tree's chips and models.
class Program {
 public:
  explicit Program(const std::vector<std::string>& arguments,
                   const ProgramOptions& options = ProgramOptions());
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void send(int signal) const;
  int id() const { return pid_; }
  /// Reads all output and waits for the end.
  Outcome finish();

 private:
  int pid_ = -1, out_ = -1, err_ = -1;
};

/// Runs it to its end.
Outcome run(const std::vector<std::string>& arguments,
            const ProgramOptions& options = ProgramOptions());

bool contains(const std::string& text, const std::string& part);

}  // namespace tessera::test
