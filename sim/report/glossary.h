#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tessera {

/// One number of the report.
struct NumberEntry {
  std::string name;      ///< JSON key; "layers.*" and "simulator.*" for the keys of nested objects
  std::string unit;      ///< "" for text
  std::string sentence;  ///< what it is
};

/// Every number the report prints, in the order of the JSON; the causes of `stalls` included.
const std::vector<NumberEntry>& glossary();

/// The glossary as text for a terminal of `width` columns.
std::string glossary_text(int width);
/// The glossary as a Markdown table: the generated part of docs/report.md.
std::string glossary_markdown();

}  // namespace tessera
