#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace tessera {

/// Where in the user's input something stands. line 0 = the whole file; empty file = command line.
struct SourceLocation {
  std::string file;
  int line = 0;
};

/// The user's input is wrong (exit status 2). what() reads
/// `file:line: key: what is wrong; what would be right`, in plain text of bounded length.
class InputError : public std::runtime_error {
 public:
  InputError(const SourceLocation& where, const std::string& key, const std::string& wrong,
             const std::string& right);
  /// For input without a file: `key: wrong; right`.
  InputError(const std::string& key, const std::string& wrong, const std::string& right);
};

/// The simulation itself failed (exit status 3): a deadlock, with who waits for whom.
class SimulationError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The candidate closest to `word` by edit distance, or "" when none is near (distance greater
/// than half the word's length).
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace tessera
