#include "sim/base/parallel.h"

#include <catch2/catch.hpp>
#include <stdexcept>
#include <vector>

using namespace tessera;

TEST_CASE("every task runs once, on any number of threads") {
  for (const int jobs : {0, 1, 3, 50}) {
    std::vector<int> runs(20, 0);
    run_parallel(20, jobs, [&](std::int64_t i) { ++runs[static_cast<std::size_t>(i)]; });
    CHECK(runs == std::vector<int>(20, 1));
  }
  run_parallel(0, 4, [](std::int64_t) { FAIL("there is no task"); });
}

TEST_CASE("an exception on a thread reaches the caller") {
  for (const std::int64_t thrower : {0, 1, 7})
    CHECK_THROWS_WITH(run_parallel(8, 4,
                                   [&](std::int64_t i) {
                                     if (i == thrower) throw std::runtime_error("task failed");
                                   }),
                      "task failed");
}
