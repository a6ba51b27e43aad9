#include "sim/base/overfull_sets.h"

#include <catch2/catch.hpp>
#include <cmath>

using namespace tessera;

namespace {

/// P(N >= ways) of a Poisson number with mean load * ways, summed from its terms.
double by_terms(double load, int ways) {
  const double mean = load * ways;
  double term = std::exp(-mean), below = 0;
  for (int n = 0; n < ways; ++n) {
    below += term;
    term *= mean / (n + 1);
  }
  return 1 - below;
}

}  // namespace

TEST_CASE("the share of lines in overfull sets is that of a Poisson number of lines a set") {
  for (const int ways : {1, 2, 8, 16, 32}) {
    for (const double load : {0.1, 0.5, 0.65, 0.98, 1.0, 1.45, 3.0}) {
      INFO(ways << " ways, load " << load);
      CHECK(overfull_share(load, ways) == Approx(by_terms(load, ways)).margin(1e-12));
    }
  }
  // One way: a line misses if any other is in its set.
  CHECK(overfull_share(0.5, 1) == Approx(1 - std::exp(-0.5)));
  CHECK(overfull_share(0.65) == Approx(0.064).margin(0.0005));
  CHECK(overfull_share(0.98) == Approx(0.501).margin(0.0005));
  CHECK(overfull_share(1.45) == Approx(0.952).margin(0.0005));
}

TEST_CASE("nothing in use overfills no set, and more in use never fewer") {
  CHECK(overfull_share(0) == 0);
  CHECK(overfull_share(-1) == 0);
  double before = 0;
  for (double load = 0.05; load < 4; load += 0.05) {
    const double share = overfull_share(load);
    CHECK(share >= before);
    CHECK(share <= 1);
    before = share;
  }
  CHECK(before == Approx(1));
}
