#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

/// Splits sentences into the pieces of a vocabulary, as the sentence encoders of TensorFlow.js do:
///
/// 1. the text in Unicode's normal form NFKC, with U+2581 before it and for each space;
/// 2. best[e] = the largest over pieces w that end at e of score(w) + best[begin of w], a later
///    begin winning ties, and a best of 0 (as unreached places have) beaten by anything; where no
///    piece begins, one character of piece 0 (unknown) with score 0;
/// 3. the pieces from the end backwards, runs of unknown ones merged into one.
///
/// It differs from those encoders only for pieces outside the Basic Multilingual Plane, whose
/// length they count in UTF-16 units.
class Tokeniser {
 public:
  /// A vocabulary: JSON, a list of [piece, score]; null is a score of 0. The first `reserved` are
  /// not looked up; of equal pieces the last counts. Throws InputError naming `file`: not that.
  static Tokeniser parse(const std::string& text, const std::string& file);

  /// Ids of the pieces. Throws InputError naming `where` if `sentence` is not UTF-8.
  std::vector<std::int32_t> encode(const std::string& sentence, const std::string& where) const;

  const std::string& piece(std::int32_t id) const { return pieces_[static_cast<std::size_t>(id)]; }
  std::int32_t size() const { return static_cast<std::int32_t>(pieces_.size()); }

  static constexpr std::int32_t reserved = 6;

 private:
  struct Place {
    std::map<char32_t, int> next;
    std::int32_t id = -1;  ///< of the piece that ends here
  };

  std::vector<std::string> pieces_;
  std::vector<double> scores_;
  std::vector<int> lengths_;  ///< characters
  std::vector<Place> trie_;
};

}  // namespace tessera
