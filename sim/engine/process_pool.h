#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace tessera {

/// How a child process ended.
enum class ProcessEnd : std::uint8_t {
  answered,
  no_answer,      ///< its task threw, or returned nothing
  killed,         ///< by a signal
  timed_out,      ///< by us, when its time was over
  out_of_memory,  ///< it, or a child of its own, asked for more than its limit
};

/// What a child process left behind.
struct ProcessAnswer {
  ProcessEnd end = ProcessEnd::answered;
  std::string text;     ///< what its task returned; empty where it did not end well
  std::string failure;  ///< empty, or how it ended: "was killed by signal 9"
  double wall_s = 0;
  std::int64_t peak_rss_bytes = 0;
};

/// What a child process may use; 0 = as much as it wants. Its children count for themselves, with
/// the same limit of memory.
struct ProcessLimits {
  double timeout_s = 0;
  std::int64_t memory_bytes = 0;  ///< of address space
};

enum class AfterAnswer : std::uint8_t { go_on, start_no_more };

/// What the calling process does while its children run.
struct WhileWaiting {
  /// Called once, after the first children have been started.
  std::function<void()> once;
  /// Called some times a second, and when a signal arrives.
  std::function<void()> often;
};

/// Runs task(0) ... task(count - 1), each in a child process of its own, at most `jobs` (at least
/// one) at a time, started in that order. `answered` is called in this process as children end, in
/// whatever order that is; with start_no_more those already running are still waited for. A task
/// must return text that is not empty; one that throws, crashes or is killed has failed, and the
/// others go on. No child, nor a child of one, outlives this process. Throws SimulationError where
/// the system gives no process or pipe, and what the callbacks throw; the children are ended first.
void run_processes(std::size_t count, int jobs, const std::function<std::string(std::size_t)>& task,
                   const std::function<AfterAnswer(std::size_t, ProcessAnswer)>& answered,
                   const WhileWaiting& meanwhile = {}, const ProcessLimits& limits = {});

}  // namespace tessera
