#include "sim/validation/measured_table.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "sim/base/error.h"

namespace tessera {
namespace {

using Catch::Contains;

/// A CSV file that is removed at the end.
class Table {
 public:
  explicit Table(const std::string& text)
      : path_((std::filesystem::temp_directory_path() /
               ("tessera-measured-" + std::to_string(::getpid()) + ".csv"))
                  .string()) {
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~Table() { std::remove(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string error_of(const std::string& text) {
  const Table table(text);
  try {
    read_measured(table.path());
  } catch (const InputError& e) {
    return std::string(e.what()).substr(table.path().size());
  }
  return "no error";
}

TEST_CASE("a row's source says whether it times kernels alone, and whether after a flush") {
  MeasuredRow row;
  row.source = "cuda graph of 20, H100 SXM";
  CHECK_FALSE(row.is_kernel_time());
  CHECK_FALSE(row.is_after_flush());
  row.source = "profiler, kernel-only";
  CHECK(row.is_kernel_time());
  CHECK_FALSE(row.is_after_flush());
  row.source = "logs/deepgemm.txt:12";
  CHECK(row.is_kernel_time());
  CHECK(row.is_after_flush());
}

TEST_CASE("a row's source says on how many copies it was repeated") {
  MeasuredRow row;
  row.op = "linear";
  CHECK(row.copies() == 0);
  row.source = "ai-dynamo/aiconfigurator@095f58a5 h100_sxm: median of serving stacks, CUDA graph";
  CHECK(row.copies() == 6);
  row.op = "gemm";
  CHECK(row.copies() == 6);
  row.op = "attention";
  CHECK(row.copies() == 1);
}

TEST_CASE("a measured table gives the operation, its fields, the time and the source") {
  const Table file(
      "op,dtype,m,n,k,batch,measured_us,source\n"
      "gemm,bf16,64,128,256,,3.25,\"a, b\"\n"
      "\r\n"
      "gemm,fp8,1,2,3,,1e3,\"say \"\"so\"\"\"\n");
  const MeasuredTable table = read_measured(file.path());
  REQUIRE(table.rows.size() == 2);
  const MeasuredRow& row = table.rows.front();
  CHECK(row.line == 2);
  CHECK(row.op == "gemm");
  CHECK(row.fields == OpFields{{"dtype", "bf16"}, {"m", "64"}, {"n", "128"}, {"k", "256"}});
  CHECK(row.measured_us == 3.25);
  CHECK(row.source == "a, b");
  CHECK(row.field("n") == "128");
  CHECK(row.field("batch").empty());
  CHECK(table.rows.back().line == 4);
  CHECK(table.rows.back().source == "say \"so\"");
  CHECK(table.rows.back().measured_us == 1000);
}

TEST_CASE("a byte order mark before the header is no part of it") {
  const Table file("\xEF\xBB\xBFop,m,measured_us\ngemm,64,3\n");
  const MeasuredTable table = read_measured(file.path());
  CHECK(table.columns.front() == "op");
  CHECK(table.rows.front().op == "gemm");
}

TEST_CASE("columns that an earlier validation has added are ignored") {
  const Table file(
      "op,predicted_us,m,measured_us,error_pct,bound\n"
      "gemm,2.5,64,3,-16.7,compute\n");
  const MeasuredTable table = read_measured(file.path());
  CHECK(table.columns == std::vector<std::string>{"op", "m", "measured_us"});
  REQUIRE(table.rows.size() == 1);
  CHECK(table.rows[0].cells == std::vector<std::string>{"gemm", "64", "3"});
  CHECK(table.rows[0].fields == OpFields{{"m", "64"}});
  CHECK(table.rows[0].measured_us == 3);
  CHECK_THAT(error_of("op,m,measured_us,bound,bound\ngemm,1,1,l2,l2\n"),
             Contains(":1: bound: is a column twice"));
  CHECK_THAT(error_of("op,m,measured_us,bound\ngemm,1,1\n"),
             Contains(":2: has 3 fields, the header 4"));
}

TEST_CASE("a measured table that is wrong is refused with its line") {
  CHECK_THAT(error_of(""), Contains("is empty"));
  CHECK_THAT(error_of("op,dtype,m\ngemm,bf16,1\n"), Contains(":1: measured_us: is missing"));
  CHECK_THAT(error_of("op,dtipe,measured_us\ngemm,bf16,1\n"),
             Contains(":1: dtipe: is no column") && Contains("did you mean 'dtype'"));
  CHECK_THAT(error_of("op,m,m,measured_us\ngemm,1,1,1\n"), Contains(":1: m: is a column twice"));
  CHECK_THAT(error_of("op,m,measured_us\ngemm,1\n"), Contains(":2: has 2 fields, the header 3"));
  CHECK_THAT(error_of("op,m,measured_us\n"), Contains("no rows"));
  for (const char* time : {"0", "-1", "nan", "inf", "fast", "", "1 us"}) {
    INFO(time);
    CHECK_THAT(error_of(std::string("op,m,measured_us\ngemm,1,") + time + "\n"),
               Contains(":2: measured_us: '" + std::string(time) + "' is not a time"));
  }
  for (const char* time : {"1e-310", "0.00099", "1.01e12", "1e308"}) {
    INFO(time);
    CHECK_THAT(error_of(std::string("op,m,measured_us\ngemm,1,") + time + "\n"),
               Contains(":2: measured_us: " + std::string(time) + " us is no time that") &&
                   Contains("; give microseconds from 0.001 (a nanosecond) to 1e+12"));
  }
  for (const char* time : {"0.001", "1e12"})
    CHECK(error_of(std::string("op,m,measured_us\ngemm,1,") + time + "\n") == "no error");
  CHECK_THAT(error_of("op,m,measured_us\ngemm,\"1,2\n"), Contains("is not CSV"));
  CHECK_THROWS_WITH(read_measured(std::filesystem::temp_directory_path().string()),
                    Contains(": is a folder; give a CSV of measurements"));
  CHECK_THROWS_WITH(read_measured("no/such/file.csv"),
                    Contains("no/such/file.csv: cannot be read"));
}

}  // namespace
}  // namespace tessera
