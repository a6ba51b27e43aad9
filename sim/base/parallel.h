#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace tessera {

/// Calls task(i) for every i in [0, count) on `jobs` threads, the caller's among them; which thread
/// runs which task depends on nothing but the numbers. Tasks must not touch one another's results.
/// Rethrows the exception of the lowest-numbered thread that threw.
template <class Task>
void run_parallel(std::int64_t count, int jobs, const Task& task) {
  const std::int64_t used = std::clamp<std::int64_t>(jobs, 1, std::max<std::int64_t>(count, 1));
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(used));
  const auto run = [&](std::int64_t first) {
    try {
      for (std::int64_t i = first; i < count; i += used) task(i);
    } catch (...) {
      failures[static_cast<std::size_t>(first)] = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (std::int64_t t = 1; t < used; ++t) threads.emplace_back(run, t);
  run(0);
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

}  // namespace tessera
