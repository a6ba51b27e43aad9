#include "sim/cli/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <utility>

#include "sim/base/error.h"
#include "sim/cli/terminal.h"

namespace tessera::cli {
namespace {

namespace fs = std::filesystem;

// What a signal handler has to remove. It may run at any moment, so a slot is filled before its
// owner is stored and cleared by storing 0.
struct Unfinished {
  std::atomic<pid_t> owner{0};
  char path[PATH_MAX] = {};
};
std::array<Unfinished, 8> unfinished;

void remember(const std::string& path) {
  if (path.size() >= PATH_MAX) return;
  for (Unfinished& slot : unfinished) {
    if (slot.owner.load() != 0) continue;
    std::memcpy(slot.path, path.c_str(), path.size() + 1);
    slot.owner.store(getpid());
    return;
  }
}

void forget(const std::string& path) {
  for (Unfinished& slot : unfinished)
    if (slot.owner.load() != 0 && path == slot.path) slot.owner.store(0);
}

extern "C" void on_signal(int signal) {
  const pid_t self = getpid();
  for (Unfinished& slot : unfinished)
    if (slot.owner.load() == self) unlink(slot.path);
  _exit(128 + signal);
}

}  // namespace

void remove_unfinished_outputs_on_signals() {
  static_assert(std::atomic<pid_t>::is_always_lock_free);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction old {};
    // What the caller ignores (nohup) stays ignored.
    if (sigaction(signal, nullptr, &old) == 0 && old.sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = on_signal;
    sigaction(signal, &action, nullptr);
  }
}

OutputFile::OutputFile(std::string flag, std::string path)
    : flag_(std::move(flag)), path_(std::move(path)), owner_(getpid()) {
  if (is_stdout()) return;
  if (path_.empty()) throw InputError(flag_, "an empty file name", "give a file, or - for stdout");
  std::error_code error;
  target_ = path_;
  // A link is followed by hand: renaming would replace it. (weakly_canonical would also accept
  // folders that do not exist.)
  if (fs::is_symlink(path_, error)) {
    const fs::path followed = fs::weakly_canonical(path_, error);
    if (!error) target_ = followed.string();
  }
  struct stat status {};
  const bool exists = stat(target_.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) {
    errno = EISDIR;
    fail(std::strerror(errno));
  }
  if (exists && access(target_.c_str(), W_OK) != 0) fail(std::strerror(errno));
  if (exists && !S_ISREG(status.st_mode)) {
    file_ = open(target_.c_str(), O_WRONLY | O_CLOEXEC);
    if (file_ < 0) fail(std::strerror(errno));
    return;
  }
  const fs::path target(target_);
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  for (int attempt = 0;; ++attempt) {
    const fs::path name =
        folder / fmt::format(".{}.{}-{}.part", target.filename().string(), owner_, attempt);
    temporary_ = name.string();
    file_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file_ >= 0 || errno != EEXIST || attempt == 100) break;
  }
  if (file_ < 0) {
    const int why = errno;
    temporary_.clear();
    fail(std::strerror(why));
  }
  remember(temporary_);
  if (exists) fchmod(file_, status.st_mode & 07777);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : flag_(std::move(other.flag_)),
      path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, std::string())),
      file_(std::exchange(other.file_, -1)),
      owner_(other.owner_) {}

OutputFile::~OutputFile() {
  if (file_ >= 0) close(file_);
  if (temporary_.empty() || getpid() != owner_) return;
  unlink(temporary_.c_str());
  forget(temporary_);
}

void OutputFile::commit(const std::string& content) {
  if (is_stdout()) {
    print(content);
    return;
  }
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t written = write(file_, content.data() + done, content.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(std::strerror(errno));
    done += static_cast<std::size_t>(written);
  }
  // close() may be the first to tell of a full disk on a network file system.
  if (close(std::exchange(file_, -1)) != 0) fail(std::strerror(errno));
  if (temporary_.empty()) return;
  if (rename(temporary_.c_str(), target_.c_str()) != 0) fail(std::strerror(errno));
  forget(temporary_);
  temporary_.clear();
}

void OutputFile::fail(const std::string& why) const {
  throw InputError(flag_, fmt::format("cannot write '{}': {}", path_, why),
                   "give a file in a folder that can be written, or - for stdout");
}

bool same_file(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return false;
  std::error_code error;
  if (fs::exists(a, error) && fs::exists(b, error)) {
    if (!fs::is_regular_file(a, error) || !fs::is_regular_file(b, error)) return false;
    return fs::equivalent(a, b, error);  // device and inode
  }
  const fs::path first = fs::weakly_canonical(fs::absolute(a, error), error);
  return !error && first == fs::weakly_canonical(fs::absolute(b, error), error) && !error;
}

std::vector<InputFile> inputs_in(const std::string& name, const std::string& folder,
                                 const std::function<bool(const std::string&)>& wanted) {
  std::vector<InputFile> inputs;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (wanted(it->path().string())) inputs.push_back({name, it->path().string()});
  }
  std::sort(inputs.begin(), inputs.end(),
            [](const InputFile& a, const InputFile& b) { return a.path < b.path; });
  return inputs;
}

void refuse_input_as_output(const std::string& flag, const std::string& path,
                            const std::vector<InputFile>& inputs) {
  for (const InputFile& input : inputs) {
    if (path == "-" || input.path == "-" || !same_file(path, input.path)) continue;
    throw InputError(flag, fmt::format("'{}' is also the input {}", path, input.name),
                     "choose another file");
  }
}

void refuse_same_target(const std::vector<const OutputFile*>& outputs,
                        const std::vector<InputFile>& inputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const OutputFile& output = *outputs[i];
    refuse_input_as_output(output.flag(), output.path(), inputs);
    for (std::size_t j = 0; j < i; ++j) {
      const OutputFile& other = *outputs[j];
      if (output.is_stdout() != other.is_stdout()) continue;
      if (!output.is_stdout() && !same_file(output.path(), other.path())) continue;
      throw InputError("", fmt::format("two outputs go to '{}'", output.path()),
                       "give each a file of its own");
    }
  }
}

}  // namespace tessera::cli
