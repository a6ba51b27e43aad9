#include "sim/precision/layer_policy.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>

#include "sim/base/random.h"

using namespace tessera;

namespace {

const std::vector<Precision> every = {Precision::bf16, Precision::fp8, Precision::fp8_promote,
                                      Precision::fp8_block};

/// A measurement that adds up what each operation adds, times `interplay` for each but the first.
struct Additive {
  double wide = 1e-6;
  /// By class, operation and precision.
  std::map<std::tuple<std::size_t, std::size_t, Precision>, double> added;
  double interplay = 1;
  std::int64_t measured = 0;

  double error(const LayerCase& one) const {
    double error = wide;
    double factor = 1;
    for (std::size_t o = 0; o < one.precisions.size(); ++o) {
      const auto found = added.find({one.layer_class, o, one.precisions[o]});
      if (found == added.end()) continue;
      error += factor * found->second;
      factor *= interplay;
    }
    return error;
  }
  MeasureLayers function() {
    return [this](const std::vector<LayerCase>& cases) {
      std::vector<double> errors;
      for (const LayerCase& one : cases) errors.push_back(error(one));
      measured += static_cast<std::int64_t>(cases.size());
      return errors;
    };
  }
};

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_.bits(next_++)) % (high - low + 1);
  }

 private:
  Random random_;
  std::uint64_t next_ = 0;
};

struct Study {
  std::vector<LayerClass> classes;
  Additive errors;
};

Study random_study(Draw& draw) {
  Study study;
  const auto classes = static_cast<std::size_t>(draw.between(1, 3));
  for (std::size_t c = 0; c < classes; ++c) {
    LayerClass one;
    one.layers = std::to_string(c);
    one.repeat = draw.between(1, 5);
    one.other_cycles = draw.between(0, 100);
    for (std::int64_t o = draw.between(1, 4); o-- > 0;) {
      FreeOp op;
      op.name = "op" + std::to_string(one.ops.size());
      op.precisions = every;
      for (const Precision precision : every) {
        op.cycles.push_back(draw.between(50, 200));
        if (precision == Precision::bf16) continue;
        study.errors.added[{c, one.ops.size(), precision}] =
            1e-6 * static_cast<double>(draw.between(1, 1000));
      }
      one.ops.push_back(op);
    }
    study.classes.push_back(one);
  }
  return study;
}

double error_of(const Study& study, const std::vector<std::vector<Precision>>& precisions) {
  double error = 0, layers = 0;
  for (std::size_t c = 0; c < study.classes.size(); ++c) {
    const auto repeat = static_cast<double>(study.classes[c].repeat);
    error += repeat * study.errors.error({c, precisions[c]});
    layers += repeat;
  }
  return std::sqrt(error / layers);
}

std::int64_t cycles_of(const Study& study, const std::vector<std::vector<Precision>>& precisions) {
  std::int64_t cycles = 0;
  for (std::size_t c = 0; c < study.classes.size(); ++c) {
    std::int64_t layer = study.classes[c].other_cycles;
    for (std::size_t o = 0; o < precisions[c].size(); ++o) {
      const FreeOp& op = study.classes[c].ops[o];
      for (std::size_t p = 0; p < op.precisions.size(); ++p) {
        if (op.precisions[p] == precisions[c][o]) layer += op.cycles[p];
      }
    }
    cycles += layer * study.classes[c].repeat;
  }
  return cycles;
}

/// One class of one layer with two operations.
Study two_ops() {
  Study study;
  study.classes = {
      {"0",
       1,
       100,
       {{"up", every, {1000, 500, 600, 650}}, {"down", every, {1000, 900, 950, 980}}}}};
  study.errors.added = {
      {{0, 0, Precision::fp8}, 4e-4},         {{0, 0, Precision::fp8_promote}, 2e-4},
      {{0, 0, Precision::fp8_block}, 1e-4},   {{0, 1, Precision::fp8}, 3e-4},
      {{0, 1, Precision::fp8_promote}, 3e-4}, {{0, 1, Precision::fp8_block}, 2e-4}};
  return study;
}

}  // namespace

TEST_CASE("without a budget everything stays wide, with a huge one everything is fastest") {
  Study study = two_ops();
  const LayerPolicy none = choose_precisions(study.classes, 0, study.errors.function());
  CHECK(none.precisions[0] == std::vector<Precision>{Precision::bf16, Precision::bf16});
  CHECK(none.result.cycles == 2100);
  CHECK(none.result.error == Approx(1e-3));
  CHECK(none.result.wide == "bf16");
  CHECK_THAT(none.result.decisions[0].reason,
             Catch::Contains("fp8 would save 50 %, but bf16 alone is beyond the budget"));

  const LayerPolicy all = choose_precisions(study.classes, 1, study.errors.function());
  CHECK(all.precisions[0] == std::vector<Precision>{Precision::fp8, Precision::fp8});
  CHECK(all.result.cycles == 1500);
  CHECK(all.result.fastest_cycles == 1500);
  CHECK(all.result.least_cycles == 1500);
  CHECK_THAT(all.result.decisions[0].reason, Catch::StartsWith("fastest: 50 % less time for"));
}

TEST_CASE("the choice is the cheapest whose errors add up to the budget, on every random study") {
  Draw draw(1);
  for (int round = 0; round < 40; ++round) {
    Study study = random_study(draw);
    std::int64_t before = std::numeric_limits<std::int64_t>::max();
    for (double budget = 0; budget < 0.05; budget += 0.0049) {
      const LayerPolicy policy = choose_precisions(study.classes, budget, study.errors.function());
      const PolicyResult& result = policy.result;
      CHECK(result.error == Approx(error_of(study, policy.precisions)));
      CHECK(result.predicted_error == Approx(result.error));
      CHECK(result.cycles == cycles_of(study, policy.precisions));
      CHECK(result.error <= std::max(budget, std::sqrt(study.errors.wide)) * (1 + 1e-9));
      CHECK(result.cycles <= before);
      CHECK(result.least_cycles <= result.cycles);
      CHECK(result.tightened <= 1);
      before = result.cycles;
      for (std::size_t p = 1; p < result.curve.size(); ++p) {
        CHECK(result.curve[p].error > result.curve[p - 1].error);
        CHECK(result.curve[p].cycles < result.curve[p - 1].cycles);
      }
    }
  }
}

TEST_CASE("errors that are more than their sum tighten the choice, never the budget's order") {
  Draw draw(2);
  std::int64_t tightened = 0;
  for (int round = 0; round < 40; ++round) {
    Study study = random_study(draw);
    study.errors.interplay = 1.5;
    std::int64_t before = std::numeric_limits<std::int64_t>::max();
    for (double budget = 0; budget < 0.06; budget += 0.0059) {
      const LayerPolicy policy = choose_precisions(study.classes, budget, study.errors.function());
      CHECK(policy.result.error <= std::max(budget, std::sqrt(study.errors.wide)) * (1 + 1e-9));
      CHECK(policy.result.cycles <= before);
      before = policy.result.cycles;
      tightened += policy.result.tightened;
    }
  }
  CHECK(tightened > 0);
}

TEST_CASE("layers count by how many they are") {
  // The same layer twice; the class of nine saves nine times as much, and adds nine times as much
  // to the sum over layers.
  Study study = two_ops();
  study.classes.push_back(study.classes[0]);
  study.classes[0].repeat = 9;
  study.classes[1].layers = "9";
  for (const auto& [key, error] : std::map(study.errors.added)) {
    study.errors.added[{1, std::get<1>(key), std::get<2>(key)}] = error;
  }
  const LayerPolicy policy = choose_precisions(study.classes, 0.0142, study.errors.function());
  CHECK(policy.result.wide_cycles == 21000);
  CHECK(policy.result.decisions.size() == 4);
  CHECK(policy.result.decisions[0].repeat == 9);
  CHECK(policy.result.error == Approx(error_of(study, policy.precisions)));
  CHECK(policy.result.error <= 0.0142);
}

TEST_CASE("no layer is measured twice: wide, each operation alone, the choice as a whole") {
  Study study = two_ops();
  const LayerPolicy policy = choose_precisions(study.classes, 0.0235, study.errors.function());
  // The choice is one of these already.
  CHECK(study.errors.measured == 1 + 2 * 3);
  CHECK(policy.result.evaluations == study.errors.measured);
  CHECK(policy.precisions[0] == std::vector<Precision>{Precision::fp8, Precision::bf16});
  CHECK_THAT(policy.result.decisions[1].reason, Catch::Contains("more than is left"));
}

TEST_CASE("an operation that undoes another's error counts as adding none") {
  Study study = two_ops();
  study.errors.added[{0, 1, Precision::fp8}] = -5e-7;
  const LayerPolicy policy = choose_precisions(study.classes, 0.0011, study.errors.function());
  CHECK(policy.precisions[0] == std::vector<Precision>{Precision::bf16, Precision::fp8});
  CHECK(policy.result.decisions[1].alternatives[1].added_error == 0);
}

TEST_CASE("where only one precision exists there is nothing to choose") {
  Study study;
  study.classes = {{"0-3", 4, 100, {{"up", {Precision::bf16}, {1000}}}}, {"head", 1, 50, {}}};
  const LayerPolicy policy = choose_precisions(study.classes, 0.5, study.errors.function());
  CHECK(policy.result.cycles == 4450);
  CHECK(policy.result.decisions.at(0).reason == "the chip has no other precision");
  CHECK(policy.result.curve.size() == 1);
}
