#include "sim/engine/process_pool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <new>
#include <utility>
#include <vector>

#include "sim/base/error.h"

namespace tessera {
namespace {

using Clock = std::chrono::steady_clock;

// How a process ends whose memory is at its limit: at once, as bad_alloc may meet a noexcept.
constexpr int out_of_memory_status = 86;

struct Child {
  pid_t pid = -1;
  int pipe = -1;
  std::size_t index = 0;
  Clock::time_point began;
  std::string text;
  bool timed_out = false;
};

[[noreturn]] void run_child(const std::function<std::string(std::size_t)>& task, std::size_t index,
                            int pipe, pid_t parent, const ProcessLimits& limits) {
  // Whatever ends the parent, kill -9 included, ends the child; it may have happened just now.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  if (limits.memory_bytes > 0) {
    const rlimit most{static_cast<rlim_t>(limits.memory_bytes),
                      static_cast<rlim_t>(limits.memory_bytes)};
    if (setrlimit(RLIMIT_AS, &most) != 0) _exit(1);
    std::set_new_handler([] { _exit(out_of_memory_status); });
  }
  try {
    const std::string answer = task(index);
    for (std::size_t sent = 0; sent < answer.size();) {
      const ssize_t n = write(pipe, answer.data() + sent, answer.size() - sent);
      if (n < 0 && errno != EINTR) _exit(1);
      if (n > 0) sent += static_cast<std::size_t>(n);
    }
  } catch (const std::exception&) {
    _exit(1);
  }
  _exit(0);  // no destructors: the parent's buffers must not be flushed twice
}

Child start(const std::function<std::string(std::size_t)>& task, std::size_t index,
            const ProcessLimits& limits) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    throw SimulationError(fmt::format("pipe: {}", std::strerror(errno)));
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) {
    close(ends[0]);
    close(ends[1]);
    throw SimulationError(fmt::format("fork: {}", std::strerror(errno)));
  }
  if (pid == 0) {
    close(ends[0]);
    run_child(task, index, ends[1], parent, limits);
  }
  close(ends[1]);
  return {pid, ends[0], index, Clock::now(), {}};
}

// Reads what is there; true at the end of the answer.
bool drain(Child& child) {
  char buffer[65536];
  const ssize_t n = read(child.pipe, buffer, sizeof buffer);
  if (n > 0) child.text.append(buffer, static_cast<std::size_t>(n));
  return n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN);
}

ProcessAnswer end_of(Child& child) {
  close(child.pipe);
  int status = 0;
  rusage usage{};
  while (wait4(child.pid, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  ProcessAnswer answer;
  answer.peak_rss_bytes = usage.ru_maxrss * 1024;
  answer.wall_s = std::chrono::duration<double>(Clock::now() - child.began).count();
  if (child.timed_out) {
    answer.end = ProcessEnd::timed_out;
    answer.failure = "took too long";
  } else if (WIFSIGNALED(status)) {
    answer.end = ProcessEnd::killed;
    answer.failure = fmt::format("was killed by signal {}", WTERMSIG(status));
  } else if (WIFEXITED(status) && WEXITSTATUS(status) == out_of_memory_status) {
    answer.end = ProcessEnd::out_of_memory;
    answer.failure = "ran out of memory";
  } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || child.text.empty()) {
    answer.end = ProcessEnd::no_answer;
    answer.failure = "ended without an answer";
  } else {
    answer.text = std::move(child.text);
  }
  return answer;
}

/// The children that run; those left at an exception are ended.
struct Children {
  std::vector<Child> running;

  Children() = default;
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;
  ~Children() {
    for (const Child& child : running) kill(child.pid, SIGKILL);
    for (Child& child : running) end_of(child);
  }
  Child take(std::size_t i) {
    Child child = std::move(running[i]);
    running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    return child;
  }
};

}  // namespace

void run_processes(std::size_t count, int jobs, const std::function<std::string(std::size_t)>& task,
                   const std::function<AfterAnswer(std::size_t, ProcessAnswer)>& answered,
                   const WhileWaiting& meanwhile, const ProcessLimits& limits) {
  constexpr int refresh_ms = 250;
  Children children;
  std::vector<Child>& running = children.running;
  std::size_t next = 0;
  bool starting = true;
  const auto most = static_cast<std::size_t>(std::max(1, jobs));
  const auto start_what_may = [&] {
    while (starting && running.size() < most && next < count)
      running.push_back(start(task, next++, limits));
  };
  const auto end_what_is_late = [&] {
    for (Child& child : running) {
      if (std::chrono::duration<double>(Clock::now() - child.began).count() < limits.timeout_s)
        continue;
      child.timed_out = true;
      kill(child.pid, SIGKILL);
    }
  };
  const bool wakes = meanwhile.often || limits.timeout_s > 0;
  start_what_may();
  if (meanwhile.once) meanwhile.once();
  while (!running.empty()) {
    std::vector<pollfd> polls;
    for (const Child& child : running) polls.push_back({child.pipe, POLLIN, 0});
    const int ready = poll(polls.data(), polls.size(), wakes ? refresh_ms : -1);
    if (limits.timeout_s > 0) end_what_is_late();
    if (meanwhile.often) meanwhile.often();
    if (ready < 0) continue;
    for (std::size_t i = polls.size(); i-- > 0;) {
      if (polls[i].revents == 0 || !drain(running[i])) continue;
      Child child = children.take(i);
      ProcessAnswer answer = end_of(child);
      if (answered(child.index, std::move(answer)) == AfterAnswer::start_no_more) starting = false;
    }
    start_what_may();
  }
}

}  // namespace tessera
