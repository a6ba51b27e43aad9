#pragma once

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
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  bool shown_ = false;
};

}  // namespace tessera::cli
