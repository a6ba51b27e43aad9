#include "sim/chip/turn_calendar.h"

#include <catch2/catch.hpp>
#include <map>

using namespace tessera;

TEST_CASE("nobody is due in a new calendar") {
  for (const int units : {1, 2, 3, 132, TurnCalendar::most_units}) {
    TurnCalendar calendar(units);
    CHECK(calendar.earliest() == TurnCalendar::never);
    CHECK(calendar.due(units - 1) == TurnCalendar::never);
  }
}

TEST_CASE("of units due at the same time the lowest number is first") {
  TurnCalendar calendar(5);
  calendar.set(4, Cycles(10));
  CHECK(calendar.first() == 4);
  calendar.set(2, Cycles(11));
  CHECK(calendar.first() == 4);
  calendar.set(2, Cycles(10));
  CHECK(calendar.first() == 2);
  calendar.clear(2);
  CHECK(calendar.first() == 4);
  CHECK(calendar.earliest() == Cycles(10));
}

TEST_CASE("a calendar gives turns in the order of time, then number") {
  for (const int units : {1, 7, 132}) {
    TurnCalendar calendar(units);
    std::map<int, std::int64_t> due;
    std::uint64_t x = 1;
    const auto random = [&](int below) {
      x = x * 6364136223846793005ULL + 1442695040888963407ULL;
      return static_cast<int>((x >> 33) % static_cast<std::uint64_t>(below));
    };
    for (int i = 0; i < 20000; ++i) {
      const int unit = random(units);
      if (random(3) == 0) {
        calendar.clear(unit);
        due.erase(unit);
      } else {
        const std::int64_t when = i + random(50);
        calendar.set(unit, Cycles(when));
        due[unit] = when;
      }
      std::int64_t earliest = TurnCalendar::never.value;
      int first = -1;
      for (const auto& [number, when] : due) {
        if (when >= earliest) continue;
        earliest = when;
        first = number;
      }
      REQUIRE(calendar.earliest() == Cycles(earliest));
      if (first >= 0) REQUIRE(calendar.first() == first);
    }
  }
}

TEST_CASE("a calendar holds every time that a simulation reaches") {
  TurnCalendar calendar(TurnCalendar::most_units);
  const int last = TurnCalendar::most_units - 1;
  const Cycles late((std::int64_t{1} << 47) - 2);
  calendar.set(last, late);
  CHECK(calendar.earliest() == late);
  CHECK(calendar.due(last) == late);
  CHECK(calendar.first() == last);
}
