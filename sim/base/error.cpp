#include "sim/base/error.h"

#include <algorithm>
#include <numeric>

namespace tessera {
namespace {

/// Of a message's part: what a file may hold is too much for a person, and for a terminal.
constexpr std::size_t max_part_bytes = 2000;

/// `text` as a terminal may see it: control characters of the user's files escaped (lines stay),
/// the middle of overlong text left out.
std::string shown(const std::string& text) {
  constexpr char digits[] = "0123456789abcdef";
  std::string clean;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i == max_part_bytes / 2 && text.size() > max_part_bytes) {
      clean += " ... ";
      i = text.size() - max_part_bytes / 2;
    }
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte < 0x20 && byte != '\n') || byte == 0x7f) {
      clean += {'\\', 'x', digits[byte >> 4], digits[byte & 0xf]};
    } else {
      clean += text[i];
    }
  }
  return clean;
}

std::string message(const SourceLocation& where, const std::string& key, const std::string& wrong,
                    const std::string& right) {
  std::string text;
  if (!where.file.empty()) {
    text += shown(where.file) + ":";
    if (where.line > 0) text += std::to_string(where.line) + ":";
    text += " ";
  }
  if (!key.empty()) text += shown(key) + ": ";
  text += shown(wrong);
  if (!right.empty()) text += "; " + shown(right);
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
    // Their lengths' difference is the least it can be, and overlong words cost time.
    const std::size_t least =
        std::max(word.size(), candidate.size()) - std::min(word.size(), candidate.size());
    if (least >= best_distance) continue;
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace tessera
