#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/precision/graph_run.h"
#include "sim/precision/tokeniser.h"

namespace tessera {

/// A model that maps a sentence to a vector: a graph of the inputs `indices` [tokens, 2] (sentence,
/// position) and `values` [tokens] (ids of pieces) with one result [sentences, width], and the
/// vocabulary of the ids.
struct SentenceEncoder {
  GraphModel graph;
  Tokeniser tokeniser;
};

/// A sentence as the user wrote it.
struct Sentence {
  std::string text;
  int line = 0;  ///< in its file
};

/// Ids of the pieces of each sentence.
using TokenIds = std::vector<std::vector<std::int32_t>>;

/// Vectors [count][width].
struct Embeddings {
  std::int64_t count = 0, width = 0;
  std::vector<float> values;

  const float* of(std::int64_t sentence) const { return values.data() + sentence * width; }
};

/// Reads model.json with its shards and vocab.json of a folder. Throws InputError: what
/// load_graph_model() and Tokeniser::parse() throw, and a graph of other inputs or results.
SentenceEncoder load_sentence_encoder(const std::string& folder);

/// One sentence a line; empty lines and lines that begin with '#' are passed over. Throws
/// InputError if there are fewer than 2 or more than 4096.
std::vector<Sentence> parse_sentences(const std::string& text, const std::string& file);

/// Throws InputError naming file and line for text that is not UTF-8 or leaves no pieces.
TokenIds tokenise(const SentenceEncoder& encoder, const std::vector<Sentence>& sentences,
                  const std::string& file);

/// Runs sentences [first, first + count) as one batch, padded to the longest.
Embeddings embed(const SentenceEncoder& encoder, const TokenIds& ids, std::size_t first,
                 std::size_t count, GraphArithmetic& arithmetic);

/// Runs all in batches of `batch` sentences, in order.
Embeddings embed_all(const SentenceEncoder& encoder, const TokenIds& ids, std::size_t batch,
                     GraphArithmetic& arithmetic);

}  // namespace tessera
