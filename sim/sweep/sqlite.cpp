#include "sim/sweep/sqlite.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "sim/base/error.h"

namespace tessera {

SqliteFile::SqliteFile(const std::string& path, Mode mode) : path_(path) {
  const int flags =
      mode == Mode::create ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READWRITE;
  if (sqlite3_open_v2(path.c_str(), &file_, flags, nullptr) != SQLITE_OK) {
    try {
      fail();
    } catch (...) {
      sqlite3_close(file_);
      throw;
    }
  }
  sqlite3_busy_timeout(file_, 10'000);
}

SqliteFile::~SqliteFile() {
  if (file_ != nullptr) sqlite3_close(file_);
}

SqliteFile::SqliteFile(SqliteFile&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, nullptr)) {}

void SqliteFile::fail() const {
  const int code = sqlite3_errcode(file_);
  const int system = sqlite3_system_errno(file_);
  std::string why = sqlite3_errmsg(file_);
  std::string right = "give a file in a folder that can be written";
  switch (code) {
    case SQLITE_FULL:
      right = "free some space; --resume goes on";
      break;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      right = "give a file that `tessera sweep` has written";
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      right = "wait until the other program is done with it";
      break;
    case SQLITE_IOERR:
      right = "check the disk; --resume goes on";
      break;
    default:
      break;
  }
  const bool by_system = code == SQLITE_IOERR || code == SQLITE_CANTOPEN || code == SQLITE_FULL ||
                         code == SQLITE_READONLY;
  if (by_system && system != 0) why += fmt::format(" ({})", std::strerror(system));
  throw InputError({path_, 0}, "", why, right);
}

void SqliteFile::execute(const std::string& sql) {
  if (sqlite3_exec(file_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail();
}

SqliteFile::Transaction::Transaction(SqliteFile& file) : file_(file) {
  file_.execute("BEGIN IMMEDIATE");
}

SqliteFile::Transaction::~Transaction() {
  // A failed statement may have rolled back already; then this one has nothing to do.
  if (open_) sqlite3_exec(file_.file_, "ROLLBACK", nullptr, nullptr, nullptr);
}

void SqliteFile::Transaction::commit() {
  file_.execute("COMMIT");
  open_ = false;
}

SqliteFile::Statement::Statement(SqliteFile& file, const std::string& sql) : file_(file) {
  if (sqlite3_prepare_v2(file_.file_, sql.c_str(), -1, &statement_, nullptr) != SQLITE_OK)
    file_.fail();
}

SqliteFile::Statement::~Statement() { sqlite3_finalize(statement_); }

SqliteFile::Statement& SqliteFile::Statement::bind(const std::string& text) {
  sqlite3_bind_text(statement_, ++bound_, text.c_str(), static_cast<int>(text.size()),
                    SQLITE_TRANSIENT);
  return *this;
}

SqliteFile::Statement& SqliteFile::Statement::bind(std::int64_t value) {
  sqlite3_bind_int64(statement_, ++bound_, value);
  return *this;
}

SqliteFile::Statement& SqliteFile::Statement::bind(double value) {
  if (!std::isfinite(value)) return bind_null();
  sqlite3_bind_double(statement_, ++bound_, value);
  return *this;
}

SqliteFile::Statement& SqliteFile::Statement::bind_null() {
  sqlite3_bind_null(statement_, ++bound_);
  return *this;
}

void SqliteFile::Statement::run() {
  const int result = sqlite3_step(statement_);
  if (result != SQLITE_DONE && result != SQLITE_ROW) {
    // The message is of this failure; the reset may only repeat it.
    try {
      file_.fail();
    } catch (...) {
      sqlite3_reset(statement_);
      throw;
    }
  }
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  bound_ = 0;
}

bool SqliteFile::Statement::next() {
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result != SQLITE_DONE) file_.fail();
  sqlite3_reset(statement_);
  bound_ = 0;
  return false;
}

std::string SqliteFile::Statement::text(int column) const {
  const auto* const text = sqlite3_column_text(statement_, column);
  return text == nullptr ? "" : reinterpret_cast<const char*>(text);
}

std::int64_t SqliteFile::Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double SqliteFile::Statement::number(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL
             ? std::numeric_limits<double>::quiet_NaN()
             : sqlite3_column_double(statement_, column);
}

std::string sql_name(const std::string& name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

}  // namespace tessera
