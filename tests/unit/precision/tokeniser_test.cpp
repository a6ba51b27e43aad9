#include "sim/precision/tokeniser.h"

#include <catch2/catch.hpp>

#include "sim/base/error.h"

namespace tessera {
namespace {

using Catch::Contains;
using Ids = std::vector<std::int32_t>;

/// Six reserved pieces, then those given.
Tokeniser tokeniser(const std::string& pieces) {
  return Tokeniser::parse(
      R"([["?",0],["<s>",0],["</s>",0],["x1",0],["x2",0],["x3",0],)" + pieces + "]", "vocab.json");
}

Ids encode(const std::string& pieces, const std::string& sentence) {
  return tokeniser(pieces).encode(sentence, "sentences:1");
}

TEST_CASE("the pieces of the highest total score win") {
  const std::string pieces = R"(["▁",-3],["a",-3],["b",-3],["ab",-3.5],["▁a",-4],["▁ab",-9])";
  CHECK(encode(pieces, "ab") == Ids{6, 9});  // -3 - 3.5, against ▁a b -4 - 3 and ▁ab -9
  CHECK(encode(pieces, "a") == Ids{10});
  CHECK(encode(pieces, "ab ab") == Ids{6, 9, 6, 9});
}

TEST_CASE("of equal scores the piece that begins later wins") {
  CHECK(encode(R"(["▁",-1],["a",-1],["▁a",-2])", "a") == Ids{6, 7});
}

TEST_CASE("characters without piece are unknown, runs of them one piece") {
  const std::string pieces = R"(["▁",-1],["a",-1])";
  CHECK(encode(pieces, "azzza") == Ids{6, 7, 0, 7});
  CHECK(encode(pieces, "zaz") == Ids{6, 0, 7, 0});
}

TEST_CASE("reserved pieces are not found in the text") {
  CHECK(encode(R"(["▁",-1])", "<s>") == Ids{6, 0});
}

TEST_CASE("text is brought to Unicode's form NFKC") {
  const std::string pieces = R"(["▁",-1],["f",-1],["i",-1],["é",-1],["1",-1],["2",-1])";
  CHECK(encode(pieces, "\xEF\xAC\x81") == Ids{6, 7, 8});  // the ligature fi
  CHECK(encode(pieces, "e\xCC\x81") == Ids{6, 9});        // e and a combining accent
  CHECK(encode(pieces, "\xEF\xBC\x91\xC2\xA0\xC2\xB2") == Ids{6, 10, 6, 11});  // wide 1, hard space
}

TEST_CASE("a score of null is 0, and the last of equal pieces counts") {
  CHECK(encode(R"(["▁",-1],["a",-1],[":",null],["a",-5])", "a:") == Ids{6, 9, 8});
}

TEST_CASE("nothing has no pieces") { CHECK(encode(R"(["▁",-1])", "").empty()); }

TEST_CASE("a sentence that is not UTF-8 is an error that says where") {
  CHECK_THROWS_WITH(encode(R"(["▁",-1])", "\xFF"), Contains("sentences:1: is not UTF-8"));
  CHECK_THROWS_WITH(encode(R"(["▁",-1])", "a\xE2\x96"), Contains("is not UTF-8"));
}

TEST_CASE("what is no vocabulary is an error that names the entry") {
  CHECK_THROWS_WITH(Tokeniser::parse("{}", "vocab.json"), Contains("is no vocabulary"));
  CHECK_THROWS_WITH(Tokeniser::parse("[[\"a\", 0]]", "vocab.json"), Contains("more than 6 pieces"));
  CHECK_THROWS_WITH(tokeniser(R"(["a"])"), Contains("vocab.json: [6]: is no piece"));
  CHECK_THROWS_WITH(tokeniser(R"([1, 2])"), Contains("[6]: is no piece"));
  CHECK_THROWS_WITH(tokeniser(R"(["a", "b"])"), Contains("[6]: is no piece"));
  CHECK_THROWS_WITH(tokeniser(R"(["", 1])"), Contains("[6]: is an empty piece"));
  CHECK_THROWS_WITH(Tokeniser::parse("[[", "vocab.json"), Contains("vocab.json:1: not JSON"));
}

}  // namespace
}  // namespace tessera
