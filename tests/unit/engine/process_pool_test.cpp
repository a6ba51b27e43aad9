#include "sim/engine/process_pool.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <map>
#include <stdexcept>
#include <vector>

namespace tessera {
namespace {

std::map<std::size_t, ProcessAnswer> answers(std::size_t count, int jobs,
                                             const std::function<std::string(std::size_t)>& task) {
  std::map<std::size_t, ProcessAnswer> all;
  run_processes(count, jobs, task, [&](std::size_t i, ProcessAnswer answer) {
    CHECK(all.emplace(i, std::move(answer)).second);
    return AfterAnswer::go_on;
  });
  return all;
}

TEST_CASE("every task answers once, from a process of its own, however many run at a time") {
  for (const int jobs : {1, 3, 100}) {
    const auto all = answers(20, jobs, [](std::size_t i) {
      return std::to_string(i) + " " + std::to_string(getpid() != getppid());
    });
    REQUIRE(all.size() == 20);
    for (const auto& [i, answer] : all) {
      CHECK(answer.text == std::to_string(i) + " 1");
      CHECK(answer.failure.empty());
      CHECK(answer.peak_rss_bytes > 0);
    }
  }
  CHECK(answers(0, 4, [](std::size_t) { return std::string("x"); }).empty());
}

TEST_CASE("an answer larger than a pipe's buffer arrives whole") {
  const auto all = answers(
      2, 2, [](std::size_t i) { return std::string(3'000'000, static_cast<char>('a' + i)); });
  CHECK(all.at(0).text == std::string(3'000'000, 'a'));
  CHECK(all.at(1).text == std::string(3'000'000, 'b'));
}

TEST_CASE("a task that is killed, throws or says nothing has failed, and the others go on") {
  const auto all = answers(4, 2, [](std::size_t i) -> std::string {
    if (i == 0) std::raise(SIGKILL);
    if (i == 1) throw std::runtime_error("no");
    if (i == 2) return "";
    return "fine";
  });
  CHECK(all.at(0).failure == "was killed by signal 9");
  CHECK(all.at(1).failure == "ended without an answer");
  CHECK(all.at(2).failure == "ended without an answer");
  CHECK(all.at(3).text == "fine");
}

TEST_CASE("how a task ended is told, and how long it took") {
  const auto all = answers(3, 3, [](std::size_t i) -> std::string {
    if (i == 0) std::raise(SIGKILL);
    return i == 1 ? "" : "fine";
  });
  CHECK(all.at(0).end == ProcessEnd::killed);
  CHECK(all.at(1).end == ProcessEnd::no_answer);
  CHECK(all.at(2).end == ProcessEnd::answered);
  for (const auto& [i, answer] : all) CHECK(answer.wall_s > 0);
}

TEST_CASE("a task whose time is over is ended, with the children it has, and the others go on") {
  ProcessLimits limits;
  limits.timeout_s = 0.5;
  std::map<std::size_t, ProcessAnswer> all;
  int pipe_ends[2];
  REQUIRE(pipe(pipe_ends) == 0);
  run_processes(
      2, 2,
      [&](std::size_t i) -> std::string {
        if (i == 0) return "fine";
        // Its child holds the pipe open until it dies, too.
        run_processes(
            1, 1,
            [](std::size_t) {
              pause();
              return std::string("never");
            },
            [](std::size_t, const ProcessAnswer&) { return AfterAnswer::go_on; });
        return "never";
      },
      [&](std::size_t i, ProcessAnswer answer) {
        all[i] = std::move(answer);
        return AfterAnswer::go_on;
      },
      {}, limits);
  CHECK(all.at(0).text == "fine");
  CHECK(all.at(1).end == ProcessEnd::timed_out);
  CHECK(all.at(1).failure == "took too long");
  close(pipe_ends[1]);
  char byte = 0;
  CHECK(read(pipe_ends[0], &byte, 1) == 0);  // nobody is left who holds it
  close(pipe_ends[0]);
}

#ifndef __SANITIZE_ADDRESS__  // it takes all the address space there is
TEST_CASE("a task that wants more memory than its limit has run out of it, and so has its child") {
  ProcessLimits limits;
  limits.memory_bytes = std::int64_t{1} << 30;
  std::map<std::size_t, ProcessAnswer> all;
  const auto take_much = [](std::size_t) {
    const std::vector<char> much(std::size_t{2} << 30);
    return std::to_string(much.size());
  };
  run_processes(
      3, 1,
      [&](std::size_t i) -> std::string {
        if (i == 0) return take_much(0);
        if (i == 1) return "fine";
        std::string end;
        run_processes(1, 1, take_much, [&](std::size_t, const ProcessAnswer& answer) {
          end = answer.failure;
          return AfterAnswer::go_on;
        });
        return end;
      },
      [&](std::size_t i, ProcessAnswer answer) {
        all[i] = std::move(answer);
        return AfterAnswer::go_on;
      },
      {}, limits);
  CHECK(all.at(0).end == ProcessEnd::out_of_memory);
  CHECK(all.at(1).text == "fine");
  CHECK(all.at(2).text == "ran out of memory");
}
#endif

TEST_CASE("after start_no_more the tasks that run are waited for and no other begins") {
  std::size_t answered = 0;
  run_processes(
      50, 2, [](std::size_t) { return std::string("x"); },
      [&](std::size_t, const ProcessAnswer&) {
        ++answered;
        return AfterAnswer::start_no_more;
      });
  CHECK(answered >= 1);
  CHECK(answered <= 2);
}

TEST_CASE("the caller's own work is done once, while the first tasks run") {
  int pipe_ends[2];
  REQUIRE(pipe(pipe_ends) == 0);
  int times = 0;
  std::size_t answered = 0;
  WhileWaiting meanwhile;
  meanwhile.once = [&] {
    ++times;
    CHECK(answered == 0);
    REQUIRE(write(pipe_ends[1], "go", 2) == 2);
  };
  // Either task waits for a byte that only the caller's work sends.
  run_processes(
      2, 1,
      [&](std::size_t) {
        char byte = 0;
        return read(pipe_ends[0], &byte, 1) == 1 ? std::string(1, byte) : std::string();
      },
      [&](std::size_t, const ProcessAnswer& answer) {
        CHECK(answer.failure.empty());
        ++answered;
        return AfterAnswer::go_on;
      },
      meanwhile);
  CHECK(times == 1);
  CHECK(answered == 2);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST_CASE("what the caller's own work throws ends the children and is thrown on") {
  WhileWaiting meanwhile;
  meanwhile.once = [] { throw std::runtime_error("enough"); };
  CHECK_THROWS_WITH(
      run_processes(
          3, 3,
          [](std::size_t) {
            pause();
            return std::string("never");
          },
          [](std::size_t, const ProcessAnswer&) { return AfterAnswer::go_on; }, meanwhile),
      "enough");
  CHECK(waitpid(-1, nullptr, WNOHANG) == -1);  // no child is left
}

}  // namespace
}  // namespace tessera
