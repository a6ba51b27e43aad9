#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/precision/graph_call.h"

namespace tessera {

namespace {

/// The shape that two operands are stretched to, dimensions of 1 as often as needed.
std::vector<std::int64_t> broadcast(const CheckedCall& call) {
  const auto& a = call.input(0).shape;
  const auto& b = call.input(1).shape;
  std::vector<std::int64_t> shape(std::max(a.size(), b.size()), 1);
  for (std::size_t i = 1; i <= shape.size(); ++i) {
    const std::int64_t x = i <= a.size() ? a[a.size() - i] : 1;
    const std::int64_t y = i <= b.size() ? b[b.size() - i] : 1;
    if (x != y && x != 1 && y != 1) {
      call.fail(fmt::format("the shapes {} and {} do not fit", shown(a), shown(b)),
                "give equal dimensions, or 1");
    }
    shape[shape.size() - i] = x == 1 ? y : x;
  }
  return shape;
}

/// Strides that step through a tensor of `shape` as if it were stretched to `rank` dimensions.
std::vector<std::int64_t> stretched(const std::vector<std::int64_t>& shape, std::size_t rank) {
  const std::vector<std::int64_t> own = strides(shape);
  std::vector<std::int64_t> result(rank, 0);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != 1) result[rank - shape.size() + i] = own[i];
  }
  return result;
}

/// out[i] = f(a[i], b[i]) with both operands stretched.
template <typename In, typename Out, typename F>
void zip(const CheckedCall& call, const std::vector<In>& a, const std::vector<In>& b,
         const std::vector<std::int64_t>& shape, std::vector<Out>& out, F f) {
  const std::vector<std::int64_t> a_stride = stretched(call.input(0).shape, shape.size());
  const std::vector<std::int64_t> b_stride = stretched(call.input(1).shape, shape.size());
  // Rows of the last dimension in an inner loop.
  std::vector<std::int64_t> rows = shape;
  const std::int64_t length = rows.empty() ? 1 : rows.back();
  const std::int64_t a_step = rows.empty() ? 0 : a_stride.back();
  const std::int64_t b_step = rows.empty() ? 0 : b_stride.back();
  if (!rows.empty()) rows.pop_back();
  std::size_t to = 0;
  if (length == 0) return;
  for (Odometer at(rows); !at.done(); at.next()) {
    std::int64_t i = at.dot(a_stride);
    std::int64_t j = at.dot(b_stride);
    for (std::int64_t step = 0; step < length; ++step, i += a_step, j += b_step) {
      out[to++] = f(a[static_cast<std::size_t>(i)], b[static_cast<std::size_t>(j)]);
    }
  }
}

/// Both operands are float32, or both int32.
void require_numbers(const CheckedCall& call) {
  if (call.input(0).type == GraphElement::float32) {
    call.floats(1);
  } else {
    call.ints(0);
    call.ints(1);
  }
}

struct Plus {
  float operator()(float a, float b) const { return a + b; }
  std::int32_t operator()(std::int32_t a, std::int32_t b) const {
    return wrapped(std::int64_t{a} + b);
  }
};
struct Minus {
  float operator()(float a, float b) const { return a - b; }
  std::int32_t operator()(std::int32_t a, std::int32_t b) const {
    return wrapped(std::int64_t{a} - b);
  }
};
struct Times {
  float operator()(float a, float b) const { return a * b; }
  std::int32_t operator()(std::int32_t a, std::int32_t b) const {
    return wrapped(std::int64_t{a} * b);
  }
};
struct Larger {
  template <typename T>
  T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

/// Arithmetic of two operands of one type, float32 or int32.
template <typename F>
std::vector<GraphTensor> arithmetic(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  require_numbers(call);
  const std::vector<std::int64_t> shape = broadcast(call);
  GraphTensor out = call.result(call.input(0).type, shape);
  if (out.type == GraphElement::float32) {
    zip(call, call.input(0).floats, call.input(1).floats, shape, out.floats, F());
  } else {
    zip(call, call.input(0).ints, call.input(1).ints, shape, out.ints, F());
  }
  return only(std::move(out));
}

std::vector<GraphTensor> real_div(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  call.floats(0);
  call.floats(1);
  const std::vector<std::int64_t> shape = broadcast(call);
  GraphTensor out = call.result(GraphElement::float32, shape);
  zip(call, call.input(0).floats, call.input(1).floats, shape, out.floats,
      [](float a, float b) { return a / b; });
  return only(std::move(out));
}

template <bool less>
std::vector<GraphTensor> compare(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  require_numbers(call);
  const std::vector<std::int64_t> shape = broadcast(call);
  GraphTensor out = call.result(GraphElement::boolean, shape);
  const auto holds = [](auto a, auto b) -> std::int32_t { return less ? a < b : a > b; };
  if (call.input(0).type == GraphElement::float32) {
    zip(call, call.input(0).floats, call.input(1).floats, shape, out.ints, holds);
  } else {
    zip(call, call.input(0).ints, call.input(1).ints, shape, out.ints, holds);
  }
  return only(std::move(out));
}

std::vector<GraphTensor> bias_add(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const GraphTensor& bias = call.floats(1);
  const std::string layout = call.text("data_format", "NHWC");
  if (layout != "NHWC") call.fail(fmt::format("data_format {}", layout), "convert it to NHWC");
  if (bias.rank() != 1 || call.floats(0).shape.empty() ||
      call.input(0).shape.back() != bias.shape[0]) {
    call.fail(
        fmt::format("a bias of shape {} on {}", shown(bias.shape), shown(call.input(0).shape)),
        "give one number per channel");
  }
  return arithmetic<Plus>(graph_call);
}

template <typename F>
std::vector<GraphTensor> each_float(const GraphCall& graph_call, F f) {
  const CheckedCall call(graph_call);
  GraphTensor out = call.floats(0);
  for (float& value : out.floats) value = f(value);
  return only(std::move(out));
}

std::vector<GraphTensor> logical_not(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  GraphTensor out = call.booleans(0);
  for (std::int32_t& value : out.ints) value = 1 - value;
  return only(std::move(out));
}

std::vector<GraphTensor> cast(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const GraphTensor& in = call.input(0);
  const GraphElement to = call.type("DstT");
  GraphTensor out = call.result(to, in.shape);
  const bool from_float = in.type == GraphElement::float32;
  for (std::int64_t at = 0; at < in.size(); ++at) {
    const auto i = static_cast<std::size_t>(at);
    if (to == GraphElement::float32) {
      out.floats[i] = from_float ? in.floats[i] : static_cast<float>(in.ints[i]);
    } else if (to == GraphElement::boolean) {
      out.ints[i] = from_float ? in.floats[i] != 0 : in.ints[i] != 0;
    } else if (!from_float) {
      out.ints[i] = in.ints[i];
    } else {
      if (!(std::fabs(in.floats[i]) < 2147483648.0f)) {
        call.fail(fmt::format("{} is no 32-bit integer", in.floats[i]), "cast smaller numbers");
      }
      out.ints[i] = static_cast<std::int32_t>(in.floats[i]);
    }
  }
  return only(std::move(out));
}

std::vector<GraphTensor> softmax(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  GraphTensor out = call.floats(0);
  if (out.shape.empty()) call.fail("a scalar has no dimension to normalise", "give a vector");
  const auto length = static_cast<std::size_t>(out.shape.back());
  for (std::size_t row = 0; row < out.floats.size(); row += length) {
    float* x = out.floats.data() + row;
    const float largest = *std::max_element(x, x + length);
    double sum = 0;
    for (std::size_t i = 0; i < length; ++i) {
      x[i] = std::exp(x[i] - largest);
      sum += x[i];
    }
    const auto divisor = static_cast<float>(sum);
    for (std::size_t i = 0; i < length; ++i) x[i] /= divisor;
  }
  return only(std::move(out));
}

// Reductions.

struct Total {
  static constexpr double start = 0;
  static double step(double sum, double value) { return sum + value; }
};
struct Product {
  static constexpr double start = 1;
  static double step(double sum, double value) { return sum * value; }
};
struct Largest {
  static constexpr double start = -INFINITY;
  static double step(double sum, double value) { return std::max(sum, value); }
};

/// Reduces the dimensions that input 1 lists.
template <typename F, bool mean = false>
std::vector<GraphTensor> reduce(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const GraphTensor& in = call.input(0);
  if (mean) {
    call.floats(0);
  } else if (in.type != GraphElement::float32) {
    call.ints(0);
  }
  std::vector<bool> gone(in.shape.size());
  for (const std::int64_t axis : call.list(1)) {
    gone[static_cast<std::size_t>(call.axis_of(axis, in.rank()))] = true;
  }
  const bool keep = call.flag("keep_dims", false);
  std::vector<std::int64_t> kept_shape, shape;
  std::int64_t count = 1;
  for (std::size_t i = 0; i < in.shape.size(); ++i) {
    kept_shape.push_back(gone[i] ? 1 : in.shape[i]);
    if (gone[i]) count *= in.shape[i];
    if (!gone[i] || keep) shape.push_back(kept_shape.back());
  }
  if (count == 0 && (mean || F::start == -INFINITY)) {
    call.fail("nothing to reduce", "give at least one element");
  }
  const std::vector<std::int64_t> to = stretched(kept_shape, in.shape.size());
  std::vector<double> sums(static_cast<std::size_t>(elements(kept_shape)), F::start);
  std::size_t from = 0;
  for (Odometer at(in.shape); !at.done(); at.next(), ++from) {
    double& sum = sums[static_cast<std::size_t>(at.dot(to))];
    sum = F::step(sum, in.type == GraphElement::float32 ? static_cast<double>(in.floats[from])
                                                        : static_cast<double>(in.ints[from]));
  }
  GraphTensor out = call.result(in.type, shape);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (in.type == GraphElement::float32) {
      out.floats[i] = static_cast<float>(mean ? sums[i] / static_cast<double>(count) : sums[i]);
    } else {
      if (!(std::fabs(sums[i]) < 2147483648.0)) {
        call.fail(fmt::format("{} is no 32-bit integer", sums[i]),
                  "reduce fewer or smaller numbers");
      }
      out.ints[i] = static_cast<std::int32_t>(sums[i]);
    }
  }
  return only(std::move(out));
}

std::vector<GraphTensor> relu(const GraphCall& c) {
  return each_float(c, [](float x) { return x > 0 ? x : 0.0f; });
}
std::vector<GraphTensor> square(const GraphCall& c) {
  return each_float(c, [](float x) { return x * x; });
}
std::vector<GraphTensor> rsqrt(const GraphCall& c) {
  return each_float(c, [](float x) { return 1.0f / std::sqrt(x); });
}
std::vector<GraphTensor> sine(const GraphCall& c) {
  return each_float(c, [](float x) { return std::sin(x); });
}
std::vector<GraphTensor> cosine(const GraphCall& c) {
  return each_float(c, [](float x) { return std::cos(x); });
}
std::vector<GraphTensor> tanh_of(const GraphCall& c) {
  return each_float(c, [](float x) { return std::tanh(x); });
}

}  // namespace

const std::vector<GraphOp>& graph_math_ops() {
  static const std::vector<GraphOp> ops = {
      {"Add", 2, 2, arithmetic<Plus>},
      {"AddV2", 2, 2, arithmetic<Plus>},
      {"BiasAdd", 2, 2, bias_add},
      {"Cast", 1, 1, cast},
      {"Cos", 1, 1, cosine},
      {"Greater", 2, 2, compare<false>},
      {"Less", 2, 2, compare<true>},
      {"LogicalNot", 1, 1, logical_not},
      {"Max", 2, 2, reduce<Largest>},
      {"Maximum", 2, 2, arithmetic<Larger>},
      {"Mean", 2, 2, reduce<Total, true>},
      {"Mul", 2, 2, arithmetic<Times>},
      {"Prod", 2, 2, reduce<Product>},
      {"RealDiv", 2, 2, real_div},
      {"Relu", 1, 1, relu},
      {"Rsqrt", 1, 1, rsqrt},
      {"Sin", 1, 1, sine},
      {"Softmax", 1, 1, softmax},
      {"Square", 1, 1, square},
      {"Sub", 2, 2, arithmetic<Minus>},
      {"Sum", 2, 2, reduce<Total>},
      {"Tanh", 1, 1, tanh_of},
  };
  return ops;
}

}  // namespace tessera
