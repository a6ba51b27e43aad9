#include "sim/precision/graph_model.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "sim/base/error.h"
#include "sim/precision/graph_run.h"
#include "tests/support/graph_folder.h"

namespace tessera {
namespace {

using Catch::Contains;
using test::GraphFolder;
using Json = nlohmann::json;

GraphValue matrix(std::vector<std::int64_t> shape, std::vector<float> values) {
  auto tensor = std::make_shared<GraphTensor>();
  tensor->shape = std::move(shape);
  tensor->floats = std::move(values);
  return tensor;
}

/// relu(x W + b), its nodes in an order that is not that of execution.
void fill_dense_layer(GraphFolder& graph) {
  graph.node("relu", "Relu", {"sum"}).node("sum", "BiasAdd", {"product", "bias"});
  graph.node("product", "MatMul", {"x", "weights"},
             {{"transpose_a", {{"b", false}}}, {"transpose_b", {{"b", false}}}});
  graph.placeholder("x", 1);
  graph.floats("weights", {2, 3}, {1, 2, 3, 4, 5, 6}).floats("bias", {3}, {0.5f, -100, 0});
}

std::string error_of(const GraphFolder& graph) {
  try {
    load_graph_model(graph.write());
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("a graph written by hand computes a dense layer") {
  GraphFolder folder;
  fill_dense_layer(folder);
  const GraphModel model = load_graph_model(folder.write());
  CHECK(model.parameters == 9);
  REQUIRE(model.outputs.size() == 1);
  CHECK(model.nodes[static_cast<std::size_t>(model.outputs[0])].name == "relu");
  ReferenceArithmetic arithmetic;
  const auto result = run_graph(model, {{"x", matrix({2, 2}, {1, 2, -1, 0.5f})}}, arithmetic);
  CHECK(result[0]->shape == std::vector<std::int64_t>{2, 3});
  CHECK(result[0]->floats == std::vector<float>{9.5f, 0, 15, 1.5f, 0, 0});
}

TEST_CASE("weights come from their shards in the order of the manifest, across a shard's end") {
  GraphFolder folder;
  fill_dense_layer(folder);
  const GraphModel model = load_graph_model(folder.write());
  for (const GraphNode& node : model.nodes) {
    if (node.name == "bias") CHECK(node.constant->floats == std::vector<float>{0.5f, -100, 0});
    if (node.name == "weights") {
      CHECK(node.constant->floats == std::vector<float>{1, 2, 3, 4, 5, 6});
    }
  }
}

TEST_CASE("text attributes may be bytes or Base64, whole numbers may be text") {
  GraphFolder folder;
  fill_dense_layer(folder);
  folder.nodes[1]["attr"] = {{"data_format", {{"s", {78, 72, 87, 67}}}}};
  folder.nodes[2]["attr"]["a"] = {{"i", "-7"}};
  CHECK(error_of(folder) == "no error");
  folder.nodes[1]["attr"] = {{"data_format", {{"s", "TkhXQw=="}}}};
  const GraphModel model = load_graph_model(folder.write());
  for (const GraphNode& node : model.nodes) {
    if (node.name == "sum") {
      CHECK(std::get<std::string>(node.attributes.at("data_format")) == "NHWC");
    }
    if (node.name == "product") CHECK(std::get<std::int64_t>(node.attributes.at("a")) == -7);
  }
}

TEST_CASE("a truncated shard is an error that names the weight") {
  GraphFolder folder;
  fill_dense_layer(folder);
  folder.bytes.pop_back();
  CHECK_THAT(error_of(folder), Contains("model.json: bias: needs 12 bytes, of which the shards "
                                        "hold 11"));
}

TEST_CASE("a shard that is too long is an error") {
  GraphFolder folder;
  fill_dense_layer(folder);
  folder.bytes += '\0';
  CHECK_THAT(error_of(folder), Contains("the shards hold 37 bytes, the weights 36"));
}

TEST_CASE("a missing file is an error that names it") {
  GraphFolder folder;
  CHECK_THROWS_WITH(load_graph_model(folder.path()), Contains("model.json: cannot be read"));
  fill_dense_layer(folder);
  folder.write();
  std::filesystem::remove(folder.path() + "/group1-shard2of2");
  CHECK_THROWS_WITH(load_graph_model(folder.path()), Contains("group1-shard2of2: cannot be read"));
  CHECK_THROWS_AS(load_graph_model("/"), InputError);
}

TEST_CASE("an operation that is not supported is an error with the list of those that are") {
  GraphFolder folder;
  fill_dense_layer(folder);
  folder.nodes[0]["op"] = "Elu";
  CHECK_THAT(error_of(folder), Contains("relu: the operation Elu is not supported") &&
                                   Contains("MatMul, Max, Maximum"));
}

TEST_CASE("each mistake in a graph has an error that names the node or weight") {
  GraphFolder folder;
  fill_dense_layer(folder);
  std::string expected;
  SECTION("an input that does not exist") {
    folder.nodes[0]["input"][0] = "nobody";
    expected = "relu: its input 'nobody' does not exist";
  }
  SECTION("an output number that is none") {
    folder.nodes[0]["input"][0] = "sum:x";
    expected = "relu: \"x\" is no whole number";
  }
  SECTION("a cycle") {
    folder.nodes[2]["input"][0] = "relu";
    expected = "depends on its own result";
  }
  SECTION("too few inputs") {
    folder.nodes[2]["input"].erase(1);
    expected = "product: MatMul has 1 inputs; it takes 2";
  }
  SECTION("a name twice") {
    folder.nodes[0]["name"] = "sum";
    expected = "sum: is the name of two nodes";
  }
  SECTION("a constant without weight") {
    folder.node("lost", "Const", {});
    expected = "lost: is a Const without a weight";
  }
  SECTION("a weight without constant") {
    folder.nodes[4]["op"] = "Placeholder";
    expected = "weights: is a weight that no Const node has";
  }
  SECTION("a weight twice") {
    folder.weights[1]["name"] = "weights";
    expected = "weights: is twice among the weights";
  }
  SECTION("an element type") {
    folder.weights[0]["dtype"] = "string";
    expected = "weights: elements of type 'string' are not supported";
  }
  SECTION("quantised weights") {
    folder.weights[0]["quantization"] = {{"dtype", "uint8"}};
    expected = "weights: is quantised";
  }
  SECTION("a negative dimension") {
    folder.weights[0]["shape"] = {2, -3};
    expected = "weights: its shape [2, -3] is out of bounds";
  }
  SECTION("dimensions whose product overflows") {
    folder.weights[0]["shape"] = {4294967296, 4294967296};
    expected = "is out of bounds";
  }
  SECTION("a weight that is NaN") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(folder.bytes.data() + 8, &nan, 4);
    expected = "weights: element 2 is nan";
  }
  SECTION("no name") {
    folder.nodes[0].erase("name");
    expected = "modelTopology.node[0].name: is missing";
  }
  SECTION("a node that is a number") {
    folder.nodes[0] = 3;
    expected = "modelTopology.node[0]: is no node";
  }
  CHECK_THAT(error_of(folder), Contains(expected));
}

TEST_CASE("each mistake in the manifest has an error") {
  GraphFolder folder;
  fill_dense_layer(folder);
  folder.write();
  Json json = folder.json();
  std::string expected;
  SECTION("a shard outside the folder") {
    json["weightsManifest"][0]["paths"][0] = "../secret";
    expected = "'../secret' is outside the model's folder";
  }
  SECTION("paths that are no list") {
    json["weightsManifest"][0]["paths"] = "group1-shard1of2";
    expected = "weightsManifest[0].paths: is string; give array";
  }
  SECTION("no manifest") {
    json.erase("weightsManifest");
    expected = "weightsManifest: is missing";
  }
  SECTION("no topology") {
    json.erase("modelTopology");
    expected = "modelTopology: is missing";
  }
  SECTION("a layers model") {
    json["format"] = "layers-model";
    expected = "format: \"layers-model\" is not supported";
  }
  folder.write("model.json", json.dump());
  CHECK_THROWS_WITH(load_graph_model(folder.path()), Contains(expected));
}

TEST_CASE("what is not JSON, or is nested too deep, is an error with its line") {
  GraphFolder folder;
  folder.write("model.json", "{\n\n  \"a\": nil\n}");
  CHECK_THROWS_WITH(load_graph_model(folder.path()), Contains("model.json:3: not JSON"));
  folder.write("model.json", std::string(100000, '['));
  CHECK_THROWS_WITH(load_graph_model(folder.path()), Contains("nested deeper than 64"));
  folder.write("model.json", "[]");
  CHECK_THROWS_WITH(load_graph_model(folder.path()), Contains("not a TensorFlow.js model"));
}

TEST_CASE("a model.json cut short anywhere is an error, never a crash") {
  GraphFolder folder;
  fill_dense_layer(folder);
  folder.write();
  const std::string whole = folder.json().dump();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    folder.write("model.json", whole.substr(0, length));
    CHECK_THROWS_AS(load_graph_model(folder.path()), InputError);
  }
}

TEST_CASE("a run with wrong inputs is an error that names them") {
  GraphFolder folder;
  fill_dense_layer(folder);
  const GraphModel model = load_graph_model(folder.write());
  ReferenceArithmetic arithmetic;
  const GraphValue x = matrix({1, 2}, {1, 2});
  CHECK_THROWS_WITH(run_graph(model, {}, arithmetic), Contains("x: the graph's input is missing"));
  CHECK_THROWS_WITH(run_graph(model, {{"x", x}, {"y", x}}, arithmetic),
                    Contains("y: is no input of the graph"));
  CHECK_THROWS_WITH(run_graph(model, {{"x", matrix({1, 3}, {1, 2, 3})}}, arithmetic),
                    Contains("product: MatMul: the shapes [1, 3] and [2, 3] do not fit"));
  const auto ints =
      std::make_shared<GraphTensor>(GraphElement::int32, std::vector<std::int64_t>{1, 2});
  CHECK_THROWS_WITH(run_graph(model, {{"x", ints}}, arithmetic),
                    Contains("x: the graph's input is int32; give float32"));
}

}  // namespace
}  // namespace tessera
