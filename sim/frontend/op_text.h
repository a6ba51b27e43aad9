#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/base/error.h"
#include "sim/frontend/layer_graph.h"

namespace tessera {

/// An operation a user may ask for by name.
struct OpEntry {
  std::string name;
  std::vector<std::string> fields;    ///< that must be given, in the order of the measured tables
  std::vector<std::string> optional;  ///< as "key=default"
  std::string sentence;
};
/// What `tessera list ops` prints.
const std::vector<OpEntry>& op_catalogue();

using OpFields = std::vector<std::pair<std::string, std::string>>;

/// One operation from text such as "gemm m=4096 n=4096 k=4096 dtype=bf16", as a graph of one block
/// "op". Weights and K/V are cold, other inputs warm (just written). Throws InputError: unknown or
/// missing operation or field, repeated field, value out of range.
LayerGraph op_graph(std::string_view text);
/// The same from parts, e.g. a row of a measured table; `where` is named in errors.
LayerGraph op_graph(const std::string& op, const OpFields& fields, const SourceLocation& where);

}  // namespace tessera
