#include "sim/precision/normal.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "sim/base/random.h"

using namespace tessera;

namespace {

std::vector<float> normals(std::int64_t first, std::int64_t count, Isa isa = best_isa()) {
  std::vector<float> values(static_cast<std::size_t>(count));
  standard_normals(3, 5, first, count, values.data(), isa);
  return values;
}

}  // namespace

TEST_CASE("normal numbers are Box and Muller's of the generator's words") {
  const Random random(3, 5);
  const std::vector<float> values = normals(0, 4000);
  for (std::uint64_t b = 0; b < 1000; ++b) {
    const Random::Block words = random.block(b);
    for (std::size_t pair = 0; pair < 2; ++pair) {
      const double u = ((words[2 * pair] >> 1) + 0.5) * 0x1p-31;
      const double angle = words[2 * pair + 1] * (2 * 3.14159265358979 * 0x1p-32);
      const double radius = std::sqrt(-2 * std::log(u));
      CHECK(std::abs(values[4 * b + pair] - radius * std::cos(angle)) < 1e-5);
      CHECK(std::abs(values[4 * b + 2 + pair] - radius * std::sin(angle)) < 1e-5);
    }
  }
}

TEST_CASE("normal numbers are the same on every instruction set and in any pieces") {
  const std::vector<float> all = normals(0, 1000);
  for (const Isa isa : supported_isas()) CHECK(normals(0, 1000, isa) == all);
  for (std::int64_t first = 0; first < 40; ++first) {
    for (const std::int64_t count : {0, 1, 2, 3, 4, 5, 31, 32, 33, 70}) {
      const std::vector<float> part = normals(first, count);
      CHECK(std::equal(part.begin(), part.end(), all.begin() + first));
    }
  }
}

TEST_CASE("normal numbers have the moments and tails of the normal distribution") {
  const std::vector<float> values = normals(0, 1 << 20);
  const auto n = static_cast<double>(values.size());
  double mean = 0, square = 0, fourth = 0, beyond2 = 0, beyond4 = 0;
  for (const float v : values) {
    const double x = double{v};
    mean += x / n;
    square += x * x / n;
    fourth += x * x * x * x / n;
    beyond2 += std::abs(x) > 2 ? 1 : 0;
    beyond4 += std::abs(x) > 4 ? 1 : 0;
  }
  CHECK(std::abs(mean) < 4e-3);        // 4 standard errors
  CHECK(std::abs(square - 1) < 6e-3);  // 4.3
  CHECK(std::abs(fourth - 3) < 0.04);  // 4.2
  CHECK(beyond2 / n == Approx(0.0455).epsilon(0.02));
  CHECK(beyond4 == Approx(66.4).margin(35));
}
