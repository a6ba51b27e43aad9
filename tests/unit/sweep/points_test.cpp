#include "sim/sweep/points.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <set>
#include <string>

#include "sim/sweep/plan.h"

namespace tessera {
namespace {

const DataFolders folders{{TESSERA_SOURCE_DIR "/configs/chips"}, {TESSERA_SOURCE_DIR "/models"}};

const std::string head = R"(chip: toy
workload: {op: gemm m=256 n=256 k=256 dtype=bf16}
)";

SweepFile parse(const std::string& text) { return parse_sweep(head + text, "s.yaml"); }

SweepPoints points_of(const SweepFile& sweep) { return PointBuilder(sweep, folders).points(); }

std::vector<std::string> column(const SweepPoints& points, std::size_t c) {
  std::vector<std::string> texts;
  for (const SweepPoint& point : points.points) texts.push_back(point.values[c].text);
  return texts;
}

std::string refusal(const std::string& text) {
  const SweepFile sweep = parse(text);
  try {
    points_of(sweep);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("a grid has every combination, the last axis changing fastest") {
  const SweepFile sweep = parse("axes: {l2.size_mib: [1, 2], batch: [1, 4, 8]}\n");
  const SweepPoints points = points_of(sweep);
  CHECK(column(points, 0) == std::vector<std::string>{"1", "1", "1", "2", "2", "2"});
  CHECK(column(points, 1) == std::vector<std::string>{"1", "4", "8", "1", "4", "8"});
  CHECK(points.points[5].id == 6);
  CHECK(points.points[5].values[1].number == 8);
}

TEST_CASE("zip takes the first of every axis, then the second") {
  const SweepFile sweep =
      parse("axes: {l2.size_mib: [1, 2], hbm.bandwidth_gbps: [30, 40]}\nsampling: zip\n");
  const SweepPoints points = points_of(sweep);
  CHECK(column(points, 0) == std::vector<std::string>{"1", "2"});
  CHECK(column(points, 1) == std::vector<std::string>{"30", "40"});
}

TEST_CASE("random points depend on the seed alone and stay in their ranges") {
  const auto drawn = [](int seed) {
    const SweepFile sweep = parse(
        "axes: {l2.size_mib: {from: 2, to: 64, multiple: 2, scale: log}, batch: [1, 4]}\n"
        "sampling: {method: random, points: 200, seed: " +
        std::to_string(seed) + "}\n");
    return points_of(sweep);
  };
  const SweepPoints first = drawn(1);
  REQUIRE(first.points.size() == 200);
  CHECK(column(first, 0) == column(drawn(1), 0));
  CHECK(column(first, 0) != column(drawn(2), 0));
  std::set<std::string> batches;
  for (const SweepPoint& point : first.points) {
    const double size = point.values[0].number;
    CHECK((size >= 2 && size <= 64));
    CHECK(static_cast<int>(size) % 2 == 0);
    batches.insert(point.values[1].text);
  }
  CHECK(batches == std::set<std::string>{"1", "4"});
}

TEST_CASE("a latin hypercube visits every stratum of every axis once") {
  const SweepFile sweep = parse(
      "axes: {launch.gap_us: {from: 0, to: 20}, clock.core_mhz: {from: 1000, to: 1200}, batch: [1, "
      "2, 4, 8]}\nsampling: {method: latin-hypercube, points: 20, seed: 5}\n");
  const SweepPoints points = points_of(sweep);
  std::set<int> gaps, clocks;
  for (const SweepPoint& point : points.points) {
    gaps.insert(static_cast<int>(point.values[0].number));
    clocks.insert(static_cast<int>((point.values[1].number - 1000) / 10));
  }
  CHECK(gaps.size() == 20);
  CHECK(clocks.size() == 20);
  const auto batches = column(points, 2);
  for (const char* batch : {"1", "2", "4", "8"})
    CHECK(std::count(batches.begin(), batches.end(), batch) == 5);
  // The axes are shuffled apart.
  std::vector<double> first, second;
  for (const SweepPoint& point : points.points) {
    first.push_back(point.values[0].number / 20);
    second.push_back((point.values[1].number - 1000) / 200);
  }
  CHECK(first != second);
}

TEST_CASE("constraints leave points out, by axes, settings and keys of the chip itself") {
  const SweepFile sweep = parse(R"(axes: {l2.size_mib: [1, 2, 4, 8]}
skip_if: [l2.size_mib * 2 > 10, l2.size_mib == core.count * 0 + 1]
)");
  const SweepPoints points = points_of(sweep);
  CHECK(column(points, 0) == std::vector<std::string>{"2", "4"});
  CHECK(points.skipped == 2);
  CHECK(points.points[1].id == 2);
  CHECK(refusal("axes: {batch: [1, 2]}\nskip_if: batch > 0\n") ==
        "s.yaml:4: skip_if: skips all 2 points; loosen it");
  CHECK(refusal("axes: {past: [0, 2]}\nskip_if: past / past\n") ==
        "s.yaml:4: skip_if: is not a number where past=0; check the expression for this point");
}

TEST_CASE("a derived parameter follows the others, those before it included") {
  const SweepFile sweep = parse(R"(axes: {core.count: [2, 4]}
derive:
  clock.core_mhz: 4000 / core.count
  power.cap_w: power.cap_w * 0 + clock.core_mhz / 2
)");
  PointBuilder builder(sweep, folders);
  const SweepPoints points = builder.points();
  CHECK(column(points, 1) == std::vector<std::string>{"2000", "1000"});
  CHECK(column(points, 2) == std::vector<std::string>{"1000", "500"});
  const ChipConfig chip = builder.chip(points.points[1]);
  CHECK(chip.core.count == 4);
  CHECK(chip.clock.core_mhz == 1000);
  CHECK(chip.power.cap_w == 500);
}

TEST_CASE("a derived value that its parameter cannot take is refused with the point") {
  CHECK(refusal("axes: {batch: [2, 3]}\nderive: {core.count: 7 / batch}\n") ==
        "s.yaml:4: core.count: is 3.5 where batch=2; a whole number is wanted: write round(...)");
  CHECK(refusal("axes: {batch: [2]}\nderive: {core.count: batch - 2}\n")
            .find("s.yaml:4: core.count: is 0 where batch=2; give 1 to") == 0);
  CHECK(refusal("axes: {batch: [2]}\nderive: {clock.core_mhz: 1 / (batch - 2)}\n")
            .find("s.yaml:4: clock.core_mhz: is inf where batch=2") == 0);
}

TEST_CASE("a chip that does not exist is refused where the sweep names it") {
  const SweepFile sweep = parse_sweep(
      "chip: toi\nworkload: {op: gemm m=256 n=256 k=256 dtype=bf16}\n"
      "axes: {l2.size_mib: [1]}\nskip_if: core.count < 1\n",
      "s.yaml");
  try {
    points_of(sweep);
    FAIL("accepted");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()).find("s.yaml:1: --chip: no chip 'toi'") == 0);
  }
}

TEST_CASE("equal points have equal digests, and whatever their result depends on changes it") {
  const SweepFile sweep = parse("axes: {l2.size_mib: [1, 2, 1]}\n");
  PointBuilder builder(sweep, folders);
  const SweepPoints points = builder.points();
  const auto digest = [&](std::size_t i) { return builder.digest(points.points[i], "1.0"); };
  CHECK(digest(0) == digest(2));
  CHECK(digest(0) != digest(1));
  CHECK(digest(0) != builder.digest(points.points[0], "1.1"));

  const SweepFile studied = parse("axes: {l2.size_mib: [1]}\nnumerical_error: true\n");
  PointBuilder other(studied, folders);
  CHECK(other.digest(other.points().points[0], "1.0") != digest(0));

  const SweepFile larger = parse_sweep(
      "chip: toy\nworkload: {op: gemm m=256 n=256 k=512 dtype=bf16}\naxes: {l2.size_mib: [1]}\n",
      "s.yaml");
  PointBuilder third(larger, folders);
  CHECK(third.digest(third.points().points[0], "1.0") != digest(0));
}

TEST_CASE("the recipe is part of a point only where numbers are studied") {
  const auto digests = [](const std::string& more) {
    const SweepFile sweep = parse("axes: {recipe: [own, token]}\n" + more);
    PointBuilder builder(sweep, folders);
    std::set<std::string> all;
    for (const SweepPoint& point : builder.points().points)
      all.insert(builder.digest(point, "1.0"));
    return all.size();
  };
  CHECK(digests("") == 1);
  CHECK(digests("numerical_error: true\n") == 2);
}

TEST_CASE("a plan records why a point is invalid and refuses a sweep without a valid one") {
  const SweepFile sweep = parse("axes: {clock.min_mhz: [100, 90000]}\n");
  PointBuilder builder(sweep, folders);
  const SweepPlan plan = make_plan(sweep, builder, "1.0");
  CHECK(plan.messages[0].empty());
  CHECK(plan.messages[1].find("clock.min_mhz") == 0);
  CHECK(plan.digests[1].empty());

  const SweepFile none = parse("axes: {clock.min_mhz: [80000, 90000]}\n");
  PointBuilder other(none, folders);
  CHECK_THROWS_AS(make_plan(none, other, "1.0"), InputError);
}

TEST_CASE("two plans are the same only if points, metrics and version are") {
  const auto plan_digest = [](const std::string& text, const std::string& version) {
    const SweepFile sweep = parse(text);
    PointBuilder builder(sweep, folders);
    return make_plan(sweep, builder, version).digest;
  };
  const std::string axes = "axes: {l2.size_mib: [1, 2]}\n";
  const std::string first = plan_digest(axes, "1.0");
  CHECK(plan_digest("# a comment\ntitle: another\n" + axes, "1.0") == first);
  CHECK(plan_digest(axes, "1.1") != first);
  CHECK(plan_digest("axes: {l2.size_mib: [1, 4]}\n", "1.0") != first);
  CHECK(plan_digest(axes + "metrics: {area: l2.size_mib}\n", "1.0") != first);
  CHECK(plan_digest(axes + "set: {hbm.bandwidth_gbps: 77}\n", "1.0") != first);
}

TEST_CASE("every sweep that comes with the program makes sense, point by point") {
  std::size_t files = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(TESSERA_SOURCE_DIR "/configs/sweeps")) {
    INFO(entry.path().string());
    ++files;
    const SweepFile sweep = read_sweep_file(entry.path().string());
    CHECK_FALSE(sweep.question.empty());
    PointBuilder builder(sweep, folders);
    const SweepPlan plan = make_plan(sweep, builder, "1.0");
    for (const std::string& message : plan.messages) CHECK(message.empty());
  }
  CHECK(files >= 5);
}

}  // namespace
}  // namespace tessera
