#include "sim/precision/tokeniser.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>

#include "sim/base/error.h"
#include "sim/precision/json_text.h"

namespace tessera {

namespace {

constexpr char32_t separator = 0x2581;

[[noreturn]] void refuse_encoding(const std::string& where) {
  throw InputError(where, "is not UTF-8", "write the text in UTF-8");
}

std::u32string characters(const std::string& text, const std::string& where) {
  std::u32string result;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  while (left > 0) {
    utf8proc_int32_t character = 0;
    const utf8proc_ssize_t used = utf8proc_iterate(bytes, left, &character);
    if (used <= 0) refuse_encoding(where);
    result += static_cast<char32_t>(character);
    bytes += used;
    left -= used;
  }
  return result;
}

std::string normalised(const std::string& text, const std::string& where) {
  utf8proc_uint8_t* bytes = nullptr;
  const utf8proc_ssize_t length = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(text.size()), &bytes,
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(bytes, &std::free);
  if (length < 0) refuse_encoding(where);
  return {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length)};
}

}  // namespace

Tokeniser Tokeniser::parse(const std::string& text, const std::string& file) {
  const nlohmann::json json = parse_json(text, file);
  const auto fail = [&](const std::string& key, const std::string& wrong,
                        const std::string& right) {
    throw InputError({file, 0}, key, wrong, right);
  };
  if (!json.is_array() || json.size() <= static_cast<std::size_t>(reserved)) {
    fail("", "is no vocabulary", fmt::format("give a list of more than {} pieces", reserved));
  }
  Tokeniser tokeniser;
  tokeniser.trie_.emplace_back();
  for (std::size_t i = 0; i < json.size(); ++i) {
    const std::string key = fmt::format("[{}]", i);
    const nlohmann::json& entry = json[i];
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() ||
        !(entry[1].is_number() || entry[1].is_null())) {
      fail(key, "is no piece of a vocabulary", "give [\"piece\", score]");
    }
    const std::string piece = entry[0].get<std::string>();
    const std::u32string letters = characters(piece, file + ": " + key);
    if (letters.empty()) fail(key, "is an empty piece", "give at least one character");
    if (i == 0 && letters.size() != 1) {
      fail(key, "is longer than a character", "the first piece stands for an unknown character");
    }
    tokeniser.pieces_.push_back(piece);
    tokeniser.scores_.push_back(entry[1].is_null() ? 0 : entry[1].get<double>());
    tokeniser.lengths_.push_back(static_cast<int>(letters.size()));
    if (i < static_cast<std::size_t>(reserved)) continue;
    std::size_t place = 0;
    for (const char32_t letter : letters) {
      const auto fresh = static_cast<int>(tokeniser.trie_.size());
      const auto [next, added] = tokeniser.trie_[place].next.emplace(letter, fresh);
      place = static_cast<std::size_t>(next->second);
      if (added) tokeniser.trie_.emplace_back();
    }
    tokeniser.trie_[place].id = static_cast<std::int32_t>(i);
  }
  return tokeniser;
}

std::vector<std::int32_t> Tokeniser::encode(const std::string& sentence,
                                            const std::string& where) const {
  std::u32string letters = characters(normalised(sentence, where), where);
  if (letters.empty()) return {};
  std::replace(letters.begin(), letters.end(), U' ', separator);
  letters.insert(letters.begin(), separator);

  // ends[e]: pieces that end before letter e, by where they begin.
  std::vector<std::vector<std::int32_t>> ends(letters.size() + 1);
  for (std::size_t begin = 0; begin < letters.size(); ++begin) {
    bool found = false;
    std::size_t place = 0;
    for (std::size_t i = begin; i < letters.size(); ++i) {
      const auto next = trie_[place].next.find(letters[i]);
      if (next == trie_[place].next.end()) break;
      place = static_cast<std::size_t>(next->second);
      if (trie_[place].id < 0) continue;
      ends[i + 1].push_back(trie_[place].id);
      found = true;
    }
    if (!found) ends[begin + 1].push_back(0);
  }
  std::vector<double> best(ends.size());
  std::vector<std::int32_t> last(ends.size());
  for (std::size_t end = 1; end < ends.size(); ++end) {
    for (const std::int32_t id : ends[end]) {
      const auto i = static_cast<std::size_t>(id);
      const double score = scores_[i] + best[end - static_cast<std::size_t>(lengths_[i])];
      if (best[end] != 0 && score < best[end]) continue;
      best[end] = score;
      last[end] = id;
    }
  }
  std::vector<std::int32_t> ids;
  for (auto end = static_cast<std::int64_t>(letters.size()); end > 0;) {
    const std::int32_t id = last[static_cast<std::size_t>(end)];
    if (id != 0 || ids.empty() || ids.back() != 0) ids.push_back(id);
    end -= lengths_[static_cast<std::size_t>(id)];
  }
  std::reverse(ids.begin(), ids.end());
  return ids;
}

}  // namespace tessera
