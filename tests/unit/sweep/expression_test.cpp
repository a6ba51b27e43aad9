#include "sim/sweep/expression.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>

namespace tessera {
namespace {

const ExpressionNames names{{"l2.size_mib", "hbm.stacks", "batch", "time_us"}, {"precision"}};

double value(const std::string& text) {
  const std::map<std::string, double> values = {{"l2.size_mib", 50},
                                                {"hbm.stacks", 5},
                                                {"batch", 16},
                                                {"time_us", 250},
                                                {"precision", text_code("fp8")}};
  return Expression(text, names, "skip_if", {"s.yaml", 3}).evaluate([&](const std::string& name) {
    return values.at(name);
  });
}

std::string refusal(const std::string& text) {
  try {
    const Expression expression(text, names, "skip_if", {"s.yaml", 3});
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST_CASE("an expression computes with keys of the chip, which have dots in their names") {
  CHECK(value("l2.size_mib * 2 > hbm.stacks") == 1);
  CHECK(value("l2.size_mib * 2 > hbm.stacks * 20 + 0.5") == 0);
  CHECK(value("batch * 1e6 / time_us") == 64000);
  CHECK(value("2.5 + .5") == 3);
  CHECK(value("-batch ^ 2") == -256);
}

TEST_CASE("conditions are joined, turned round and chosen by") {
  CHECK(value("batch >= 16 && hbm.stacks < 6") == 1);
  CHECK(value("batch > 16 || hbm.stacks != 5") == 0);
  CHECK(value("!(batch == 16)") == 0);
  CHECK(value("batch > 8 ? 3 : 4") == 3);
}

TEST_CASE("functions round, compare and take powers") {
  CHECK(value("round(2.5)") == 3);
  CHECK(value("floor(-0.5)") == -1);
  CHECK(value("ceil(0.2)") == 1);
  CHECK(value("max(batch, 20, 3)") == 20);
  CHECK(value("pow(2, 10)") == 1024);
  CHECK(value("mod(50, 8)") == 2);
  CHECK(value("sqrt(batch)") == 4);
  CHECK(value("log2(8)") == 3);
  CHECK(std::isnan(value("0 / 0 * batch")));
}

TEST_CASE("a text is compared with one in quotes") {
  CHECK(value("precision == \"fp8\"") == 1);
  CHECK(value("precision == 'bf16'") == 0);
  CHECK(value("precision != 'bf16' && batch == 16") == 1);
  CHECK(text_code("fp8") != text_code("fp8-block"));
}

TEST_CASE("names that an expression uses are known, sorted") {
  const Expression expression("time_us * batch + batch", names, "x", {"s.yaml", 1});
  CHECK(expression.used() == std::vector<std::string>{"batch", "time_us"});
}

TEST_CASE("a wrong expression is refused with its place and what would be right") {
  CHECK(refusal("l2.size_mb * 2") ==
        "s.yaml:3: skip_if: there is no 'l2.size_mb' in 'l2.size_mb * 2'; did you mean "
        "'l2.size_mib'?");
  CHECK(refusal("batch = 3") == "s.yaml:3: skip_if: '=' does not compare; write ==");
  CHECK(refusal("precision == 'fp8").find("a quote is not closed") != std::string::npos);
  CHECK(refusal("  ").find("an empty expression") != std::string::npos);
  CHECK(refusal("batch +").find("is no expression") != std::string::npos);
  CHECK(refusal("batch ) 3").find("is no expression") != std::string::npos);
  CHECK(refusal("system(3)").find("s.yaml:3: skip_if:") != std::string::npos);
  CHECK(refusal(std::string(100, '(') + "1" + std::string(100, ')')).find("nested too deep") !=
        std::string::npos);
  CHECK(refusal(std::string(3000, '1')).find("3000 bytes") != std::string::npos);
}

}  // namespace
}  // namespace tessera
