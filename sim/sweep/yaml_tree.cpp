#include "sim/sweep/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>

#include "sim/base/error.h"

namespace tessera {
namespace {

constexpr std::size_t max_bytes = std::size_t{1} << 20;
constexpr std::size_t max_levels = 8;
constexpr int max_brackets = 16;  // the parser recurses and the scanner queues

class TreeReader : public YAML::EventHandler {
 public:
  explicit TreeReader(std::string file) : file_(std::move(file)) {}

  YamlNode take() { return std::move(root_); }
  bool has_root() const { return documents_ > 0; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) fail(mark, "a second document", "a sweep file is one document");
  }
  void OnDocumentEnd() override {}
  void OnAnchor(const YAML::Mark& mark, const std::string&) override { refuse_anchor(mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { refuse_anchor(mark); }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    scalar(mark, "", anchor, "");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    scalar(mark, tag, anchor, value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::list);
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::map);
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  struct Level {
    std::vector<std::size_t> path;  // of the node below the root: vectors move as they grow
    bool has_key = false;
    std::string key;
    int key_line = 0;
  };

  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& wrong,
                         const std::string& right) const {
    throw InputError({file_, mark.line + 1}, "", wrong, right);
  }
  [[noreturn]] void refuse_anchor(const YAML::Mark& mark) const {
    fail(mark, "YAML anchors and aliases are not supported", "write the value out");
  }
  void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
    if (anchor != 0) refuse_anchor(mark);
    if (!tag.empty() && tag != "?" && tag != "!") fail(mark, "a YAML tag", "leave it out");
  }

  YamlNode& at(const std::vector<std::size_t>& path) {
    YamlNode* node = &root_;
    for (const std::size_t i : path) node = &node->items[i];
    return *node;
  }

  // Adds a node where the next one belongs; its path.
  std::vector<std::size_t> add(const YAML::Mark& mark, YamlNode node) {
    node.line = mark.line + 1;
    if (open_.empty()) {
      root_ = std::move(node);
      return {};
    }
    Level& level = open_.back();
    YamlNode& parent = at(level.path);
    if (parent.kind == YamlNode::Kind::map) {
      node.key = level.key;
      node.key_line = level.key_line;
      level.has_key = false;
    }
    parent.items.push_back(std::move(node));
    std::vector<std::size_t> path = level.path;
    path.push_back(parent.items.size() - 1);
    return path;
  }

  void scalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
              const std::string& value) {
    check(mark, tag, anchor);
    if (open_.empty()) fail(mark, "not a map", "write 'key: value' lines");
    Level& level = open_.back();
    const YamlNode& parent = at(level.path);
    if (parent.kind == YamlNode::Kind::map && !level.has_key) {
      if (value.empty()) fail(mark, "an empty key", "write 'key: value'");
      if (const YamlNode* first = parent.find(value))
        throw InputError({file_, mark.line + 1}, value,
                         fmt::format("given twice, first in line {}", first->key_line), "keep one");
      level.has_key = true;
      level.key = value;
      level.key_line = mark.line + 1;
      return;
    }
    YamlNode node;
    node.text = value;
    node.quoted = tag == "!";
    add(mark, std::move(node));
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YamlNode::Kind kind) {
    check(mark, tag, anchor);
    if (open_.size() >= max_levels)
      fail(mark, "nested too deep", fmt::format("at most {} levels", max_levels));
    if (open_.empty() && kind != YamlNode::Kind::map)
      fail(mark, "a list", "a sweep file is a map: write 'key: value' lines");
    if (!open_.empty() && at(open_.back().path).kind == YamlNode::Kind::map &&
        !open_.back().has_key)
      fail(mark, "a key that is no word", "write 'key: value'");
    YamlNode node;
    node.kind = kind;
    Level level;
    level.path = add(mark, std::move(node));
    open_.push_back(std::move(level));
  }

  std::string file_;
  YamlNode root_;
  std::vector<Level> open_;
  int documents_ = 0;
};

void check_shape(const std::string& text, const std::string& file) {
  int line = 1, depth = 0;
  for (const char c : text) {
    if (c == '\n') ++line;
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (depth > max_brackets)
      throw InputError({file, line}, "",
                       fmt::format("brackets nested more than {} deep", max_brackets),
                       "a sweep file has lists and short maps");
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 && c != '\n' && c != '\r' && c != '\t')
      throw InputError({file, line}, "", fmt::format("the control character \\x{:02x}", byte),
                       "sweep files are plain text");
  }
}

}  // namespace

const YamlNode* YamlNode::find(const std::string& name) const {
  const auto found = std::find_if(items.begin(), items.end(),
                                  [&](const YamlNode& item) { return item.key == name; });
  return kind == Kind::map && found != items.end() ? &*found : nullptr;
}

YamlNode parse_yaml_tree(const std::string& text, const std::string& file) {
  if (text.size() > max_bytes)
    throw InputError({file, 0}, "", "larger than 1 MiB", "is this a sweep file?");
  check_shape(text, file);
  std::istringstream stream(text);
  TreeReader reader(file);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(reader)) {
    }
  } catch (const YAML::Exception& error) {
    throw InputError({file, error.mark.is_null() ? 0 : error.mark.line + 1}, "",
                     "not valid YAML: " + error.msg,
                     "docs/sweeps.md shows the form of a sweep file");
  }
  if (!reader.has_root())
    throw InputError({file, 0}, "", "the file is empty", "docs/sweeps.md shows a sweep file");
  return reader.take();
}

}  // namespace tessera
