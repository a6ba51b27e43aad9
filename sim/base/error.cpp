#include "sim/base/error.h"

#include <algorithm>
#include <numeric>

namespace tessera {
namespace {

std::string message(const SourceLocation& where, const std::string& key, const std::string& wrong,
                    const std::string& right) {
  std::string text;
  if (!where.file.empty()) {
    text += where.file + ":";
    if (where.line > 0) text += std::to_string(where.line) + ":";
    text += " ";
  }
  if (!key.empty()) text += key + ": ";
  text += wrong;
  if (!right.empty()) text += "; " + right;
  return text;
}

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row[b.size()];
}

}  // namespace

InputError::InputError(const SourceLocation& where, const std::string& key,
                       const std::string& wrong, const std::string& right)
    : std::runtime_error(message(where, key, wrong, right)) {}

InputError::InputError(const std::string& key, const std::string& wrong, const std::string& right)
    : InputError(SourceLocation{}, key, wrong, right) {}

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = word.size() / 2 + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace tessera
