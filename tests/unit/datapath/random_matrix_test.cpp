#include "sim/datapath/random_matrix.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "sim/datapath/elementary.h"

using namespace tessera;

TEST_CASE("logarithm and exponential agree with the C library") {
  const Random random(4);
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const double x = std::ldexp(1 + random.uniform(2 * i), static_cast<int>(i % 2000) - 1000);
    CHECK(log_of(x) == Approx(std::log(x)).epsilon(4e-16).margin(1e-300));
    const double y = (random.uniform(2 * i + 1) - 0.5) * 1400;
    CHECK(exp_of(y) == Approx(std::exp(y)).epsilon(1e-15));
  }
  CHECK(log_of(1) == 0);
  CHECK(exp_of(0) == 1);
  CHECK(exp_of(-746) == 0);
  CHECK(std::isinf(exp_of(710)));
}

TEST_CASE("the normal quantile inverts the normal distribution") {
  for (const std::uint32_t bits : {0U, 1U, 1000U, 0x10000000U, 0x7FFFFFFFU, 0x80000000U,
                                   0xF0000000U, 0xFFFFFF00U, 0xFFFFFFFFU}) {
    const double x = normal_quantile(bits);
    const double p = (bits + 0.5) * 0x1p-32;
    CHECK(0.5 * std::erfc(-x / std::sqrt(2.0)) == Approx(p).epsilon(1e-12));
    CHECK(std::abs(x) < 6.4);
  }
}

TEST_CASE("random matrices have the moments of their distribution") {
  const auto moments = [](Distribution distribution) {
    const std::vector<float> x = random_matrix(1000, 1000, distribution, 5);
    double sum = 0, square = 0;
    for (const float v : x) {
      sum += double{v};
      square += double{v} * double{v};
    }
    return std::pair<double, double>{sum / 1e6, square / 1e6};
  };
  CHECK(moments(Distribution::normal).first == Approx(0).margin(0.004));
  CHECK(moments(Distribution::normal).second == Approx(1).epsilon(0.005));
  CHECK(moments(Distribution::uniform).second == Approx(1 / 3.0).epsilon(0.005));
  CHECK(moments(Distribution::uniform01).first == Approx(0.5).epsilon(0.005));
  CHECK(moments(Distribution::halfnormal).first == Approx(std::sqrt(2 / M_PI)).epsilon(0.005));
  CHECK(moments(Distribution::outlier).second == Approx(1.1).epsilon(0.02));
  for (const float v : random_matrix(100, 100, Distribution::uniform01, 1)) {
    CHECK(v >= 0);
    CHECK(v < 1);
  }
}

TEST_CASE("an element does not depend on what is drawn beside it") {
  for (const Distribution distribution : all_distributions()) {
    const std::vector<float> all = random_matrix(10, 10, distribution, 7, 2);
    std::vector<float> part(13);
    fill_random(part.data(), 41, 13, distribution, Random(7, 2));
    CHECK(std::equal(part.begin(), part.end(), all.begin() + 41));
    CHECK(all != random_matrix(10, 10, distribution, 8, 2));
    CHECK(all != random_matrix(10, 10, distribution, 7, 3));
    CHECK(parse_distribution(name(distribution)) == distribution);
  }
  CHECK_THROWS_WITH(parse_distribution("norml"), Catch::Contains("did you mean 'normal'?"));
}
