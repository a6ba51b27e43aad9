#pragma once

#include <string>
#include <vector>

#include "sim/frontend/op_text.h"

namespace tessera {

/// Times outside are mistakes of a table: a cycle or two of any clock, or more than eleven
/// days.
constexpr double least_measured_us = 1e-3, most_measured_us = 1e12;

/// One measurement: an operation as `op_graph` takes it, and the time it took on silicon.
struct MeasuredRow {
  int line = 0;  ///< in the table's file, for messages
  std::string op;
  OpFields fields;  ///< the non-empty columns of the operation, dtype among them
  double measured_us = 0;
  std::string source;
  std::vector<std::string> cells;  ///< as read, one per column

  /// Whether the time is that of the kernels alone, without the gap before each: the source says
  /// "kernel-only", or is the output of DeepGEMM's tests (deepgemm.txt), which take a profiler's
  /// kernel durations.
  bool is_kernel_time() const;
  /// Whether the caches were flushed before: DeepGEMM's tests write 8 GB between kernels.
  bool is_after_flush() const;
  /// Copies of weights, keys and values that the repetitions went through in turn; 0: so many that
  /// the caches keep nothing of them. Of the collectors of aiconfigurator: attention on one cache
  /// (collect_attn.py), every other operation on six copies, as a matrix product, `linear` or
  /// `gemm`, is repeated (vLLM's and SGLang's collect_gemm.py; TensorRT-LLM's on up to five).
  int copies() const;

  /// Value of a field, or "" where the row has none.
  std::string field(const std::string& key) const;
};

/// What per_row_csv() adds to a table; read_measured() ignores them, so that its output is a table
/// again.
constexpr const char* predicted_columns[] = {"predicted_us", "error_pct", "bound"};

/// A table of measurements: CSV (RFC 4180) with a header, a UTF-8 byte order mark before it or not.
/// `op` and `measured_us` must be columns; `source` may be; every other column is a field of
/// operations, empty where it does not apply.
struct MeasuredTable {
  std::string file;
  std::vector<std::string> columns;
  std::vector<MeasuredRow> rows;
};

/// Reads a table. Throws InputError with file and line: unreadable, a folder, not CSV, a column
/// missing, unknown or twice, a row of another length, a time that is not a positive number or
/// outside least_measured_us to most_measured_us, no row at all or more than 200,000, a file of
/// more than 64 MiB. Whether an operation's fields make sense is for op_graph() to say.
MeasuredTable read_measured(const std::string& path);

}  // namespace tessera
