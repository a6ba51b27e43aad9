#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace tessera::cli {

/// Where a verb's result goes: a file or, for "-", standard output. A file gets its name only once
/// it is complete: the text is written to a temporary file in the same folder, which is then
/// renamed. What is not committed is removed, also on SIGINT, SIGTERM and SIGHUP. A target that is
/// no regular file (a device, a pipe) is written directly.
class OutputFile {
 public:
  /// Checks that `path` can be written, before any long work. `flag` names it in errors. Throws
  /// InputError.
  OutputFile(std::string flag, std::string path);
  ~OutputFile();
  OutputFile(OutputFile&& other) noexcept;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  OutputFile& operator=(OutputFile&&) = delete;

  bool is_stdout() const { return path_ == "-"; }
  const std::string& flag() const { return flag_; }
  const std::string& path() const { return path_; }

  /// Writes all of `content` and gives the file its name. Throws InputError when the disk is full.
  void commit(const std::string& content);

 private:
  [[noreturn]] void fail(const std::string& why) const;

  std::string flag_, path_;
  std::string target_;     ///< path_ with symbolic links followed
  std::string temporary_;  ///< "" when written directly, or done
  int file_ = -1;
  pid_t owner_ = 0;  ///< a forked child must not remove its parent's file
};

/// A file that a verb reads; `name` is the flag or the argument that names it: "--chip", "FILE".
struct InputFile {
  std::string name, path;
};

/// Whether writing one would change the other, by whatever paths and links: the same device and
/// inode, or the same path where one does not exist yet. Devices, pipes and "" never are.
bool same_file(const std::string& a, const std::string& b);

/// The files in `folder` (not below it) that `wanted` picks by their paths, sorted; none where the
/// folder cannot be read.
std::vector<InputFile> inputs_in(const std::string& name, const std::string& folder,
                                 const std::function<bool(const std::string&)>& wanted);

/// Throws InputError if the output `path` of `flag` is one of the inputs, by whatever path or link.
/// Standard output, devices and pipes are never the same as an input.
void refuse_input_as_output(const std::string& flag, const std::string& path,
                            const std::vector<InputFile>& inputs);

/// The same for each of the outputs; also throws InputError if two of them are one file, or both
/// standard output. Every verb calls it before it reads what takes long.
void refuse_same_target(const std::vector<const OutputFile*>& outputs,
                        const std::vector<InputFile>& inputs);

/// Ends the process on SIGINT, SIGTERM and SIGHUP with 128 + the signal's number (130 for SIGINT),
/// unfinished outputs removed.
void remove_unfinished_outputs_on_signals();

}  // namespace tessera::cli
