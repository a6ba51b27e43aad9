#include "sim/engine/section_run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <string>
#include <type_traits>

#include "sim/base/error.h"
#include "sim/chip/chip.h"

namespace tessera {
namespace {

static_assert(std::is_trivially_copyable<KernelRecord>::value, "records cross a pipe as bytes");

// First byte of a child's answer.
enum class Outcome : char { done = 'D', bad_input = 'I', failed = 'F' };

std::vector<int> construction_order(int cores, std::uint64_t seed) {
  std::vector<int> order(static_cast<std::size_t>(cores));
  std::iota(order.begin(), order.end(), 0);
  // Fisher-Yates with a 64-bit linear congruential step (Knuth): any permutation will do.
  for (std::size_t i = order.size(); seed != 0 && i > 1; --i) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    std::swap(order[i - 1], order[(seed >> 33) % i]);
  }
  return order;
}

void append(std::string& out, const void* data, std::size_t size) {
  out.append(static_cast<const char*>(data), size);
}

std::string simulate_section(const Section& section, const ChipConfig& config,
                             const SimulationOptions& options) {
  std::string answer;
  try {
    Chip chip("chip", config, section, options.memory,
              construction_order(config.core.count, options.construction_seed));
    sc_core::sc_report_handler::set_actions(sc_core::SC_INFO, sc_core::SC_DO_NOTHING);
    sc_core::sc_start();
    chip.arbiter().rethrow();
    if (!chip.processor().finished()) throw SimulationError(chip.processor().explain());
    const std::int64_t events = chip.arbiter().events();
    answer.push_back(static_cast<char>(Outcome::done));
    append(answer, &events, sizeof events);
    for (const KernelRecord& record : chip.processor().records())
      append(answer, &record, sizeof record);
  } catch (const InputError& error) {
    answer = std::string(1, static_cast<char>(Outcome::bad_input)) + error.what();
  } catch (const std::exception& error) {
    answer = std::string(1, static_cast<char>(Outcome::failed)) + error.what();
  }
  return answer;
}

struct Child {
  pid_t pid = -1;
  int pipe = -1;
  std::size_t job = 0;
  std::string answer;
};

Child start(std::size_t job, const Section& section, const ChipConfig& chip,
            const SimulationOptions& options) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    throw SimulationError(fmt::format("pipe: {}", std::strerror(errno)));
  const pid_t pid = fork();
  if (pid < 0) {
    close(ends[0]);
    close(ends[1]);
    throw SimulationError(fmt::format("fork: {}", std::strerror(errno)));
  }
  if (pid == 0) {
    close(ends[0]);
    const std::string answer = simulate_section(section, chip, options);
    for (std::size_t sent = 0; sent < answer.size();) {
      const ssize_t n = write(ends[1], answer.data() + sent, answer.size() - sent);
      if (n < 0 && errno != EINTR) _exit(1);
      if (n > 0) sent += static_cast<std::size_t>(n);
    }
    _exit(0);  // no destructors: the parent's buffers must not be flushed twice
  }
  close(ends[1]);
  return {pid, ends[0], job, {}};
}

// Reads what is there; true at the end of the answer.
bool drain(Child& child) {
  char buffer[65536];
  const ssize_t n = read(child.pipe, buffer, sizeof buffer);
  if (n > 0) child.answer.append(buffer, static_cast<std::size_t>(n));
  return n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN);
}

struct Failure {
  std::size_t job;
  Outcome outcome;
  std::string text;
};

SectionRecord parse(const Child& child) {
  SectionRecord record;
  const char* at = child.answer.data() + 1;
  std::memcpy(&record.events, at, sizeof record.events);
  at += sizeof record.events;
  const std::size_t count = (child.answer.size() - 1 - sizeof record.events) / sizeof(KernelRecord);
  record.kernels.resize(count);
  if (count > 0) std::memcpy(record.kernels.data(), at, count * sizeof(KernelRecord));
  return record;
}

}  // namespace

void run_sections(std::vector<SectionJob>& jobs, const ChipConfig& chip,
                  const SimulationOptions& options) {
  std::vector<Child> running;
  std::vector<Failure> failures;
  std::size_t next = 0;
  const auto most = static_cast<std::size_t>(std::max(1, options.jobs));
  while (next < jobs.size() || !running.empty()) {
    while (running.size() < most && next < jobs.size() && failures.empty()) {
      running.push_back(start(next, *jobs[next].section, chip, options));
      ++next;
    }
    if (running.empty()) break;
    std::vector<pollfd> polls;
    for (const Child& child : running) polls.push_back({child.pipe, POLLIN, 0});
    if (poll(polls.data(), polls.size(), -1) < 0) continue;
    for (std::size_t i = polls.size(); i-- > 0;) {
      if (polls[i].revents == 0 || !drain(running[i])) continue;
      Child child = std::move(running[i]);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
      close(child.pipe);
      int status = 0;
      rusage usage{};
      while (wait4(child.pid, &status, 0, &usage) < 0 && errno == EINTR) {
      }
      const bool answered = WIFEXITED(status) && WEXITSTATUS(status) == 0 && !child.answer.empty();
      if (!answered) {
        failures.push_back(
            {child.job, Outcome::failed,
             WIFSIGNALED(status)
                 ? fmt::format("the simulation of section {} was killed by signal {}",
                               jobs[child.job].section->name, WTERMSIG(status))
                 : fmt::format("the simulation of section {} ended without an answer",
                               jobs[child.job].section->name)});
      } else if (child.answer[0] != static_cast<char>(Outcome::done)) {
        failures.push_back(
            {child.job, static_cast<Outcome>(child.answer[0]), child.answer.substr(1)});
      } else {
        jobs[child.job].record = parse(child);
        jobs[child.job].record.peak_rss_bytes = usage.ru_maxrss * 1024;
      }
    }
  }
  if (failures.empty()) return;
  const Failure& first =
      *std::min_element(failures.begin(), failures.end(),
                        [](const Failure& a, const Failure& b) { return a.job < b.job; });
  if (first.outcome == Outcome::bad_input) throw InputError("", first.text, "");
  throw SimulationError(first.text);
}

}  // namespace tessera
