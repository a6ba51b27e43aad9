#include "sim/report/html.h"

#include <catch2/catch.hpp>

#include "sim/report/json.h"
#include "tests/unit/report/example_run.h"

using namespace tessera;
using Json = nlohmann::ordered_json;

namespace {

/// What the page's script element of data holds.
std::string data_of(const std::string& html) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const std::size_t begin = html.find(open) + open.size();
  return html.substr(begin, html.find("</script>", begin) - begin);
}

}  // namespace

TEST_CASE("a page holds the report's JSON, whatever its names are") {
  if (!why_no_html().empty()) {
    WARN("built without pages: " << why_no_html());
    CHECK_THROWS_AS(to_html(Json::object()), std::logic_error);
    return;
  }
  RunResult run = test::example_run();
  run.workload = "</script><script>alert(1)</script> <!-- \xff $& é";
  const Json data{{"kind", "run"}, {"runs", Json::array({to_json(run)})}};
  const std::string html = to_html(data);
  const Json kept = Json::parse(data_of(html));
  CHECK(kept["runs"].size() == 1);
  CHECK(kept["runs"][0]["cycles"] == 2500);
  CHECK(kept["runs"][0]["workload"] == "</script><script>alert(1)</script> <!-- \xef\xbf\xbd $& é");
  CHECK(html.find("alert(1)</script>") == std::string::npos);
  CHECK(html.rfind("<!doctype html>", 0) == 0);
}

TEST_CASE("a page asks for nothing from elsewhere, and names what it is made of") {
  if (!why_no_html().empty()) return;
  const std::string html = to_html(Json::object());
  for (const char* reference :
       {" src=", "<link rel=\"stylesheet\"", "@import", "fetch(", "url(http"})
    CHECK(html.find(reference) == std::string::npos);
  CHECK(html.find("default-src 'none'") != std::string::npos);
  CHECK(html.find("@observablehq/plot ") != std::string::npos);
  CHECK(html.find("Permission to use, copy, modify") != std::string::npos);
}
