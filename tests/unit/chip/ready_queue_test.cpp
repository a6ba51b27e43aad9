#include "sim/chip/ready_queue.h"

#include <catch2/catch.hpp>
#include <iterator>
#include <set>
#include <utility>

using namespace tessera;

TEST_CASE("nobody is ready in a new queue") {
  for (const std::size_t contexts : {0, 1, 64}) {
    ReadyQueue queue;
    queue.reset(contexts);
    CHECK(queue.earliest() == ReadyQueue::never);
  }
  CHECK(ReadyQueue().earliest() == ReadyQueue::never);
}

TEST_CASE("of contexts ready at the same time the lowest number is first") {
  ReadyQueue queue;
  queue.reset(5);
  queue.push(4, Cycles(10));
  CHECK(queue.first() == 4);
  CHECK(queue.second() == ReadyQueue::never);
  queue.push(3, Cycles(11));
  CHECK(queue.first() == 4);
  CHECK(queue.second() == Cycles(11));
  queue.push(2, Cycles(10));
  CHECK(queue.first() == 2);
  CHECK(queue.second() == Cycles(10));
  queue.pop();
  CHECK(queue.first() == 4);
  CHECK(queue.second() == Cycles(11));
}

TEST_CASE("a queue gives contexts in the order of time, then number, however long it is used") {
  for (const int contexts : {1, 2, 3, 16, 200}) {
    ReadyQueue queue;
    queue.reset(static_cast<std::size_t>(contexts));
    std::set<std::pair<std::int64_t, std::size_t>> waiting;
    std::set<std::size_t> inside;
    std::uint64_t x = 1;
    const auto random = [&](int below) {
      x = x * 6364136223846793005ULL + 1442695040888963407ULL;
      return static_cast<int>((x >> 33) % static_cast<std::uint64_t>(below));
    };
    for (int i = 0; i < 20000; ++i) {
      const auto context = static_cast<std::size_t>(random(contexts));
      if (random(2) == 0 && inside.insert(context).second) {
        const std::int64_t when = i + random(40);
        waiting.insert({when, context});
        queue.push(context, Cycles(when));
      } else if (!waiting.empty()) {
        inside.erase(queue.first());
        waiting.erase(waiting.begin());
        queue.pop();
      }
      REQUIRE(queue.earliest() ==
              (waiting.empty() ? ReadyQueue::never : Cycles(waiting.begin()->first)));
      if (waiting.empty()) continue;
      REQUIRE(queue.first() == waiting.begin()->second);
      const auto next = std::next(waiting.begin());
      REQUIRE(queue.second() == (next == waiting.end() ? ReadyQueue::never : Cycles(next->first)));
    }
  }
}
