#include "sim/validation/class_errors.h"

#include <catch2/catch.hpp>
#include <cmath>

namespace tessera {
namespace {

MeasuredRow row(const std::string& op, const std::string& dtype, double measured_us) {
  MeasuredRow made;
  made.op = op;
  made.fields = {{"dtype", dtype}};
  made.measured_us = measured_us;
  return made;
}

Prediction prediction(double us, double compute_us = 0, double memory_us = 0) {
  Prediction made;
  made.us = us;
  made.compute_us = compute_us;
  made.memory_us = memory_us;
  return made;
}

TEST_CASE("error statistics are those of the signed errors") {
  const ErrorStatistics s = error_statistics({-10, 20, -30, 40});
  CHECK(s.n == 4);
  CHECK(s.mape == 25);
  CHECK(s.median == 25);
  CHECK(s.p90 == 40);
  CHECK(s.max == 40);
  CHECK(s.bias == 5);
  CHECK(error_statistics({7}).median == 7);
  CHECK(error_statistics({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}).p90 == 9);
  CHECK(error_statistics({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}).p90 == 10);
  CHECK(error_statistics({}).n == 0);
}

TEST_CASE("classes are the rows of one operation and dtype, in order of appearance") {
  MeasuredTable table;
  table.rows = {row("gemm", "bf16", 10), row("add", "bf16", 10), row("gemm", "fp8", 10),
                row("gemm", "bf16", 20)};
  const auto classes =
      class_errors(table, {prediction(11), prediction(10), prediction(5), prediction(18)});
  REQUIRE(classes.size() == 3);
  CHECK(classes[0].op == "gemm");
  CHECK(classes[0].dtype == "bf16");
  CHECK(classes[0].rows == std::vector<std::size_t>{0, 3});
  CHECK(classes[0].simulator.mape == Approx(10));
  CHECK(classes[0].simulator.bias == Approx(0).margin(1e-9));
  CHECK(classes[1].op == "add");
  CHECK(classes[2].simulator.bias == Approx(-50));
}

TEST_CASE("the worst rows come first") {
  MeasuredTable table;
  std::vector<Prediction> predictions;
  for (int i = 0; i < 14; ++i) {
    table.rows.push_back(row("gemm", "bf16", 100));
    predictions.push_back(prediction(100 + (i % 2 == 0 ? i : -i)));
  }
  const auto classes = class_errors(table, predictions);
  REQUIRE(classes[0].worst.size() == 10);
  CHECK(classes[0].worst.front() == 13);
  CHECK(classes[0].worst[1] == 12);
  CHECK(classes[0].worst.back() == 4);
}

TEST_CASE("the fitted roofline finds the parameters that rows were made with, on the other half") {
  const FittedRoofline truth{0.75, 0.9, 4.0};
  MeasuredTable table;
  std::vector<Prediction> predictions;
  for (int i = 0; i < 200; ++i) {
    const double compute = std::pow(10, (i * 37 % 100) / 30.0);
    const double memory = std::pow(10, (i * 61 % 100) / 30.0);
    predictions.push_back(prediction(1, compute, memory));
    table.rows.push_back(row("gemm", "bf16", truth.us(predictions.back())));
  }
  const ClassErrors c = class_errors(table, predictions).front();
  CHECK(c.fitted.efficiency == Approx(0.75).epsilon(0.01));
  CHECK(c.fitted.bandwidth_share == Approx(0.9).epsilon(0.01));
  CHECK(c.fitted.overhead_us == Approx(4).epsilon(0.01));
  CHECK(c.fitted_roofline.n == 100);
  CHECK(c.fitted_roofline.mape < 0.5);
  CHECK(c.roofline.bias < -10);
}

}  // namespace
}  // namespace tessera
