#include "sim/sweep/sweep_file.h"

#include <catch2/catch.hpp>
#include <string>

namespace tessera {
namespace {

const std::string small = R"(title: a sweep
chip: toy
set:
  hbm.bandwidth_gbps: 100
workload: {op: gemm m=256 n=256 k=256 dtype=bf16}
axes:
  l2.size_mib: [1, 2, 4]
  clock.core_mhz: {from: 500, to: 2000, steps: 4}
)";

SweepFile parse(const std::string& text) { return parse_sweep(text, "s.yaml"); }

std::string refusal(const std::string& text) {
  try {
    parse(text);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

/// `small` with one piece replaced.
std::string with(const std::string& old_text, const std::string& new_text) {
  std::string text = small;
  const std::size_t at = text.find(old_text);
  REQUIRE(at != std::string::npos);
  return text.replace(at, old_text.size(), new_text);
}

TEST_CASE("a sweep file says what is fixed, what varies and how it is drawn") {
  const SweepFile sweep = parse(small + R"(derive:
  power.cap_w: 100 + clock.core_mhz / 10
sampling: {method: latin-hypercube, points: 7, seed: 9}
skip_if: [l2.size_mib > 3, clock.core_mhz < 600]
metrics:
  area: l2.size_mib * 2
objectives: {time_us: min, tflops: max}
limits: {timeout_s: 2.5, memory_mib: 512}
)");
  CHECK(sweep.title == "a sweep");
  REQUIRE(sweep.settings.size() == 3);
  CHECK(sweep.settings[1].name == "hbm.bandwidth_gbps");
  REQUIRE(sweep.axes.size() == 2);
  CHECK(sweep.axes[0].values == std::vector<std::string>{"1", "2", "4"});
  CHECK(sweep.axes[1].range->steps == 4);
  CHECK(sweep.derived[0].parameter.name == "power.cap_w");
  CHECK(sweep.sampling.method == SamplingMethod::latin_hypercube);
  CHECK(sweep.sampling.points == 7);
  CHECK(sweep.sampling.seed == 9);
  CHECK(sweep.skip_if.size() == 2);
  CHECK(sweep.metrics[0].name == "area");
  REQUIRE(sweep.objectives.size() == 2);
  CHECK(sweep.objectives[1].metric == "tflops");
  CHECK_FALSE(sweep.objectives[1].minimise);
  CHECK(sweep.timeout_s == 2.5);
  CHECK(sweep.memory_mib == 512);
  CHECK_FALSE(sweep.numerical_error);
}

TEST_CASE("an axis may be an objective: what a designer pays with") {
  const SweepFile sweep = parse(small + "objectives: {time_us: min, l2.size_mib: min}\n");
  CHECK(sweep.objectives[1].metric == "l2.size_mib");
}

TEST_CASE("time and energy are the objectives of a sweep that names none") {
  const SweepFile sweep = parse(small);
  REQUIRE(sweep.objectives.size() == 2);
  CHECK(sweep.objectives[0].metric == "time_us");
  CHECK(sweep.objectives[1].metric == "energy_j");
}

TEST_CASE("the numerical error is studied where an objective or a metric asks for it") {
  CHECK(parse(small + "objectives: {time_us: min, error: min}\n").numerical_error);
  CHECK(parse(small + "metrics: {bits: -log2(error)}\n").numerical_error);
  CHECK(parse(small + "numerical_error: true\n").numerical_error);
  CHECK(refusal(small + "objectives: {error: min}\nnumerical_error: false\n")
            .find("s.yaml:10: numerical_error: false, but") == 0);
}

TEST_CASE("the steps of a range are evenly spaced, in the logarithm if asked, and rounded") {
  AxisRange range{100, 1600, 5, false, 0};
  CHECK(range.at(0.5, true) == 850);
  range.logarithmic = true;
  CHECK(range.at(0.5, true) == 400);
  range.multiple = 150;
  CHECK(range.at(0.5, true) == 450);
  const std::string clock = "clock.core_mhz: {from: 500, to: 2000, steps: 4}";
  const Axis axis = parse(with(clock, "launch.gap_us: {from: 0.1, to: 0.4, steps: 4}")).axes[1];
  CHECK(axis.steps() == std::vector<std::string>{"0.1", "0.2", "0.3", "0.4"});
  const Axis whole = parse(with(clock, "core.count: {from: 2, to: 4, steps: 9}")).axes[1];
  CHECK(whole.steps() == std::vector<std::string>{"2", "3", "4"});
}

TEST_CASE("every mistake of a sweep file is refused with file, line and key") {
  CHECK(refusal(with("l2.size_mib", "l2.size_mb")) ==
        "s.yaml:7: l2.size_mb: no such key of a chip or a workload; did you mean 'l2.size_mib'?");
  CHECK(refusal(with("[1, 2, 4]", "[1, 2.5]")).find("s.yaml:7: l2.size_mib:") == 0);
  CHECK(refusal(with("[1, 2, 4]", "[]")) ==
        "s.yaml:7: l2.size_mib: an empty list; give the values to try");
  CHECK(refusal(with("[1, 2, 4]", "4")).find("s.yaml:7: l2.size_mib: a single value") == 0);
  CHECK(refusal(with("steps: 4", "stepps: 4")) ==
        "s.yaml:8: clock.core_mhz.stepps: unknown key; did you mean 'steps'?");
  CHECK(refusal(with(", steps: 4", "")).find("s.yaml:8: clock.core_mhz.steps: missing") == 0);
  CHECK(refusal(with("from: 500, to: 2000", "from: 2000, to: 500"))
            .find("s.yaml:8: clock.core_mhz: from is not below to") == 0);
  CHECK(refusal(with("axes:", "axis:")).find("s.yaml:6: axis: unknown key; did you mean 'axes'?") ==
        0);
  CHECK(refusal(with("hbm.bandwidth_gbps: 100", "batch: 3"))
            .find("s.yaml:4: batch: not a key of the chip") == 0);
  CHECK(refusal(with("hbm.bandwidth_gbps: 100", "l2.size_mib: 3"))
            .find("s.yaml:7: l2.size_mib: given twice, first in line 4") == 0);
  CHECK(refusal(small + "sampling: {method: randm, points: 3}\n")
            .find("s.yaml:9: sampling: there is no method 'randm'; did you mean 'random'?") == 0);
  CHECK(refusal(small + "sampling: random\n").find("s.yaml:9: sampling.points: missing") == 0);
  CHECK(refusal(small + "sampling: {method: grid, points: 3}\n")
            .find("s.yaml:9: sampling.points: given with grid") == 0);
  CHECK(refusal(small + "sampling: zip\n")
            .find("s.yaml:8: clock.core_mhz: 4 values where l2.size_mib has 3") == 0);
  CHECK(refusal(small + "skip_if: l2.size_mb > 2\n").find("s.yaml:9: skip_if: there is no") == 0);
  CHECK(refusal(small + "derive: {l2.size_mib: 3 * 4}\n")
            .find("s.yaml:9: l2.size_mib: is an axis, too") == 0);
  CHECK(refusal(small + "metrics: {time_us: 3}\n").find("s.yaml:9: time_us: is taken") == 0);
  CHECK(refusal(small + "metrics: {Area: 3}\n").find("s.yaml:9: Area: not a name") == 0);
  CHECK(refusal(small + "objectives: {time_ms: min}\n")
            .find("s.yaml:9: time_ms: no such metric or axis; did you mean 'time_us'?") == 0);
  CHECK(refusal(small + "objectives: {time_us: small}\n")
            .find("s.yaml:9: time_us: 'small' is no goal; give min or max") == 0);
  CHECK(refusal(small + "limits: {timeout_s: fast}\n").find("s.yaml:9: limits.timeout_s:") == 0);
  CHECK(refusal(small + "title: again\n").find("s.yaml:9: title: given twice, first in line 1") ==
        0);
}

TEST_CASE("a workload's words and numbers are checked before anything runs") {
  const auto axis = [](const std::string& line) {
    return refusal(with("l2.size_mib: [1, 2, 4]", line));
  };
  CHECK(axis("phase: [prefil]").find("s.yaml:7:") == 0);
  CHECK(axis("precision: [fp9]").find("s.yaml:7:") == 0);
  CHECK(axis("recipe: [tokens]")
            .find("s.yaml:7: recipe: there is no recipe 'tokens'; did you "
                  "mean 'token'?") == 0);
  CHECK(axis("batch: [0]").find("s.yaml:7: batch: '0' is out of range") == 0);
  CHECK(axis("batch: [many]").find("s.yaml:7: batch: 'many' is not a whole number") == 0);
  CHECK(axis("model: {from: 1, to: 2, steps: 2}").find("s.yaml:7: model: a range of texts") == 0);
}

TEST_CASE("what is no sweep file is refused quickly") {
  CHECK(refusal("").find("the file is empty") != std::string::npos);
  CHECK(refusal("- a\n- b\n").find("s.yaml:1: not a sweep file") == 0);
  CHECK(refusal("a: [1, 2\n").find("not YAML") != std::string::npos);
  CHECK(refusal("a: &x 1\nb: *x\n").find("anchors") != std::string::npos);
  CHECK(refusal("a: !!binary x\n").find("a YAML tag") != std::string::npos);
  CHECK(refusal(std::string(100000, '[')).find("nested more than") != std::string::npos);
  CHECK(refusal(std::string(2 << 20, 'a')).find("too long for a sweep file") != std::string::npos);
  CHECK(refusal("a: 1\n---\nb: 2\n").find("a second document") != std::string::npos);
  CHECK(refusal("a: 1\x01\n").find("control character") != std::string::npos);
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  CHECK(refusal(deep + std::string(40, ' ') + "b: 1\n").find("nested too deep") !=
        std::string::npos);
}

TEST_CASE("a grid that is too large is refused with its size") {
  const std::string huge =
      with("[1, 2, 4]", "{from: 1, to: 1000, steps: 1000}") + "sampling: grid\n";
  CHECK(refusal(with("[1, 2, 4]\n  clock.core_mhz: {from: 500, to: 2000, steps: 4}",
                     "{from: 1, to: 1000, steps: 1000}\n  clock.core_mhz: {from: 500, to: 2000, "
                     "steps: 2000}"))
            .find("a grid of 2e+06 points") != std::string::npos);
  CHECK(refusal(huge) == "accepted");
}

}  // namespace
}  // namespace tessera
