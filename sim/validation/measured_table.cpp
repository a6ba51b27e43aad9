#include "sim/validation/measured_table.h"

#include <csv.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>

namespace tessera {
namespace {

constexpr std::size_t max_file_bytes = 64U << 20;
constexpr std::size_t max_rows = 200'000;
constexpr std::size_t max_columns = 100;  // of a record, before its header is known to be right

/// Every field an operation may have: the columns a table may hold beside op, measured_us, source.
std::vector<std::string> field_names() {
  std::set<std::string> names = {"dtype"};
  for (const OpEntry& entry : op_catalogue()) {
    names.insert(entry.fields.begin(), entry.fields.end());
    for (const std::string& optional : entry.optional)
      names.insert(optional.substr(0, optional.find('=')));
  }
  return {names.begin(), names.end()};
}

std::string content_of(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    throw InputError({path, 0}, "", "is a folder", "give a CSV of measurements");
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw InputError({path, 0}, "", fmt::format("cannot be read: {}", std::strerror(errno)),
                     "give a CSV of measurements");
  std::string content;
  char buffer[1 << 16];
  while (file.read(buffer, sizeof buffer) || file.gcount() > 0) {
    content.append(buffer, static_cast<std::size_t>(file.gcount()));
    if (content.size() > max_file_bytes)
      throw InputError({path, 0}, "", "is larger than 64 MiB", "split the table");
  }
  if (file.bad() || content.empty())
    throw InputError({path, 0}, "", content.empty() ? "is empty" : "cannot be read to its end",
                     "give a CSV of measurements");
  // The mark that some spreadsheets put in front of UTF-8.
  if (content.compare(0, 3, "\xEF\xBB\xBF") == 0) content.erase(0, 3);
  return content;
}

struct Record {
  int line = 1;
  std::vector<std::string> cells;
};

/// What libcsv's callbacks write to.
struct Reader {
  std::vector<Record> records;
  std::vector<std::string> cells;
  int line = 1;         ///< of the character being read
  int record_line = 1;  ///< where the record being read began
};

std::vector<Record> records_of(const std::string& path, const std::string& content) {
  csv_parser parser;
  if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) != 0) throw std::bad_alloc();
  const std::unique_ptr<csv_parser, void (*)(csv_parser*)> guard(&parser, csv_free);
  Reader reader;
  const auto cell = [](void* text, std::size_t size, void* to) {
    auto& r = *static_cast<Reader*>(to);
    r.cells.emplace_back(static_cast<const char*>(text), size);
  };
  const auto end_of_record = [](int, void* to) {
    auto& r = *static_cast<Reader*>(to);
    r.records.push_back({r.record_line, std::move(r.cells)});
    r.cells.clear();
  };
  const auto refuse = [&] {
    throw InputError({path, reader.line}, "",
                     fmt::format("is not CSV: {}", csv_strerror(csv_error(&parser))),
                     "quote a field that holds a quote or a comma");
  };
  for (const char c : content) {
    if (csv_parse(&parser, &c, 1, cell, end_of_record, &reader) != 1) refuse();
    if (reader.cells.size() > max_columns)
      throw InputError({path, reader.line}, "", fmt::format("has more than {} fields", max_columns),
                       "columns are op, the operation's fields, measured_us and source");
    if (reader.records.size() > max_rows)
      throw InputError({path, reader.line}, "", fmt::format("has more than {} rows", max_rows),
                       "split the table");
    if (c != '\n') continue;
    ++reader.line;
    if (reader.cells.empty()) reader.record_line = reader.line;
  }
  if (csv_fini(&parser, cell, end_of_record, &reader) != 0) refuse();
  return std::move(reader.records);
}

std::size_t index_of(const std::vector<std::string>& columns, const std::string& name) {
  return static_cast<std::size_t>(std::find(columns.begin(), columns.end(), name) -
                                  columns.begin());
}

void check_header(const std::string& path, const Record& header) {
  std::vector<std::string> known = field_names();
  known.insert(known.end(), {"op", "measured_us", "source"});
  known.insert(known.end(), std::begin(predicted_columns), std::end(predicted_columns));
  const SourceLocation where{path, header.line};
  for (std::size_t i = 0; i < header.cells.size(); ++i) {
    const std::string& column = header.cells[i];
    if (std::find(known.begin(), known.end(), column) == known.end()) {
      const std::string close = nearest(column, known);
      throw InputError(where, column, "is no column of a measured table",
                       close.empty() ? fmt::format("columns are {}", fmt::join(known, ", "))
                                     : fmt::format("did you mean '{}'?", close));
    }
    if (index_of(header.cells, column) != i)
      throw InputError(where, column, "is a column twice", "name each column once");
  }
  for (const char* column : {"op", "measured_us"}) {
    if (index_of(header.cells, column) == header.cells.size())
      throw InputError(where, column, "is missing from the header",
                       "a measured table has the columns op, the operation's fields, measured_us");
  }
}

/// Whether an earlier validation has added a column, which this one will say anew.
bool is_predicted(const std::string& column) {
  return std::find(std::begin(predicted_columns), std::end(predicted_columns), column) !=
         std::end(predicted_columns);
}

/// The cells of a record in the columns that are not.
std::vector<std::string> measured_cells(const Record& header,
                                        const std::vector<std::string>& cells) {
  std::vector<std::string> kept;
  for (std::size_t c = 0; c < cells.size(); ++c) {
    if (!is_predicted(header.cells[c])) kept.push_back(cells[c]);
  }
  return kept;
}

double time_us(const std::string& text, const SourceLocation& where) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value) ||
      value <= 0)
    throw InputError(where, "measured_us", fmt::format("'{}' is not a time", text),
                     "give microseconds above 0");
  if (value < least_measured_us || value > most_measured_us)
    throw InputError(where, "measured_us",
                     fmt::format("{} us is no time that an operation takes", text),
                     fmt::format("give microseconds from {:g} (a nanosecond) to {:g} (eleven days)",
                                 least_measured_us, most_measured_us));
  return value;
}

}  // namespace

bool MeasuredRow::is_kernel_time() const {
  return source.find("kernel-only") != std::string::npos || is_after_flush();
}

bool MeasuredRow::is_after_flush() const {
  return source.find("deepgemm.txt") != std::string::npos;
}

int MeasuredRow::copies() const {
  if (source.find("aiconfigurator") == std::string::npos) return 0;
  return op == "attention" ? 1 : 6;
}

std::string MeasuredRow::field(const std::string& key) const {
  for (const auto& [name, value] : fields) {
    if (name == key) return value;
  }
  return "";
}

MeasuredTable read_measured(const std::string& path) {
  const std::vector<Record> records = records_of(path, content_of(path));
  if (records.empty()) throw InputError({path, 1}, "", "has no header", "name the columns first");
  check_header(path, records.front());
  MeasuredTable table;
  table.file = path;
  const Record& header = records.front();
  table.columns = measured_cells(header, header.cells);
  const std::size_t op = index_of(table.columns, "op");
  const std::size_t time = index_of(table.columns, "measured_us");
  const std::size_t source = index_of(table.columns, "source");
  for (std::size_t i = 1; i < records.size(); ++i) {
    const Record& record = records[i];
    const SourceLocation where{path, record.line};
    if (record.cells.size() != header.cells.size())
      throw InputError(
          where, "",
          fmt::format("has {} fields, the header {}", record.cells.size(), header.cells.size()),
          "leave a field empty where it does not apply");
    MeasuredRow row;
    row.line = record.line;
    row.cells = measured_cells(header, record.cells);
    row.op = row.cells[op];
    row.measured_us = time_us(row.cells[time], where);
    if (source < row.cells.size()) row.source = row.cells[source];
    for (std::size_t c = 0; c < row.cells.size(); ++c) {
      if (c != op && c != time && c != source && !row.cells[c].empty())
        row.fields.emplace_back(table.columns[c], row.cells[c]);
    }
    table.rows.push_back(std::move(row));
  }
  if (table.rows.empty())
    throw InputError({path, 0}, "", "has a header and no rows", "add measurements");
  return table;
}

}  // namespace tessera
