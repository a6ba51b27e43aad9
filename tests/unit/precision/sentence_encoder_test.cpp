#include "sim/precision/sentence_encoder.h"

#include <catch2/catch.hpp>

#include "sim/base/error.h"
#include "tests/support/graph_folder.h"

namespace tessera {
namespace {

using Catch::Contains;

TEST_CASE("a sentence's vector does not depend on its batch") {
  test::GraphFolder folder;
  fill_tiny_encoder(folder);
  const SentenceEncoder encoder = load_sentence_encoder(folder.write());
  const auto sentences = parse_sentences("abc\na\n# not this\n\nhhhhgfe d\r\nbad", "s.txt");
  REQUIRE(sentences.size() == 4);
  CHECK(sentences[2].text == "hhhhgfe d");
  CHECK(sentences[2].line == 5);
  const TokenIds ids = tokenise(encoder, sentences, "s.txt");
  ReferenceArithmetic arithmetic;
  const Embeddings together = embed_all(encoder, ids, 4, arithmetic);
  const Embeddings apart = embed_all(encoder, ids, 1, arithmetic);
  const Embeddings uneven = embed_all(encoder, ids, 3, arithmetic);
  CHECK(together.count == 4);
  CHECK(together.width == 32);
  CHECK(together.values == apart.values);
  CHECK(together.values == uneven.values);
}

TEST_CASE("sentences that are none are errors with file and line") {
  test::GraphFolder folder;
  fill_tiny_encoder(folder);
  const SentenceEncoder encoder = load_sentence_encoder(folder.write());
  CHECK_THROWS_WITH(parse_sentences("# nothing\n", "s.txt"), Contains("s.txt: 0 sentences"));
  CHECK_THROWS_WITH(tokenise(encoder, {{"a", 1}, {"\xFF", 2}}, "s.txt"),
                    Contains("s.txt:2: is not UTF-8"));
}

TEST_CASE("a graph that is no sentence encoder is an error") {
  test::GraphFolder folder;
  folder.placeholder("x", 1).node("y", "Relu", {"x"});
  CHECK_THROWS_WITH(load_sentence_encoder(folder.write()), Contains("is no sentence encoder"));
}

}  // namespace
}  // namespace tessera
