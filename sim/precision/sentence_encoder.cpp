#include "sim/precision/sentence_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "sim/base/error.h"
#include "sim/precision/json_text.h"

namespace tessera {

namespace {

constexpr std::size_t max_vocabulary_bytes = std::size_t{64} << 20;
constexpr std::size_t max_sentences = 4096;

}  // namespace

SentenceEncoder load_sentence_encoder(const std::string& folder) {
  SentenceEncoder encoder;
  encoder.graph = load_graph_model(folder);
  std::vector<std::string> inputs;
  for (const int i : encoder.graph.inputs) {
    inputs.push_back(encoder.graph.nodes[static_cast<std::size_t>(i)].name);
  }
  std::sort(inputs.begin(), inputs.end());
  if (inputs != std::vector<std::string>{"indices", "values"} ||
      encoder.graph.outputs.size() != 1) {
    throw InputError({encoder.graph.file, 0}, "modelTopology", "is no sentence encoder",
                     "its inputs are 'indices' and 'values', and it has one result");
  }
  const std::string vocabulary = folder + "/vocab.json";
  encoder.tokeniser = Tokeniser::parse(read_file(vocabulary, max_vocabulary_bytes), vocabulary);
  return encoder;
}

std::vector<Sentence> parse_sentences(const std::string& text, const std::string& file) {
  std::vector<Sentence> sentences;
  int line = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    ++line;
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string sentence = text.substr(begin, end - begin);
    if (!sentence.empty() && sentence.back() == '\r') sentence.pop_back();
    if (!sentence.empty() && sentence.front() != '#') sentences.push_back({sentence, line});
    begin = end + 1;
  }
  if (sentences.size() < 2 || sentences.size() > max_sentences) {
    throw InputError({file, 0}, "", fmt::format("{} sentences", sentences.size()),
                     fmt::format("give 2 to {}, one a line", max_sentences));
  }
  return sentences;
}

TokenIds tokenise(const SentenceEncoder& encoder, const std::vector<Sentence>& sentences,
                  const std::string& file) {
  TokenIds ids;
  for (const Sentence& sentence : sentences) {
    ids.push_back(
        encoder.tokeniser.encode(sentence.text, fmt::format("{}:{}", file, sentence.line)));
    if (ids.back().empty()) {
      throw InputError({file, sentence.line}, "", "is an empty sentence", "write at least a word");
    }
  }
  return ids;
}

Embeddings embed(const SentenceEncoder& encoder, const TokenIds& ids, std::size_t first,
                 std::size_t count, GraphArithmetic& arithmetic) {
  GraphTensor indices, values;
  indices.type = values.type = GraphElement::int32;
  for (std::size_t s = 0; s < count; ++s) {
    const std::vector<std::int32_t>& pieces = ids[first + s];
    for (std::size_t p = 0; p < pieces.size(); ++p) {
      indices.ints.push_back(static_cast<std::int32_t>(s));
      indices.ints.push_back(static_cast<std::int32_t>(p));
      values.ints.push_back(pieces[p]);
    }
  }
  values.shape = {values.size()};
  indices.shape = {values.size(), 2};
  const GraphValue result =
      run_graph(encoder.graph,
                {{"indices", std::make_shared<GraphTensor>(std::move(indices))},
                 {"values", std::make_shared<GraphTensor>(std::move(values))}},
                arithmetic)
          .front();
  if (result->type != GraphElement::float32 || result->rank() != 2 ||
      result->shape[0] != static_cast<std::int64_t>(count)) {
    throw InputError({encoder.graph.file, 0}, "modelTopology",
                     fmt::format("{} sentences become {}", count, shown(result->shape)),
                     "give a graph with one vector for each sentence");
  }
  return {result->shape[0], result->shape[1], result->floats};
}

Embeddings embed_all(const SentenceEncoder& encoder, const TokenIds& ids, std::size_t batch,
                     GraphArithmetic& arithmetic) {
  Embeddings all;
  for (std::size_t first = 0; first < ids.size(); first += batch) {
    const std::size_t count = std::min(batch, ids.size() - first);
    const Embeddings some = embed(encoder, ids, first, count, arithmetic);
    all.width = some.width;
    all.count += some.count;
    all.values.insert(all.values.end(), some.values.begin(), some.values.end());
  }
  return all;
}

}  // namespace tessera
