#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace tessera::test {

/// A TensorFlow.js graph model written by hand, in a folder of its own that goes with it.
class GraphFolder {
 public:
  using Json = nlohmann::json;

  GraphFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "tessera-graph-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~GraphFolder() { std::filesystem::remove_all(path_); }
  GraphFolder(const GraphFolder&) = delete;
  GraphFolder& operator=(const GraphFolder&) = delete;

  const std::string& path() const { return path_; }

  GraphFolder& placeholder(const std::string& name, int type) {
    return node(name, "Placeholder", {}, {{"dtype", {{"type", type}}}});
  }

  GraphFolder& node(const std::string& name, const std::string& op,
                    const std::vector<std::string>& inputs,
                    const Json& attributes = Json::object()) {
    nodes.push_back({{"name", name}, {"op", op}, {"input", inputs}, {"attr", attributes}});
    return *this;
  }

  GraphFolder& floats(const std::string& name, const std::vector<std::int64_t>& shape,
                      const std::vector<float>& values) {
    return weight(name, shape, "float32", values.data(), values.size() * sizeof(float));
  }

  GraphFolder& ints(const std::string& name, const std::vector<std::int64_t>& shape,
                    const std::vector<std::int32_t>& values) {
    return weight(name, shape, "int32", values.data(), values.size() * sizeof(std::int32_t));
  }

  Json json() const {
    return {{"modelTopology", {{"node", nodes}}},
            {"weightsManifest",
             {{{"paths", {"group1-shard1of2", "group1-shard2of2"}}, {"weights", weights}}}}};
  }

  /// Writes model.json and the weights in two shards; the folder's path.
  const std::string& write() const {
    write("model.json", json().dump());
    write("group1-shard1of2", bytes.substr(0, bytes.size() / 2));
    write("group1-shard2of2", bytes.substr(bytes.size() / 2));
    return path_;
  }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name, std::ios::binary) << text;
  }

  Json nodes = Json::array(), weights = Json::array();
  std::string bytes;

 private:
  GraphFolder& weight(const std::string& name, const std::vector<std::int64_t>& shape,
                      const std::string& type, const void* values, std::size_t length) {
    node(name, "Const", {});
    weights.push_back({{"name", name}, {"shape", shape}, {"dtype", type}});
    const std::size_t at = bytes.size();
    bytes.resize(at + length);
    std::memcpy(bytes.data() + at, values, length);
    return *this;
  }

  std::string path_;
};

/// A sentence encoder: tanh(sum of the pieces' rows of a table, times a matrix), and a vocabulary
/// of the letters a to h.
inline void fill_tiny_encoder(GraphFolder& graph) {
  const std::int64_t pieces = 15, width = 32;
  std::vector<float> table, matrix;
  std::uint32_t state = 1;
  const auto next = [&state] {
    state = state * 1664525U + 1013904223U;
    return static_cast<float>(state >> 8) / 16777216.0f - 0.5f;
  };
  for (std::int64_t i = 0; i < pieces * width; ++i) table.push_back(next());
  for (std::int64_t i = 0; i < width * width; ++i) matrix.push_back(next());
  graph.placeholder("indices", 9).placeholder("values", 9);
  graph.floats("table", {pieces, width}, table).floats("matrix", {width, width}, matrix);
  graph.ints("zero", {}, {0}).ints("one", {}, {1}).ints("ones", {2}, {1, 1});
  graph.ints("width", {1}, {static_cast<std::int32_t>(width)});
  graph.node("rows", "GatherV2", {"table", "values", "zero"});
  graph.node("last", "Max", {"indices", "zero"}).node("size", "Add", {"last", "ones"});
  graph.node("shape", "ConcatV2", {"size", "width", "zero"});
  graph.node("padded", "ScatterNd", {"indices", "rows", "shape"});
  graph.node("sum", "Sum", {"padded", "one"});
  graph.node("hidden/MatMul", "MatMul", {"sum", "matrix"});
  graph.node("embedding", "Tanh", {"hidden/MatMul"});
  graph.write("vocab.json",
              R"([["?",0],["<s>",0],["</s>",0],["x1",0],["x2",0],["x3",0],["▁",-2],["a",-1],)"
              R"(["b",-1],["c",-1],["d",-1],["e",-1],["f",-1],["g",-1],["h",-1]])");
}

}  // namespace tessera::test
