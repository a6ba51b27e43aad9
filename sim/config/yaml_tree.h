#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tessera {

/// A YAML document as plain values that know their line.
struct YamlNode {
  enum class Kind : std::uint8_t { scalar, list, map };
  Kind kind = Kind::scalar;
  int line = 0;
  std::string text;             ///< of a scalar; "" of none
  bool quoted = false;          ///< the scalar stood in quotes
  std::string key;              ///< of an entry of a map
  int key_line = 0;             ///< where the key stands
  std::vector<YamlNode> items;  ///< of a list or a map, in order; the keys of a map differ

  const YamlNode* find(const std::string& name) const;
};

/// What a file of this kind is called in messages, and where its form is described.
struct YamlFileKind {
  std::string name;  ///< "a model description"
  std::string page;  ///< "models/README.md"
};

/// Reads one document whose root is a map, in time and memory that its length bounds. Throws
/// InputError `file:line: ...`: malformed YAML, a second document, anchors, aliases, tags, nesting
/// beyond 8 levels, keys given twice, control characters, lines beyond 4 KiB, text beyond 1 MiB.
YamlNode parse_yaml_tree(const std::string& text, const std::string& file,
                         const YamlFileKind& kind);

}  // namespace tessera
