#include "tests/cli/program.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace tessera::test {

namespace fs = std::filesystem;

namespace {

void bound(__rlimit_resource resource, std::int64_t most) {
  const auto value = static_cast<rlim_t>(most);
  const rlimit limit{value, value};
  if (most > 0) setrlimit(resource, &limit);
}

}  // namespace

ScratchFolder::ScratchFolder() {
  std::string name = (fs::temp_directory_path() / "tessera-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no scratch folder: " + name);
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string ScratchFolder::write(const std::string& name, const std::string& text) const {
  std::ofstream(path_ / name, std::ios::binary) << text;
  return *this / name;
}

std::string ScratchFolder::read(const std::string& name) const {
  std::ostringstream text;
  text << std::ifstream(path_ / name, std::ios::binary).rdbuf();
  return text.str();
}

std::vector<std::string> ScratchFolder::names() const {
  std::vector<std::string> all;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_))
    all.push_back(entry.path().filename().string());
  std::sort(all.begin(), all.end());
  return all;
}

Program::Program(const std::vector<std::string>& arguments, const ProgramOptions& options) {
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  if (options.error_terminal) {
    err[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (err[0] < 0 || grantpt(err[0]) != 0 || unlockpt(err[0]) != 0)
      throw std::runtime_error("no terminal");
    err[1] = open(ptsname(err[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (err[1] < 0) throw std::runtime_error("no terminal");
  } else if (pipe2(err, O_CLOEXEC) != 0) {
    throw std::runtime_error("no pipe");
  }
  std::vector<char*> argv = {const_cast<char*>(TESSERA_BINARY)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("no process");
  if (pid_ == 0) {
    const int file = options.standard_output.empty()
                         ? out[1]
                         : open(options.standard_output.c_str(), O_WRONLY | O_CLOEXEC);
    dup2(open(options.standard_input.c_str(), O_RDONLY), STDIN_FILENO);
    dup2(file, STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    setenv("TESSERA_DATA", options.data.c_str(), 1);
    setenv("COLUMNS", "100", 1);
    unsetenv("NO_COLOR");
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, SIG_DFL);
    bound(RLIMIT_CPU, options.cpu_seconds);
#if !defined(__SANITIZE_ADDRESS__)
    bound(RLIMIT_AS, options.memory_bytes);
#endif
    if (options.file_bytes > 0) std::signal(SIGXFSZ, SIG_IGN);  // write() says EFBIG instead
    bound(RLIMIT_FSIZE, options.file_bytes);
    execv(TESSERA_BINARY, argv.data());
    _exit(127);
  }
  close(out[1]);
  close(err[1]);
  out_ = out[0];
  err_ = err[0];
}

Program::~Program() {
  if (out_ >= 0) close(out_);
  if (err_ >= 0) close(err_);
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Program::send(int signal) const { kill(pid_, signal); }

Outcome Program::finish() {
  Outcome outcome;
  pollfd streams[] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
  std::string* const texts[] = {&outcome.out, &outcome.err};
  // Both at once: a full pipe of one would stop the program while the other is waited for.
  while (streams[0].fd >= 0 || streams[1].fd >= 0) {
    if (poll(streams, 2, -1) < 0) break;
    for (int i = 0; i < 2; ++i) {
      if (streams[i].revents == 0) continue;
      char buffer[65536];
      const ssize_t count = read(streams[i].fd, buffer, sizeof buffer);
      if (count > 0) {
        texts[i]->append(buffer, static_cast<std::size_t>(count));
      } else {
        streams[i].fd = -1;
      }
    }
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return outcome;
}

Outcome run(const std::vector<std::string>& arguments, const ProgramOptions& options) {
  return Program(arguments, options).finish();
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace tessera::test
