#include "sim/config/yaml_tree.h"

#include <catch2/catch.hpp>

#include "sim/base/error.h"

using namespace tessera;
using Catch::Contains;

namespace {

const YamlFileKind kind = {"a test file", "this page"};

std::string complaint(const std::string& text) {
  try {
    parse_yaml_tree(text, "a.yaml", kind);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a YAML tree holds maps, lists and values with their lines") {
  const YamlNode root = parse_yaml_tree(
      "name: one\nlist: [1, 'two', {a: b}]\nmap:\n  inner: \"x: y\"\n  empty:\n", "a.yaml", kind);
  REQUIRE(root.kind == YamlNode::Kind::map);
  REQUIRE(root.items.size() == 3);
  CHECK(root.find("name")->text == "one");
  CHECK_FALSE(root.find("name")->quoted);
  const YamlNode& list = *root.find("list");
  REQUIRE(list.kind == YamlNode::Kind::list);
  REQUIRE(list.items.size() == 3);
  CHECK(list.items[1].text == "two");
  CHECK(list.items[1].quoted);
  CHECK(list.items[2].find("a")->text == "b");
  const YamlNode& map = *root.find("map");
  CHECK(map.key_line == 3);
  CHECK(map.find("inner")->text == "x: y");
  CHECK(map.find("inner")->line == 4);
  CHECK(map.find("empty")->text.empty());
  CHECK(map.find("other") == nullptr);
}

TEST_CASE("what is no plain tree is refused with its line") {
  CHECK_THAT(complaint(""), Contains("a.yaml: not a test file: the file is empty; see this page"));
  CHECK_THAT(complaint("# nothing\n"), Contains("the file is empty"));
  CHECK_THAT(complaint("word"), Contains("a.yaml:1: not a test file; write"));
  CHECK_THAT(complaint("[a]"), Contains("a.yaml:1: not a test file"));
  CHECK_THAT(complaint("a: 1\nb: 2\na: 3\n"), Contains("a.yaml:3: a: given twice, first in line 1"));
  CHECK_THAT(complaint("a: {b: 1, b: 2}\n"), Contains("a.yaml:1: b: given twice"));
  CHECK_THAT(complaint("a: 1\n---\nb: 2\n"), Contains("a.yaml:2: a second document"));
  CHECK_THAT(complaint("a: &x 1\nb: *x\n"), Contains("a.yaml:1: YAML anchors"));
  CHECK_THAT(complaint("a: &x [*x]\n"), Contains("YAML anchors"));
  CHECK_THAT(complaint("a: !!int 1\n"), Contains("a YAML tag"));
  CHECK_THAT(complaint("? [a]\n: 1\n"), Contains("a key must be a word"));
  CHECK_THAT(complaint("'': 1\n"), Contains("an empty key"));
  CHECK_THAT(complaint("a: 'x\nb: 2\n"), Contains("a.yaml:1: a quote without its end"));
  CHECK_THAT(complaint("a: \x01\n"), Contains("the control character \\x01"));
  CHECK_THAT(complaint("a: [\n"), Contains("not YAML"));
  CHECK(complaint("a: 'it''s'\nb: \"say \\\"x\\\"\"\n").empty());
}

TEST_CASE("YAML that is deep or long is refused before it takes time or memory") {
  std::string nested;
  for (int i = 0; i < 7; ++i) nested += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  CHECK(complaint(nested + std::string(7, ' ') + "a: 1\n").empty());
  CHECK_THAT(complaint(nested + std::string(7, ' ') + "a:\n        a: 1\n"),
             Contains("nested too deep"));
  CHECK_THAT(complaint("a: " + std::string(17, '[')), Contains("brackets nested more than 16"));
  CHECK_THAT(complaint("a: " + std::string(1 << 20, 'x')), Contains("too long for a test file"));
  CHECK(complaint("a: " + std::string(4093, 'x') + "\n").empty());
  CHECK_THAT(complaint("a: " + std::string(4094, 'x') + "\n"),
             Contains("a line of more than 4096 bytes"));
  std::string keys;
  for (int i = 0; i < 100'000; ++i) keys += "k" + std::to_string(i) + ":\n";
  CHECK(parse_yaml_tree(keys, "a.yaml", kind).items.size() == 100'000);
  // yaml-cpp's loader of documents never ends with this one.
  CHECK_FALSE(complaint(",").empty());
}
