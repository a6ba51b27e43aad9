#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/cli/program.h"

using namespace tessera::test;
using nlohmann::json;

namespace {

constexpr const char* rows =
    "op,dtype,m,n,k,rows,cols,measured_us,source\n"
    "gemm,bf16,256,256,256,,,20,\"bench, one\"\n"
    "add,bf16,,,,512,1024,30,b\n"
    "gemm,bf16,512,256,256,,,25,c\n";

}  // namespace

TEST_CASE("validate gives the errors of each class as text and JSON") {
  const ScratchFolder folder;
  const std::string file = folder.write("rows.csv", rows);
  const Outcome text = run({"validate", "--chip", "toy", "--measured", file});
  INFO(text.out << text.err);
  REQUIRE(text.status == 0);
  CHECK(contains(text.out, "gemm bf16"));
  CHECK(contains(text.out, "fitted roofline"));
  CHECK(contains(text.out, "Worst rows of add bf16"));

  const Outcome outcome = run({"validate", "--chip", "toy", "--measured", file, "--json", "-"});
  REQUIRE(outcome.status == 0);
  const json report = json::parse(outcome.out);
  REQUIRE(report["classes"].size() == 2);
  CHECK(report["wall_s"].is_number());
  for (const json& one : report["classes"]) {
    for (const char* key : {"op", "dtype", "n", "mape", "median", "p90", "max", "bias"})
      CHECK(one.contains(key));
  }
  CHECK(report["classes"][0]["op"] == "gemm");
  CHECK(report["classes"][0]["n"] == 2);
  CHECK(report["classes"][1]["op"] == "add");

  // The fitted roofline of one row has not been tested; that of two has, on the second.
  CHECK(contains(text.out, "fitted roofline, other half          1  "));
  CHECK(contains(text.out,
                 "fitted roofline, other half          0        -        -        -        -"
                 "        -\n"));
  const json& untested = report["classes"][1]["fitted_roofline"];
  CHECK(untested["n"] == 0);
  for (const char* key : {"mape", "median", "p90", "max", "bias"}) {
    CHECK(untested[key].is_null());
    CHECK(report["classes"][0]["fitted_roofline"][key].is_number());
  }
}

TEST_CASE("validate adds predicted_us, error_pct and bound to each row, the same with any jobs") {
  const ScratchFolder folder;
  const std::string file = folder.write("rows.csv", rows);
  std::string first;
  for (const char* jobs : {"1", "3"}) {
    const std::string out = folder / "out.csv";
    REQUIRE(run({"validate", "--chip", "toy", "--measured", file, "--per-row", out, "--jobs", jobs})
                .status == 0);
    const std::string csv = folder.read("out.csv");
    if (first.empty()) first = csv;
    CHECK(csv == first);
  }
  std::istringstream lines(first);
  std::string line;
  std::getline(lines, line);
  CHECK(line == "op,dtype,m,n,k,rows,cols,measured_us,source,predicted_us,error_pct,bound");
  std::getline(lines, line);
  CHECK(line.rfind("gemm,bf16,256,256,256,,,20,\"bench, one\",", 0) == 0);
  // What it writes is a table again, and comes out the same.
  const std::string out = folder / "out.csv", again = folder / "again.csv";
  REQUIRE(run({"validate", "--chip", "toy", "--measured", out, "--per-row", again}).status == 0);
  CHECK(folder.read("again.csv") == first);
}

TEST_CASE("validate predicts what run predicts") {
  const ScratchFolder folder;
  const std::string file =
      folder.write("rows.csv", "op,dtype,m,n,k,measured_us\ngemm,bf16,256,256,256,20\n");
  REQUIRE(run({"validate", "--chip", "toy", "--measured", file, "--per-row", folder / "o.csv"})
              .status == 0);
  const json report = json::parse(
      run({"run", "--chip", "toy", "--op", "gemm m=256 n=256 k=256 dtype=bf16", "--json", "-"})
          .out);
  const std::string csv = folder.read("o.csv");
  const double predicted = std::stod(csv.substr(csv.find(",20,") + 4));
  CHECK(predicted == Approx(report["time_us"].get<double>()));
}

TEST_CASE("a row that makes no sense is refused with its line, and nothing is written") {
  const ScratchFolder folder;
  const std::string file = folder.write("rows.csv",
                                        "op,dtype,m,n,k,measured_us\n"
                                        "gemm,bf16,256,256,256,20\n"
                                        "gemm,bf16,256,,256,20\n"
                                        "hemm,bf16,256,256,256,20\n");
  const Outcome outcome =
      run({"validate", "--chip", "toy", "--measured", file, "--per-row", folder / "o.csv"});
  CHECK(outcome.status == 2);
  CHECK(contains(outcome.err, "rows.csv:3: "));
  CHECK(folder.names() == std::vector<std::string>{"rows.csv"});
  CHECK(run({"validate", "--chip", "toy"}).status == 2);
}
