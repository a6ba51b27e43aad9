#include "sim/validation/validation_report.h"

#include <catch2/catch.hpp>

using namespace tessera;
using Catch::Contains;

TEST_CASE("figures stand in columns, with an exponent where they would touch") {
  CHECK(error_cells(error_statistics({10, -20}), 1) ==
        "     2     15.0     15.0     20.0     20.0     -5.0");
  CHECK(error_cells(error_statistics({-99999.9}), 1) ==
        "     1  99999.9  99999.9  99999.9  99999.9 -99999.9");
  CHECK(error_cells(error_statistics({999999.9}), 1) ==
        "     1 999999.9 999999.9 999999.9 999999.9 +1.0e+06");
  CHECK(error_cells(error_statistics({2.5e14}), 2) ==
        "     1  2.5e+14  2.5e+14  2.5e+14  2.5e+14 +2.5e+14");
  CHECK(error_cells({}, 1) == "     0        -        -        -        -        -");
}

TEST_CASE("times and errors of any size stay apart in the list of worst rows") {
  MeasuredTable table;
  MeasuredRow row;
  row.line = 2;
  row.op = "gemm";
  row.measured_us = least_measured_us;
  table.rows = {row, row};
  table.rows[1].measured_us = most_measured_us;
  std::vector<Prediction> predictions(2);
  predictions[0].us = 123456.78;
  predictions[1].us = 2e12;
  const std::string text = validation_table(table, predictions, class_errors(table, predictions));
  CHECK_THAT(text, Contains("         0.00    123456.78 +1.2e+10  "));
  CHECK_THAT(text, Contains("      1.0e+12      2.0e+12   +100.0  "));
}
