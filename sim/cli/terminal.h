#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace tessera::cli {

/// Writes `text` to standard output at once. Throws InputError where it does not take it.
void print(const std::string& text);

/// Whether standard output wants colours: a terminal, TERM is not "dumb", NO_COLOR unset or empty.
bool colour_wanted();

/// Columns of the terminal on standard output, or $COLUMNS, or 100.
int columns();

/// One line on standard error while something runs, erased at the end; nothing where standard error
/// is not a terminal.
class Progress {
 public:
  explicit Progress(const std::string& what);
  ~Progress();
  /// How much is done; the line changes at most ten times a second.
  void update(std::size_t done, std::size_t of);
  bool is_shown() const { return shown_; }
  /// Replaces what stands behind `what`.
  void show(const std::string& how_far) const;
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  std::string what_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point began_, drawn_;
};

}  // namespace tessera::cli
