#pragma once

#include <string>
#include <vector>

namespace tessera {

/// A YAML document as plain values that know their line: what a sweep file needs, and no more.
struct YamlNode {
  enum class Kind { scalar, list, map };
  Kind kind = Kind::scalar;
  int line = 0;
  std::string text;             ///< of a scalar; "" of none
  bool quoted = false;          ///< the scalar stood in quotes
  std::string key;              ///< of an entry of a map
  int key_line = 0;             ///< where the key stands
  std::vector<YamlNode> items;  ///< of a list or a map, in order; the keys of a map differ

  const YamlNode* find(const std::string& name) const;
};

/// Reads one document whose root is a map. Throws InputError `file:line: ...`: malformed YAML, a
/// second document, anchors, aliases, tags, nesting beyond 8 levels, keys given twice, text beyond
/// 1 MiB.
YamlNode parse_yaml_tree(const std::string& text, const std::string& file);

}  // namespace tessera
