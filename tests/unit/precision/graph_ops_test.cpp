#include "sim/precision/graph_ops.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "sim/base/error.h"

namespace tessera {
namespace {

using Catch::Contains;
using Shape = std::vector<std::int64_t>;
using Attributes = std::map<std::string, GraphAttribute>;

GraphValue floats(Shape shape, std::vector<float> values) {
  auto tensor = std::make_shared<GraphTensor>();
  tensor->shape = std::move(shape);
  tensor->floats = std::move(values);
  return tensor;
}

GraphValue ints(Shape shape, std::vector<std::int32_t> values,
                GraphElement type = GraphElement::int32) {
  auto tensor = std::make_shared<GraphTensor>();
  tensor->type = type;
  tensor->shape = std::move(shape);
  tensor->ints = std::move(values);
  return tensor;
}

GraphValue list(std::vector<std::int32_t> values) {
  return ints({static_cast<std::int64_t>(values.size())}, values);
}
GraphValue scalar(std::int32_t value) { return ints({}, {value}); }
GraphValue booleans(Shape shape, std::vector<std::int32_t> values) {
  return ints(std::move(shape), std::move(values), GraphElement::boolean);
}

std::vector<GraphTensor> compute(const std::string& op, const std::vector<GraphValue>& inputs,
                                 const Attributes& attributes = {}) {
  GraphNode node;
  node.name = "node";
  node.op = op;
  node.attributes = attributes;
  const std::string file = "model.json";
  ReferenceArithmetic arithmetic;
  return find_graph_op(op)->compute({node, file, inputs, false, arithmetic});
}

void check(const GraphTensor& result, const GraphValue& expected) {
  CHECK(result.type == expected->type);
  CHECK(result.shape == expected->shape);
  CHECK(result.floats == expected->floats);
  CHECK(result.ints == expected->ints);
}

void check(const std::vector<GraphTensor>& results, const GraphValue& expected) {
  REQUIRE(results.size() == 1);
  check(results[0], expected);
}

const GraphValue six = floats({2, 3}, {1, 2, 3, 4, 5, 6});

TEST_CASE("operands of different shapes are stretched") {
  check(compute("Add", {six, floats({3}, {10, 20, 30})}), floats({2, 3}, {11, 22, 33, 14, 25, 36}));
  check(compute("Sub", {six, floats({2, 1}, {1, 4})}), floats({2, 3}, {0, 1, 2, 0, 1, 2}));
  check(compute("Mul", {floats({2, 1}, {2, 3}), floats({1, 2}, {5, 7})}),
        floats({2, 2}, {10, 14, 15, 21}));
  check(compute("RealDiv", {floats({}, {6}), floats({2}, {2, 4})}), floats({2}, {3, 1.5f}));
  check(compute("Maximum", {list({1, 5}), list({3, 2})}), list({3, 5}));
  check(compute("Less", {list({1, 2, 3}), scalar(2)}), booleans({3}, {1, 0, 0}));
  check(compute("Greater", {six, floats({}, {4})}), booleans({2, 3}, {0, 0, 0, 0, 1, 1}));
  check(compute("Add", {floats({0, 3}, {}), floats({3}, {1, 2, 3})}), floats({0, 3}, {}));
  CHECK_THROWS_WITH(compute("Add", {six, floats({2}, {1, 2})}),
                    Contains("model.json: node: Add: the shapes [2, 3] and [2] do not fit"));
  CHECK_THROWS_WITH(compute("Add", {six, list({1, 2, 3})}), Contains("input 1 is int32"));
}

TEST_CASE("integers wrap at 32 bits") {
  check(compute("Add", {list({2147483647}), list({1})}), list({-2147483647 - 1}));
  check(compute("Mul", {list({65536}), list({65537})}), list({65536}));
}

TEST_CASE("a bias is added along the last dimension") {
  check(compute("BiasAdd", {six, floats({3}, {1, 0, -1})}), floats({2, 3}, {2, 2, 2, 5, 5, 5}));
  CHECK_THROWS_WITH(compute("BiasAdd", {six, floats({2}, {1, 2})}),
                    Contains("a bias of shape [2] on [2, 3]"));
  CHECK_THROWS_WITH(
      compute("BiasAdd", {six, floats({3}, {1, 2, 3})}, {{"data_format", std::string("NCHW")}}),
      Contains("data_format NCHW"));
}

TEST_CASE("functions of each element") {
  check(compute("Relu", {floats({3}, {-1, 0, 2})}), floats({3}, {0, 0, 2}));
  check(compute("Square", {floats({2}, {-3, 0.5f})}), floats({2}, {9, 0.25f}));
  check(compute("Rsqrt", {floats({2}, {4, 0.25f})}), floats({2}, {0.5f, 2}));
  check(compute("Tanh", {floats({1}, {0})}), floats({1}, {0}));
  check(compute("Sin", {floats({1}, {0})}), floats({1}, {0}));
  check(compute("Cos", {floats({1}, {0})}), floats({1}, {1}));
  check(compute("LogicalNot", {booleans({2}, {0, 1})}), booleans({2}, {1, 0}));
  CHECK_THROWS_WITH(compute("Tanh", {list({1})}), Contains("input 0 is int32; give float32"));
}

TEST_CASE("casts truncate, and refuse what no integer holds") {
  check(compute("Cast", {booleans({2}, {0, 1})}, {{"DstT", GraphElement::float32}}),
        floats({2}, {0, 1}));
  check(compute("Cast", {floats({3}, {-1.9f, 2.9f, 0})}, {{"DstT", GraphElement::int32}}),
        list({-1, 2, 0}));
  check(compute("Cast", {list({-1, 0})}, {{"DstT", GraphElement::boolean}}), booleans({2}, {1, 0}));
  CHECK_THROWS_WITH(compute("Cast", {floats({1}, {3e9f})}, {{"DstT", GraphElement::int32}}),
                    Contains("is no 32-bit integer"));
  CHECK_THROWS_WITH(compute("Cast", {floats({1}, {NAN})}, {{"DstT", GraphElement::int32}}),
                    Contains("is no 32-bit integer"));
  CHECK_THROWS_WITH(compute("Cast", {six}), Contains("the attribute 'DstT' is missing"));
}

TEST_CASE("reductions of one dimension, of several, kept or not") {
  check(compute("Sum", {six, scalar(1)}), floats({2}, {6, 15}));
  check(compute("Sum", {six, list({0, 1})}), floats({}, {21}));
  check(compute("Mean", {six, list({-1})}, {{"keep_dims", true}}), floats({2, 1}, {2, 5}));
  check(compute("Max", {list({3, 9, 2}), scalar(0)}), ints({}, {9}));
  check(compute("Prod", {list({3, 4}), scalar(0)}), ints({}, {12}));
  check(compute("Prod", {list({}), scalar(0)}), ints({}, {1}));
  CHECK_THROWS_WITH(compute("Sum", {six, scalar(2)}), Contains("there is no dimension 2 of 2"));
  CHECK_THROWS_WITH(compute("Max", {list({}), scalar(0)}), Contains("nothing to reduce"));
  CHECK_THROWS_WITH(compute("Prod", {list({65536, 65536}), scalar(0)}),
                    Contains("is no 32-bit integer"));
}

TEST_CASE("softmax of rows, safe for large values and for masked ones") {
  const GraphTensor result = compute("Softmax", {floats({2, 2}, {1000, 1000, 0, -1e9f})}).front();
  CHECK(result.floats == std::vector<float>{0.5f, 0.5f, 1, 0});
}

TEST_CASE("shapes change, elements stay") {
  check(compute("Reshape", {six, list({3, -1})}), floats({3, 2}, {1, 2, 3, 4, 5, 6}));
  check(compute("ExpandDims", {six, scalar(-1)}), floats({2, 3, 1}, {1, 2, 3, 4, 5, 6}));
  check(compute("Squeeze", {floats({1, 2, 1}, {1, 2})}), floats({2}, {1, 2}));
  check(compute("Squeeze", {floats({1, 2, 1}, {1, 2})}, {{"squeeze_dims", Shape{2}}}),
        floats({1, 2}, {1, 2}));
  check(compute("Shape", {six}), list({2, 3}));
  check(compute("Identity", {six}), six);
  check(compute("Reshape", {floats({0, 3}, {}), list({0})}), floats({0}, {}));
  CHECK_THROWS_WITH(compute("Reshape", {six, list({4, -1})}),
                    Contains("[2, 3] does not become [4, -1]"));
  CHECK_THROWS_WITH(compute("Reshape", {floats({0}, {}), list({0, 65536, 65536})}),
                    Contains("does not become"));
  CHECK_THROWS_WITH(compute("Reshape", {six, list({-1, -1})}), Contains("does not become"));
  CHECK_THROWS_WITH(compute("Reshape", {six, list({-2, -3})}), Contains("does not become"));
  CHECK_THROWS_WITH(compute("Squeeze", {six}, {{"squeeze_dims", Shape{0}}}),
                    Contains("dimension 0 of [2, 3] is not 1"));
}

TEST_CASE("dimensions are exchanged") {
  check(compute("Transpose", {six, list({1, 0})}), floats({3, 2}, {1, 4, 2, 5, 3, 6}));
  const GraphValue cube = ints({2, 1, 3}, {1, 2, 3, 4, 5, 6});
  check(compute("Transpose", {cube, list({2, 0, 1})}), ints({3, 2, 1}, {1, 4, 2, 5, 3, 6}));
  CHECK_THROWS_WITH(compute("Transpose", {six, list({0, 0})}), Contains("is no order"));
}

TEST_CASE("tensors are joined, stacked and split") {
  check(compute("ConcatV2", {six, floats({2, 1}, {7, 8}), scalar(1)}),
        floats({2, 4}, {1, 2, 3, 7, 4, 5, 6, 8}));
  check(compute("Pack", {list({1, 2}), list({3, 4})}, {{"axis", std::int64_t{1}}}),
        ints({2, 2}, {1, 3, 2, 4}));
  check(compute("Pack", {scalar(1), scalar(2)}), list({1, 2}));
  const auto parts = compute("SplitV", {six, list({1, 2}), scalar(1)});
  REQUIRE(parts.size() == 2);
  check(parts[0], floats({2, 1}, {1, 4}));
  check(parts[1], floats({2, 2}, {2, 3, 5, 6}));
  CHECK_THROWS_WITH(compute("ConcatV2", {six, floats({3}, {1, 2, 3}), scalar(0)}),
                    Contains("do not fit"));
  CHECK_THROWS_WITH(compute("SplitV", {six, list({1, 1}), scalar(1)}),
                    Contains("the parts [1, 1] do not fill dimension 1"));
}

TEST_CASE("parts of a tensor") {
  check(compute("Slice", {six, list({0, 1}), list({-1, 2})}), floats({2, 2}, {2, 3, 5, 6}));
  const auto strided = [](std::vector<std::int32_t> from, std::vector<std::int32_t> to,
                          std::vector<std::int32_t> by, Attributes masks = {}) {
    return compute("StridedSlice",
                   {six, list(std::move(from)), list(std::move(to)), list(std::move(by))}, masks);
  };
  check(strided({0, 0}, {2, 3}, {1, 2}), floats({2, 2}, {1, 3, 4, 6}));
  check(strided({-1}, {2}, {1}), floats({1, 3}, {4, 5, 6}));
  // Column 1 of all rows, as x[:, 1].
  check(strided({9, 1}, {0, 2}, {1, 1},
                {{"begin_mask", std::int64_t{1}},
                 {"end_mask", std::int64_t{1}},
                 {"shrink_axis_mask", std::int64_t{2}}}),
        floats({2}, {2, 5}));
  check(strided({1, 2}, {0, 0}, {1, 1}, {{"shrink_axis_mask", std::int64_t{3}}}), floats({}, {6}));
  check(strided({2}, {9}, {1}), floats({0, 3}, {}));
  CHECK_THROWS_WITH(strided({2}, {3}, {1}, {{"shrink_axis_mask", std::int64_t{1}}}),
                    Contains("there is no element 2 of 2"));
  CHECK_THROWS_WITH(strided({0}, {2}, {-1}), Contains("a step of -1"));
  CHECK_THROWS_WITH(strided({0}, {2}, {1}, {{"ellipsis_mask", std::int64_t{1}}}),
                    Contains("ellipsis_mask"));
  CHECK_THROWS_WITH(compute("Slice", {six, list({0, 2}), list({2, 2})}),
                    Contains("[2, 2] from [0, 2] of [2, 3]"));
}

TEST_CASE("rows are gathered and scattered") {
  check(compute("GatherV2", {six, list({1, 0, 1}), scalar(0)}),
        floats({3, 3}, {4, 5, 6, 1, 2, 3, 4, 5, 6}));
  check(compute("GatherV2", {six, scalar(2), scalar(1)}), floats({2}, {3, 6}));
  check(compute("GatherNd", {six, ints({2, 2}, {0, 2, 1, 0})}), floats({2}, {3, 4}));
  check(compute("GatherNd", {six, ints({1, 1}, {1})}), floats({1, 3}, {4, 5, 6}));
  check(compute("ScatterNd", {ints({3, 1}, {2, 0, 2}), list({5, 6, 7}), list({4})}),
        list({6, 0, 12, 0}));
  check(compute("SparseToDense",
                {ints({2, 2}, {0, 1, 1, 0}), list({2, 2}), list({5, 6}), scalar(-1)}),
        ints({2, 2}, {-1, 5, 6, -1}));
  check(compute("Where", {booleans({2, 2}, {0, 1, 1, 0})}), ints({2, 2}, {0, 1, 1, 0}));
  check(compute("Range", {scalar(1), scalar(6), scalar(2)}), list({1, 3, 5}));
  check(compute("Range", {scalar(3), scalar(1), scalar(1)}), list({}));
  CHECK_THROWS_WITH(compute("GatherV2", {six, list({2}), scalar(0)}),
                    Contains("there is no element 2 of 2"));
  CHECK_THROWS_WITH(compute("GatherNd", {six, ints({1, 3}, {0, 0, 0})}),
                    Contains("indices [1, 3] into [2, 3]"));
  CHECK_THROWS_WITH(compute("ScatterNd", {ints({1, 1}, {4}), list({5}), list({4})}),
                    Contains("there is no element 4 of 4"));
  CHECK_THROWS_WITH(compute("ScatterNd", {ints({1, 1}, {0}), list({5, 6}), list({4})}),
                    Contains("give updates [1]"));
  CHECK_THROWS_WITH(compute("ScatterNd", {ints({0, 1}, {}), list({}), list({65536, 65536})}),
                    Contains("out of bounds"));
}

TEST_CASE("matrices are multiplied, transposed where asked for, one by one in stacks") {
  const GraphValue square = floats({2, 2}, {1, 2, 3, 4});
  const GraphValue other = floats({2, 2}, {5, 6, 7, 8});
  check(compute("MatMul", {square, other}), floats({2, 2}, {19, 22, 43, 50}));
  check(compute("MatMul", {square, other}, {{"transpose_a", true}}),
        floats({2, 2}, {26, 30, 38, 44}));
  check(compute("MatMul", {square, other}, {{"transpose_b", true}}),
        floats({2, 2}, {17, 23, 39, 53}));
  check(compute("BatchMatMul", {floats({2, 1, 2}, {1, 2, 3, 4}), floats({2, 2, 1}, {1, 1, 2, 2})}),
        floats({2, 1, 1}, {3, 14}));
  check(compute("BatchMatMul", {floats({2, 1, 2}, {1, 2, 3, 4}), floats({2, 1, 2}, {1, 1, 2, 2})},
                {{"adj_y", true}}),
        floats({2, 1, 1}, {3, 14}));
  CHECK_THROWS_WITH(compute("MatMul", {six, six}), Contains("[2, 3] and [2, 3] do not fit"));
  CHECK_THROWS_WITH(compute("BatchMatMul", {floats({2, 1, 1}, {1, 2}), floats({1, 1, 1}, {1})}),
                    Contains("do not fit"));
}

TEST_CASE("a convolution of one pixel multiplies the channels and others are refused") {
  const GraphValue image = floats({1, 2, 1, 2}, {1, 2, 3, 4});
  const Attributes attributes = {{"strides", Shape{1, 1, 1, 1}}, {"dilations", Shape{1, 1, 1, 1}}};
  check(compute("Conv2D", {image, floats({1, 1, 2, 1}, {10, 1})}, attributes),
        floats({1, 2, 1, 1}, {12, 34}));
  CHECK_THROWS_WITH(compute("Conv2D", {image, floats({2, 1, 2, 1}, {1, 2, 3, 4})}, attributes),
                    Contains("supported are 1x1 kernels"));
  CHECK_THROWS_WITH(
      compute("Conv2D", {image, floats({1, 1, 2, 1}, {10, 1})}, {{"strides", Shape{1, 2, 1, 1}}}),
      Contains("supported are 1x1 kernels"));
}

}  // namespace
}  // namespace tessera
