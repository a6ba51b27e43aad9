#include <algorithm>

#include "sim/base/error.h"
#include "sim/validation/measured_table.h"
#include "tests/fuzz/target.h"

namespace tessera::test {

/// A table of measured times, and the operations of its first rows.
void feed(std::string_view input) {
  static MemoryFile file;
  const MeasuredTable table = read_measured(file.hold(input));
  require(!table.rows.empty(), "an accepted table has rows");
  for (const MeasuredRow& row : table.rows) {
    require(row.measured_us > 0 && row.cells.size() == table.columns.size(), "a complete row");
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(table.rows.size(), 20); ++i) {
    const MeasuredRow& row = table.rows[i];
    op_graph(row.op, row.fields, {table.file, row.line});
  }
}

}  // namespace tessera::test
