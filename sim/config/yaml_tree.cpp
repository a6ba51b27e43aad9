#include "sim/config/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "sim/base/error.h"

namespace tessera {
namespace {

constexpr std::size_t max_bytes = std::size_t{1} << 20;
constexpr std::size_t max_line_bytes = 4096;  // bounds what the scanner looks ahead
constexpr std::size_t max_levels = 8;
constexpr int max_brackets = 16;  // the parser recurses and the scanner queues

/// Builds the tree from the parser's events: yaml-cpp's own documents resolve aliases, and its
/// loader does not end for some malformed ones.
class TreeReader : public YAML::EventHandler {
 public:
  TreeReader(const std::string& text, std::string file, const YamlFileKind& kind)
      : text_(text), file_(std::move(file)), kind_(kind) {}

  bool has_root() const { return has_root_; }
  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) fail(mark, "a second document", kind_.name + " is one document");
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
    begin(mark, tag, anchor, YamlNode::Kind::list);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    begin(mark, tag, anchor, YamlNode::Kind::map);
  }
  void OnMapEnd() override { end(); }

 private:
  struct Level {
    YamlNode node;
    bool has_key = false;
    std::string key;  ///< of the entry that comes next
    int key_line = 0;
    std::map<std::string, int> keys;  ///< seen so far, with their lines
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
  /// yaml-cpp takes an open quote for closed by the end of the file, which would drop all keys
  /// after it without a word: quoted text must end in its line.
  void check_quotes(const YAML::Mark& mark) const {
    while (line_ < mark.line) {
      line_begin_ = text_.find('\n', line_begin_) + 1;
      ++line_;
    }
    std::size_t at = line_begin_ + static_cast<std::size_t>(mark.column);
    const char quote = at < text_.size() ? text_[at] : '\n';
    if (quote != '"' && quote != '\'') return;  // a block scalar
    for (++at; at < text_.size() && text_[at] != '\n'; ++at) {
      if (text_[at] == quote) return;
      if (text_[at] == '\\' && quote == '"') ++at;
    }
    fail(mark, "a quote without its end in the same line", "close it");
  }
  static bool awaits_key(const Level& level) {
    return level.node.kind == YamlNode::Kind::map && !level.has_key;
  }

  void add(YamlNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      has_root_ = true;
      return;
    }
    open_.back().node.items.push_back(std::move(node));
  }

  /// The key that the next value of the level belongs to.
  void name(YamlNode& node) {
    if (open_.empty() || open_.back().node.kind != YamlNode::Kind::map) return;
    Level& level = open_.back();
    node.key = level.key;
    node.key_line = level.key_line;
    level.has_key = false;
  }

  void scalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
              const std::string& value) {
    check(mark, tag, anchor);
    if (tag == "!") check_quotes(mark);
    if (open_.empty()) fail(mark, "not " + kind_.name, "write 'key: value' lines");
    Level& level = open_.back();
    if (awaits_key(level)) {
      if (value.empty()) fail(mark, "an empty key", "write 'key: value'");
      const auto [first, is_new] = level.keys.emplace(value, mark.line + 1);
      if (!is_new)
        throw InputError({file_, mark.line + 1}, value,
                         fmt::format("given twice, first in line {}", first->second), "keep one");
      level.has_key = true;
      level.key = value;
      level.key_line = mark.line + 1;
      return;
    }
    YamlNode node;
    node.line = mark.line + 1;
    node.text = value;
    node.quoted = tag == "!";
    name(node);
    add(std::move(node));
  }

  void begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             YamlNode::Kind kind) {
    check(mark, tag, anchor);
    if (open_.size() >= max_levels)
      fail(mark, "nested too deep", fmt::format("at most {} levels", max_levels));
    if (open_.empty() && kind != YamlNode::Kind::map)
      fail(mark, "not " + kind_.name, "write 'key: value' lines");
    if (!open_.empty() && awaits_key(open_.back()))
      fail(mark, "a key must be a word", "write 'key: value'");
    Level level;
    level.node.kind = kind;
    level.node.line = mark.line + 1;
    name(level.node);
    open_.push_back(std::move(level));
  }

  void end() {
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(node));
  }

  const std::string& text_;
  std::string file_;
  const YamlFileKind& kind_;
  mutable int line_ = 0;                ///< the last one looked at, as marks come in order ...
  mutable std::size_t line_begin_ = 0;  ///< ... and where it begins
  YamlNode root_;
  bool has_root_ = false;
  std::vector<Level> open_;
  int documents_ = 0;
};

void check_shape(const std::string& text, const std::string& file, const YamlFileKind& kind) {
  if (text.size() > max_bytes)
    throw InputError({file, 0}, "", "too long for " + kind.name, "at most 1 MiB");
  int line = 1, depth = 0;
  std::size_t line_begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') {
      ++line;
      line_begin = i + 1;
      continue;
    }
    if (i - line_begin >= max_line_bytes)
      throw InputError({file, line}, "",
                       fmt::format("a line of more than {} bytes", max_line_bytes),
                       fmt::format("is this {}?", kind.name));
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (depth > max_brackets)
      throw InputError({file, line}, "",
                       fmt::format("brackets nested more than {} deep", max_brackets),
                       fmt::format("see {} for the format", kind.page));
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 && c != '\r' && c != '\t')
      throw InputError({file, line}, "", fmt::format("the control character \\x{:02x}", byte),
                       fmt::format("{} is plain text", kind.name));
  }
}

}  // namespace

const YamlNode* YamlNode::find(const std::string& name) const {
  const auto found = std::find_if(items.begin(), items.end(),
                                  [&](const YamlNode& item) { return item.key == name; });
  return kind == Kind::map && found != items.end() ? &*found : nullptr;
}

YamlNode parse_yaml_tree(const std::string& text, const std::string& file,
                         const YamlFileKind& kind) {
  check_shape(text, file, kind);
  std::istringstream stream(text);
  TreeReader reader(text, file, kind);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(reader)) {
    }
  } catch (const YAML::Exception& error) {
    throw InputError({file, error.mark.is_null() ? 0 : error.mark.line + 1}, "",
                     "not YAML: " + error.msg, fmt::format("see {} for the format", kind.page));
  }
  if (!reader.has_root())
    throw InputError({file, 0}, "", fmt::format("not {}: the file is empty", kind.name),
                     fmt::format("see {} for the format", kind.page));
  return reader.take();
}

}  // namespace tessera
