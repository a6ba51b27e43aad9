#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

namespace tessera::test {

/// What a body run in a child process gave back: its numbers, or the text of what it threw.
struct ChildAnswer {
  std::vector<std::int64_t> values;
  std::string error;
};

/// Runs `body` in a child process: SystemC elaborates once per process, so a test that binds and
/// starts modules needs one of its own. Throws if the child dies without an answer.
template <class Body>
ChildAnswer in_child(Body&& body) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("pipe");
  const pid_t pid = fork();
  if (pid < 0) throw std::runtime_error("fork");
  if (pid == 0) {
    close(ends[0]);
    std::string answer;
    try {
      const std::vector<std::int64_t> values = body();
      answer = "V" + std::string(reinterpret_cast<const char*>(values.data()),
                                 values.size() * sizeof(std::int64_t));
    } catch (const std::exception& error) {
      answer = std::string("E") + error.what();
    }
    for (std::size_t sent = 0; sent < answer.size();) {
      const ssize_t n = write(ends[1], answer.data() + sent, answer.size() - sent);
      if (n < 0 && errno != EINTR) _exit(1);
      if (n > 0) sent += static_cast<std::size_t>(n);
    }
    _exit(0);  // no destructors: the test runner's buffers must not be flushed twice
  }
  close(ends[1]);
  std::string answer;
  char buffer[4096];
  for (ssize_t n = 1; n != 0;) {
    n = read(ends[0], buffer, sizeof buffer);
    if (n > 0) answer.append(buffer, static_cast<std::size_t>(n));
    if (n < 0 && errno != EINTR) break;
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || answer.empty())
    throw std::runtime_error("the child process ended without an answer");
  ChildAnswer result;
  if (answer[0] == 'E') {
    result.error = answer.substr(1);
  } else {
    result.values.resize((answer.size() - 1) / sizeof(std::int64_t));
    answer.copy(reinterpret_cast<char*>(result.values.data()), answer.size() - 1, 1);
  }
  return result;
}

}  // namespace tessera::test
