#pragma once

#include <string>

#include "sim/report/result.h"

namespace tessera {

struct TableOptions {
  bool colour = false;  ///< ANSI colours; nothing is said by colour alone
  int width = 100;      ///< columns; taken between 80 and 160
};

/// The report for people: headline numbers, one line per operation (identical ones together, their
/// repeats counted), where the core-cycles went, notes. Lines are at most `width` characters, apart
/// from the workload's and the notes', which are wrapped by the terminal.
std::string to_table(const RunResult& run, const TableOptions& options = TableOptions());

}  // namespace tessera
