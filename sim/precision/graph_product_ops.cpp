#include <fmt/format.h>

#include <algorithm>

#include "sim/datapath/product.h"
#include "sim/precision/graph_call.h"

namespace tessera {

namespace {

/// The matrices of a stack with rows and columns exchanged.
std::vector<float> transposed(const std::vector<float>& stack, std::int64_t batch,
                              std::int64_t rows, std::int64_t cols) {
  std::vector<float> result(stack.size());
  for (std::int64_t b = 0; b < batch; ++b) {
    const float* from = stack.data() + b * rows * cols;
    float* to = result.data() + b * rows * cols;
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < cols; ++c) to[c * rows + r] = from[r * cols + c];
    }
  }
  return result;
}

/// Fills in the rest of a product and computes it; B is [batch][n][k].
std::vector<GraphTensor> run(const CheckedCall& call, GraphProduct product,
                             const std::vector<float>& a, const std::vector<float>& b,
                             const std::vector<std::int64_t>& shape) {
  GraphTensor out = call.result(GraphElement::float32, shape);
  product.node = call.call().node.name;
  product.weights = call.call().constant_weights;
  product.a = a.data();
  product.b = b.data();
  product.d = out.floats.data();
  call.call().arithmetic.multiply(product);
  return only(std::move(out));
}

/// Inputs 0 and 1 multiplied as stacks of matrices, each transposed first if asked for.
std::vector<GraphTensor> multiply(const CheckedCall& call, bool transpose_a, bool transpose_b) {
  const GraphTensor& a = call.floats(0);
  const GraphTensor& b = call.floats(1);
  const std::size_t rank = a.shape.size();
  const std::int64_t a_rows = a.shape[rank - 2], a_cols = a.shape[rank - 1];
  const std::int64_t b_rows = b.shape[rank - 2], b_cols = b.shape[rank - 1];
  GraphProduct product;
  product.m = transpose_a ? a_cols : a_rows;
  product.k = transpose_a ? a_rows : a_cols;
  product.n = transpose_b ? b_rows : b_cols;
  if (!std::equal(a.shape.begin(), a.shape.end() - 2, b.shape.begin()) ||
      product.k != (transpose_b ? b_cols : b_rows)) {
    call.fail(fmt::format("the shapes {} and {} do not fit", shown(a.shape), shown(b.shape)),
              "give matrices that can be multiplied");
  }
  std::vector<std::int64_t> shape(a.shape.begin(), a.shape.end() - 2);
  product.batch = elements(shape);
  shape.insert(shape.end(), {product.m, product.n});
  std::vector<float> turned_a, turned_b;
  if (transpose_a) turned_a = transposed(a.floats, product.batch, a_rows, a_cols);
  if (!transpose_b) turned_b = transposed(b.floats, product.batch, b_rows, b_cols);
  return run(call, product, transpose_a ? turned_a : a.floats, transpose_b ? b.floats : turned_b,
             shape);
}

std::vector<GraphTensor> mat_mul(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  if (call.input(0).rank() != 2 || call.input(1).rank() != 2) {
    call.fail(
        fmt::format("the shapes {} and {}", shown(call.input(0).shape), shown(call.input(1).shape)),
        "give two matrices");
  }
  return multiply(call, call.flag("transpose_a", false), call.flag("transpose_b", false));
}

std::vector<GraphTensor> batch_mat_mul(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  if (call.input(0).rank() < 2 || call.input(0).rank() != call.input(1).rank()) {
    call.fail(
        fmt::format("the shapes {} and {}", shown(call.input(0).shape), shown(call.input(1).shape)),
        "give two stacks of as many matrices");
  }
  return multiply(call, call.flag("adj_x", false), call.flag("adj_y", false));
}

/// A kernel of one pixel is a matrix product over the channels.
std::vector<GraphTensor> conv_2d(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const GraphTensor& image = call.floats(0);
  const GraphTensor& kernel = call.floats(1);
  const auto ones = [](const std::vector<std::int64_t>& list) {
    return std::all_of(list.begin(), list.end(), [](std::int64_t step) { return step == 1; });
  };
  if (image.rank() != 4 || kernel.rank() != 4 || kernel.shape[0] != 1 || kernel.shape[1] != 1 ||
      !ones(call.numbers("strides")) || !ones(call.numbers("dilations")) ||
      call.text("data_format", "NHWC") != "NHWC" || image.shape[3] != kernel.shape[2]) {
    call.fail(fmt::format("an image {} and a kernel {}", shown(image.shape), shown(kernel.shape)),
              "supported are 1x1 kernels with strides and dilations of 1 on NHWC images");
  }
  GraphProduct product;
  product.m = image.shape[0] * image.shape[1] * image.shape[2];
  product.n = kernel.shape[3];
  product.k = kernel.shape[2];
  return run(call, product, image.floats, transposed(kernel.floats, 1, product.k, product.n),
             {image.shape[0], image.shape[1], image.shape[2], product.n});
}

}  // namespace

const std::vector<GraphOp>& graph_product_ops() {
  static const std::vector<GraphOp> ops = {
      {"BatchMatMul", 2, 2, batch_mat_mul},
      {"BatchMatMulV2", 2, 2, batch_mat_mul},
      {"Conv2D", 2, 2, conv_2d},
      {"MatMul", 2, 2, mat_mul},
  };
  return ops;
}

void ReferenceArithmetic::multiply(const GraphProduct& p) {
  std::vector<double> sums(static_cast<std::size_t>(p.m * p.n));
  for (std::int64_t i = 0; i < p.batch; ++i) {
    exact_product(p.a + i * p.m * p.k, p.b + i * p.n * p.k, p.m, p.n, p.k, sums.data());
    std::transform(sums.begin(), sums.end(), p.d + i * p.m * p.n,
                   [](double sum) { return static_cast<float>(sum); });
  }
}

}  // namespace tessera
