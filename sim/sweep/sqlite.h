#pragma once

#include <cstdint>
#include <string>

struct sqlite3;
struct sqlite3_stmt;

namespace tessera {

/// A connection to an SQLite file. What SQLite refuses is thrown as an InputError that names the
/// file: a full disk, a folder that cannot be written, a file that is no database.
class SqliteFile {
 public:
  /// An existing file is opened for writing where that is allowed, even to be read: what a killed
  /// process has left half done is undone first.
  enum class Mode { open, create };
  SqliteFile(const std::string& path, Mode mode);
  ~SqliteFile();
  SqliteFile(SqliteFile&& other) noexcept;
  SqliteFile& operator=(SqliteFile&&) = delete;
  SqliteFile(const SqliteFile&) = delete;
  SqliteFile& operator=(const SqliteFile&) = delete;

  void execute(const std::string& sql);
  const std::string& path() const { return path_; }

  /// Undoes everything since its construction unless commit() was called.
  class Transaction {
   public:
    explicit Transaction(SqliteFile& file);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit();

   private:
    SqliteFile& file_;
    bool open_ = true;
  };

  /// One SQL statement, run as often as one likes.
  class Statement {
   public:
    Statement(SqliteFile& file, const std::string& sql);
    ~Statement();
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    /// Values of its parameters, in order, since the last run.
    Statement& bind(const std::string& text);
    Statement& bind(std::int64_t value);
    Statement& bind(double value);  ///< NaN and infinities become NULL
    Statement& bind_null();
    /// Runs a statement that returns nothing.
    void run();
    /// Goes to the next row; false at the end.
    bool next();
    std::string text(int column) const;  ///< "" of NULL
    std::int64_t integer(int column) const;
    double number(int column) const;  ///< NaN of NULL

   private:
    SqliteFile& file_;
    sqlite3_stmt* statement_ = nullptr;
    int bound_ = 0;
  };

 private:
  [[noreturn]] void fail() const;

  std::string path_;
  sqlite3* file_ = nullptr;
};

/// A name as SQL wants it: "l2.size_mib" in double quotes.
std::string sql_name(const std::string& name);

}  // namespace tessera
