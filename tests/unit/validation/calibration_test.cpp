#include "sim/validation/calibration.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "sim/config/loader.h"

using namespace tessera;
using Catch::Contains;

namespace {

const std::vector<std::string> chips = {std::string(TESSERA_SOURCE_DIR) + "/configs/chips"};

/// A small chip, so that a prediction takes a millisecond, with links.
ChipConfig linked_toy(const std::vector<std::string>& more = {}) {
  std::vector<std::string> overrides = {"link.bandwidth_gbps=450",
                                        "link.latency_us=0.7",
                                        "collective.start_us=4",
                                        "collective.buffered_share=0.8",
                                        "collective.buffered_start_us=15",
                                        "collective.flagged_line_share=0.3",
                                        "collective.flagged_word_share=0.02"};
  overrides.insert(overrides.end(), more.begin(), more.end());
  return load_chip("toy", overrides, chips);
}

/// All-gathers of several sizes, and the times that `chip` takes for them.
MeasuredTable measured_on(const ChipConfig& chip) {
  MeasuredTable table;
  table.file = "synthetic.csv";
  int line = 2;
  for (const char* ranks : {"2", "4", "8"}) {
    for (const int kib : {1, 64, 65536}) {
      MeasuredRow row;
      row.line = line++;
      row.op = "allgather";
      row.fields = {{"dtype", "bf16"}, {"ranks", ranks}, {"bytes", std::to_string(kib * 1024)}};
      row.measured_us = 1;
      table.rows.push_back(row);
    }
  }
  const std::vector<Prediction> times = predict(table, chip, {});
  for (std::size_t i = 0; i < times.size(); ++i) table.rows[i].measured_us = times[i].us;
  return table;
}

std::string complaint(const std::vector<std::string>& texts, const ChipConfig& chip) {
  try {
    fitted_keys(texts, chip);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("calibration finds the numbers of the chip that was measured") {
  const ChipConfig start = linked_toy();
  const ChipConfig truth = linked_toy(
      {"collective.start_us=5.5", "link.latency_us=0.9", "collective.buffered_share=0.7"});
  const MeasuredTable table = measured_on(truth);
  const std::vector<FittedKey> keys =
      fitted_keys({"collective.start_us", "link.latency_us", "collective.buffered_share"}, start);
  CalibrationOptions options;
  options.folds = 2;
  options.most_evaluations = 30;
  const Calibration result = calibrate({table}, start, keys, options);
  CHECK(result.rows == table.rows.size());
  CHECK(result.error_before.mape > 5);
  CHECK(result.error_after.mape < 1);
  CHECK(result.error_held_out.mape < 0.5 * result.error_before.mape);
  CHECK(result.error_held_out.n == table.rows.size());
  CHECK(result.chip.collective.start_us == Approx(5.5).epsilon(0.05));
  CHECK(result.chip.link.latency_us == Approx(0.9).epsilon(0.05));
  CHECK(result.chip.collective.buffered_share == Approx(0.7).epsilon(0.05));

  const std::string yaml = calibrated_yaml(result, {table}, "toy", start, "1.2.3", options.seed);
  CHECK_THAT(yaml, Contains("synthetic.csv (9 rows)"));
  CHECK_THAT(yaml, Contains("fitted to 9 of 9 rows, seed 1"));
  CHECK_THAT(yaml, Contains("2-fold cross-validation"));
  CHECK_THAT(yaml, Contains("\nbase: toy\n"));
  CHECK_THAT(yaml, Contains(fmt::format("  latency_us: {}  # fitted; was 0.7, searched from 0.4",
                                        result.chip.link.latency_us)));
}

TEST_CASE("calibration is the same for the same seed and any number of jobs, one key alone") {
  const ChipConfig start = linked_toy();
  const MeasuredTable table = measured_on(linked_toy({"collective.start_us=2.5"}));
  CalibrationOptions options;
  options.most_rows = 6;
  options.folds = 2;
  options.most_evaluations = 9;
  const auto keys = fitted_keys({"collective.start_us=1:6"}, start);
  const Calibration one = calibrate({table}, start, keys, options);
  options.prediction.jobs = 3;
  const Calibration three = calibrate({table}, start, keys, options);
  CHECK(one.rows == 6);
  CHECK(one.measured == 9);
  CHECK(one.after == three.after);
  CHECK(one.error_held_out.mape == three.error_held_out.mape);
  CHECK(one.after[0] == Approx(2.5).margin(0.3));
  CHECK(one.error_after.mape <= one.error_before.mape);
}

TEST_CASE("a fit that finds nothing better than the chip's own values keeps them") {
  const ChipConfig start = linked_toy();
  MeasuredTable table = measured_on(start);
  // No table holds such a time: every loss is infinite.
  table.rows.front().measured_us = 1e-310;
  CalibrationOptions options;
  options.folds = 2;
  options.most_evaluations = 7;
  const auto keys = fitted_keys({"collective.start_us", "link.latency_us"}, start);
  const Calibration result = calibrate({table}, start, keys, options);
  CHECK(result.after == result.before);
  CHECK(result.after == std::vector<double>{4, 0.7});
}

TEST_CASE("with fewer rows than folds each row is one, and a note says so") {
  const ChipConfig start = linked_toy();
  MeasuredTable table = measured_on(linked_toy({"collective.start_us=2.5"}));
  const auto keys = fitted_keys({"collective.start_us"}, start);
  CalibrationOptions options;
  options.most_evaluations = 9;
  const auto of_rows = [&](std::size_t rows, int folds) {
    options.most_rows = rows;
    options.folds = folds;
    return calibrate({table}, start, keys, options);
  };
  const Calibration six = of_rows(6, 7);
  CHECK(six.folds == 6);
  CHECK(six.error_held_out.n == 6);
  const std::string note = "there are 6 rows: the cross-validation has 6 folds, not 7";
  CHECK(six.notes == std::vector<std::string>{note});
  CHECK_THAT(calibrated_yaml(six, {table}, "toy", start, "1.2.3", 1),
             Contains("\n#   note: " + note + "\nbase: toy\n"));
  CHECK(of_rows(6, 6).notes.empty());
  const Calibration one = of_rows(1, 5);
  CHECK(one.folds == 0);
  REQUIRE(one.notes.size() == 1);
  CHECK_THAT(one.notes[0], Contains("there is no cross-validation"));
  CHECK(of_rows(1, 0).notes.empty());
}

TEST_CASE("a note says when rows held out are predicted worse than before the fit") {
  const ChipConfig start = linked_toy();
  MeasuredTable table = measured_on(start);
  table.rows.resize(2);
  // No start fits both: the fit to the second moves the first away from its own.
  table.rows[1].measured_us *= 1.3;
  CalibrationOptions options;
  options.folds = 2;
  options.most_evaluations = 20;
  const auto keys = fitted_keys({"collective.start_us"}, start);
  const Calibration result = calibrate({table}, start, keys, options);
  CHECK(result.error_held_out.mape > result.error_before.mape);
  REQUIRE(result.notes.size() == 1);
  CHECK_THAT(result.notes[0], Contains("predicted worse than before the fit"));
}

TEST_CASE("a note says when there are too few evaluations for the optimiser's first model") {
  const ChipConfig start = linked_toy();
  const MeasuredTable table = measured_on(start);
  CalibrationOptions options;
  options.folds = 0;
  const auto with = [&](const std::vector<std::string>& keys, int evaluations) {
    options.most_evaluations = evaluations;
    return calibrate({table}, start, fitted_keys(keys, start), options).notes;
  };
  const std::vector<std::string> two = {"collective.start_us", "link.latency_us"};
  REQUIRE(with(two, 4).size() == 1);
  CHECK_THAT(with(two, 4)[0], Contains("4 evaluations are fewer than the 5"));
  CHECK(with(two, 5).empty());
  CHECK(with({"link.latency_us"}, 2).empty());
}

TEST_CASE("what is to be fitted has to be a number of the chip within a range") {
  const ChipConfig chip = load_chip("h100-sxm", {}, chips);
  CHECK_THAT(complaint({"launch.gap"}, chip), Contains("did you mean 'launch.gap_us'?"));
  CHECK_THAT(complaint({"name"}, chip), Contains("name is not a quantity"));
  CHECK_THAT(complaint({"dma.multicast"}, chip), Contains("is not a quantity"));
  CHECK_THAT(complaint({"core.count"}, chip), Contains("give core.count=LOW:HIGH"));
  CHECK_THAT(complaint({"launch.gap_us", "launch.gap_us"}, chip), Contains("stands twice"));
  CHECK_THAT(complaint({"launch.gap_us=1"}, chip), Contains("'1' is not a range"));
  CHECK_THAT(complaint({"launch.gap_us=1:b"}, chip), Contains("'b' is not a number"));
  CHECK_THAT(complaint({"launch.gap_us=2:1"}, chip), Contains("there is nothing in 2:1"));
  CHECK_THAT(complaint({"launch.gap_us=2:3"}, chip), Contains("the chip's 1.3 is outside 2 to 3"));
  CHECK(fitted_keys({"core.count=100:140"}, chip)[0].high == 140);
}

TEST_CASE("the keys fitted by default are those the operations depend on, in plausible ranges") {
  const ChipConfig chip = load_chip("h100-sxm", {}, chips);
  const auto names = [&](const char* field, const ChipConfig& on) {
    MeasuredTable table;
    table.rows.resize(1);
    table.rows[0].fields = {{field, "8"}};
    std::string all;
    for (const FittedKey& fitted : default_fitted_keys({table}, on)) {
      CHECK(fitted.low < fitted.high);
      all += fitted.key->name + " ";
    }
    return all;
  };
  CHECK_THAT(names("m", chip), Contains("tensor_core.issue_cycles") && !Contains("collective"));
  CHECK_THAT(names("rows", chip), Contains("launch.gap_us") && !Contains("tensor_core"));
  CHECK_THAT(names("ranks", chip), Contains("in_switch_share") && !Contains("launch"));
  ChipConfig other = chip;
  other.collective.in_switch = 0;
  other.launch.gap_us = 100;
  CHECK_THAT(names("ranks", other), !Contains("in_switch"));
  CHECK_THAT(names("m", other), !Contains("launch.gap_us"));
}
