#include <fmt/format.h>

#include <algorithm>

#include "sim/precision/graph_call.h"

namespace tessera {

namespace {

std::int64_t product(const std::vector<std::int64_t>& shape, std::size_t from, std::size_t to) {
  std::int64_t count = 1;
  for (std::size_t i = from; i < to; ++i) count *= shape[i];
  return count;
}

void require_same_type(const CheckedCall& call, int i, int j) {
  if (call.input(i).type != call.input(j).type) {
    call.fail(fmt::format("inputs {} and {} are {} and {}", i, j, name(call.input(i).type),
                          name(call.input(j).type)),
              "give one element type");
  }
}

std::vector<GraphTensor> identity(const GraphCall& c) { return only(CheckedCall(c).input(0)); }

std::vector<GraphTensor> reshaped(const CheckedCall& call, std::vector<std::int64_t> shape) {
  GraphTensor out = call.input(0);
  out.shape = std::move(shape);
  return only(std::move(out));
}

std::vector<GraphTensor> reshape(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  std::vector<std::int64_t> shape = call.list(1);
  const std::vector<std::int64_t> asked = shape;
  const auto open = std::find(shape.begin(), shape.end(), -1);
  if (open != shape.end()) *open = 1;
  const std::int64_t rest = elements(shape);
  const std::int64_t size = call.input(0).size();
  const bool fits = rest > 0 ? size % rest == 0 && (open != shape.end() || size == rest)
                             : rest == 0 && size == 0 && open == shape.end();
  if (!fits) {
    call.fail(fmt::format("{} does not become {}", shown(call.input(0).shape), shown(asked)),
              "give a shape of as many elements, with at most one -1");
  }
  if (open != shape.end()) *open = size / rest;
  return reshaped(call, std::move(shape));
}

std::vector<GraphTensor> shape_of(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  GraphTensor out = call.result(GraphElement::int32, {call.input(0).rank()});
  std::copy(call.input(0).shape.begin(), call.input(0).shape.end(), out.ints.begin());
  return only(std::move(out));
}

std::vector<GraphTensor> expand_dims(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  std::vector<std::int64_t> shape = call.input(0).shape;
  shape.insert(shape.begin() + call.axis(1, call.input(0).rank() + 1), 1);
  return reshaped(call, std::move(shape));
}

std::vector<GraphTensor> squeeze(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const std::vector<std::int64_t>& from = call.input(0).shape;
  std::vector<bool> gone(from.size());
  const std::vector<std::int64_t> asked = call.numbers("squeeze_dims");
  for (const std::int64_t dim : asked) {
    const auto i = static_cast<std::size_t>(call.axis_of(dim, call.input(0).rank()));
    if (from[i] != 1) {
      call.fail(fmt::format("dimension {} of {} is not 1", dim, shown(from)), "squeeze others");
    }
    gone[i] = true;
  }
  std::vector<std::int64_t> shape;
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (!gone[i] && (!asked.empty() || from[i] != 1)) shape.push_back(from[i]);
  }
  return reshaped(call, std::move(shape));
}

std::vector<GraphTensor> transpose(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const GraphTensor& in = call.input(0);
  const std::vector<std::int64_t> order = call.list(1);
  std::vector<std::int64_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  bool permutation = order.size() == in.shape.size();
  for (std::size_t i = 0; permutation && i < sorted.size(); ++i) {
    permutation = sorted[i] == static_cast<std::int64_t>(i);
  }
  if (!permutation) {
    call.fail(fmt::format("{} is no order of {} dimensions", shown(order), in.rank()),
              "name each dimension once");
  }
  const std::vector<std::int64_t> in_strides = strides(in.shape);
  std::vector<std::int64_t> shape, stride;
  for (const std::int64_t dim : order) {
    shape.push_back(in.shape[static_cast<std::size_t>(dim)]);
    stride.push_back(in_strides[static_cast<std::size_t>(dim)]);
  }
  GraphTensor out = call.result(in.type, shape);
  std::int64_t to = 0;
  for (Odometer at(shape); !at.done(); at.next()) {
    copy_elements(in, at.dot(stride), 1, out, to++);
  }
  return only(std::move(out));
}

/// Inputs [0, count) joined along dimension `axis`.
std::vector<GraphTensor> joined(const CheckedCall& call, const std::vector<GraphTensor>& parts,
                                std::int64_t axis) {
  const auto dim = static_cast<std::size_t>(axis);
  std::vector<std::int64_t> shape = parts.front().shape;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    std::vector<std::int64_t> other = parts[i].shape;
    const bool ranked = other.size() == shape.size();
    const std::int64_t extent = ranked ? other[dim] : 0;
    if (ranked) other[dim] = shape[dim];
    if (other != shape || parts[i].type != parts.front().type) {
      call.fail(fmt::format("the shapes {} and {} do not fit", shown(parts.front().shape),
                            shown(parts[i].shape)),
                "give tensors of one type that differ in the joined dimension only");
    }
    shape[dim] += extent;
  }
  GraphTensor out = call.result(parts.front().type, shape);
  const std::int64_t outer = product(shape, 0, dim);
  const std::int64_t inner = product(shape, dim + 1, shape.size());
  std::int64_t to = 0;
  for (std::int64_t o = 0; o < outer; ++o) {
    for (const GraphTensor& part : parts) {
      const std::int64_t length = part.shape[dim] * inner;
      copy_elements(part, o * length, length, out, to);
      to += length;
    }
  }
  return only(std::move(out));
}

std::vector<GraphTensor> concat(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const int last = call.inputs() - 1;
  const std::int64_t axis = call.axis(last, call.input(0).rank());
  std::vector<GraphTensor> parts;
  for (int i = 0; i < last; ++i) parts.push_back(call.input(i));
  return joined(call, parts, axis);
}

std::vector<GraphTensor> pack(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const std::int64_t axis = call.axis_of(call.number("axis", 0), call.input(0).rank() + 1);
  std::vector<GraphTensor> parts;
  for (int i = 0; i < call.inputs(); ++i) {
    parts.push_back(call.input(i));
    if (parts.back().rank() >= axis)
      parts.back().shape.insert(parts.back().shape.begin() + axis, 1);
  }
  return joined(call, parts, axis);
}

std::vector<GraphTensor> split(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const GraphTensor& in = call.input(0);
  const std::vector<std::int64_t> sizes = call.list(1);
  const auto dim = static_cast<std::size_t>(call.axis(2, in.rank()));
  std::int64_t sum = 0;
  for (const std::int64_t size : sizes) {
    if (size < 0) call.fail(fmt::format("a part of {}", size), "give sizes of 0 or more");
    sum += size;
  }
  if (sum != in.shape[dim]) {
    call.fail(fmt::format("the parts {} do not fill dimension {} of {}", shown(sizes), dim,
                          shown(in.shape)),
              "give parts that add up to it");
  }
  const std::int64_t outer = product(in.shape, 0, dim);
  const std::int64_t inner = product(in.shape, dim + 1, in.shape.size());
  std::vector<GraphTensor> outs;
  std::int64_t begin = 0;
  for (const std::int64_t size : sizes) {
    std::vector<std::int64_t> shape = in.shape;
    shape[dim] = size;
    GraphTensor part = call.result(in.type, shape);
    for (std::int64_t o = 0; o < outer; ++o) {
      copy_elements(in, (o * in.shape[dim] + begin) * inner, size * inner, part, o * size * inner);
    }
    outs.push_back(std::move(part));
    begin += size;
  }
  return outs;
}

/// `count` elements from `begin` in steps of `step` along each dimension.
GraphTensor cut(const CheckedCall& call, const std::vector<std::int64_t>& begin,
                const std::vector<std::int64_t>& step, const std::vector<std::int64_t>& count) {
  const GraphTensor& in = call.input(0);
  std::vector<std::int64_t> stride = strides(in.shape);
  std::int64_t origin = 0;
  for (std::size_t i = 0; i < stride.size(); ++i) {
    origin += begin[i] * stride[i];
    stride[i] *= step[i];
  }
  GraphTensor out = call.result(in.type, count);
  std::int64_t to = 0;
  for (Odometer at(count); !at.done(); at.next()) {
    copy_elements(in, origin + at.dot(stride), 1, out, to++);
  }
  return out;
}

std::vector<GraphTensor> slice(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const std::vector<std::int64_t>& shape = call.input(0).shape;
  const std::vector<std::int64_t> begin = call.list(1);
  std::vector<std::int64_t> size = call.list(2);
  bool inside = begin.size() == shape.size() && size.size() == shape.size();
  for (std::size_t i = 0; inside && i < shape.size(); ++i) {
    if (size[i] == -1) size[i] = shape[i] - begin[i];
    inside = begin[i] >= 0 && size[i] >= 0 && begin[i] + size[i] <= shape[i];
  }
  if (!inside) {
    call.fail(fmt::format("{} from {} of {}", shown(size), shown(begin), shown(shape)),
              "give a part inside the tensor");
  }
  return only(cut(call, begin, std::vector<std::int64_t>(shape.size(), 1), size));
}

std::vector<GraphTensor> strided_slice(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const std::vector<std::int64_t>& shape = call.input(0).shape;
  const std::vector<std::int64_t> from = call.list(1), to = call.list(2), by = call.list(3);
  if (from.size() > shape.size() || to.size() != from.size() || by.size() != from.size()) {
    call.fail(fmt::format("{} to {} by {} of {}", shown(from), shown(to), shown(by), shown(shape)),
              "give begin, end and step for the same dimensions");
  }
  if (call.number("ellipsis_mask", 0) != 0 || call.number("new_axis_mask", 0) != 0) {
    call.fail("ellipsis_mask or new_axis_mask is set",
              "only begin, end and shrink masks are known");
  }
  const auto masked = [](std::int64_t mask, std::size_t i) {
    return i < 63 && (mask >> i & 1) != 0;
  };
  const std::int64_t begin_mask = call.number("begin_mask", 0);
  const std::int64_t end_mask = call.number("end_mask", 0);
  const std::int64_t shrink_mask = call.number("shrink_axis_mask", 0);
  std::vector<std::int64_t> begin(shape.size(), 0), step(shape.size(), 1), count = shape, kept;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i < from.size()) {
      if (by[i] < 1) call.fail(fmt::format("a step of {}", by[i]), "give steps of 1 or more");
      const auto place = [&](std::int64_t at) {
        return std::clamp<std::int64_t>(at < 0 ? at + shape[i] : at, 0, shape[i]);
      };
      begin[i] = masked(begin_mask, i) ? 0 : place(from[i]);
      step[i] = by[i];
      if (masked(shrink_mask, i)) {
        if (begin[i] >= shape[i] || from[i] < -shape[i]) {
          call.fail(fmt::format("there is no element {} of {}", from[i], shape[i]),
                    "give one that exists");
        }
        count[i] = 1;
        continue;
      }
      const std::int64_t end = masked(end_mask, i) ? shape[i] : place(to[i]);
      count[i] = end > begin[i] ? (end - begin[i] + step[i] - 1) / step[i] : 0;
    }
    kept.push_back(count[i]);
  }
  GraphTensor out = cut(call, begin, step, count);
  out.shape = kept;
  return only(std::move(out));
}

// Gathering and scattering.

std::vector<GraphTensor> gather(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const GraphTensor& in = call.input(0);
  const GraphTensor& indices = call.ints(1);
  if (call.number("batch_dims", 0) != 0) call.fail("batch_dims is set", "only 0 is supported");
  const auto dim = static_cast<std::size_t>(call.axis(2, in.rank()));
  std::vector<std::int64_t> shape(in.shape.begin(), in.shape.begin() + static_cast<int>(dim));
  shape.insert(shape.end(), indices.shape.begin(), indices.shape.end());
  shape.insert(shape.end(), in.shape.begin() + static_cast<int>(dim) + 1, in.shape.end());
  GraphTensor out = call.result(in.type, shape);
  const std::int64_t outer = product(in.shape, 0, dim);
  const std::int64_t inner = product(in.shape, dim + 1, in.shape.size());
  std::int64_t to = 0;
  for (std::int64_t o = 0; o < outer; ++o) {
    for (const std::int32_t index : indices.ints) {
      if (index < 0 || index >= in.shape[dim]) {
        call.fail(fmt::format("there is no element {} of {}", index, in.shape[dim]),
                  "give indices that exist");
      }
      copy_elements(in, (o * in.shape[dim] + index) * inner, inner, out, to);
      to += inner;
    }
  }
  return only(std::move(out));
}

/// Where each row of `indices` (its last dimension is an index of leading dimensions) points to in
/// a tensor of `shape`, in slices.
std::vector<std::int64_t> places(const CheckedCall& call, const GraphTensor& indices,
                                 const std::vector<std::int64_t>& shape) {
  const std::int64_t depth = indices.shape.empty() ? 0 : indices.shape.back();
  if (depth < 1 || depth > static_cast<std::int64_t>(shape.size())) {
    call.fail(fmt::format("indices {} into {}", shown(indices.shape), shown(shape)),
              "give one number for each leading dimension");
  }
  std::vector<std::int64_t> result;
  for (std::size_t at = 0; at < indices.ints.size(); at += static_cast<std::size_t>(depth)) {
    std::int64_t place = 0;
    for (std::int64_t d = 0; d < depth; ++d) {
      const std::int32_t index = indices.ints[at + static_cast<std::size_t>(d)];
      const std::int64_t extent = shape[static_cast<std::size_t>(d)];
      if (index < 0 || index >= extent) {
        call.fail(fmt::format("there is no element {} of {}", index, extent),
                  "give indices that exist");
      }
      place = place * extent + index;
    }
    result.push_back(place);
  }
  return result;
}

std::vector<GraphTensor> gather_nd(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const GraphTensor& in = call.input(0);
  const GraphTensor& indices = call.ints(1);
  const std::vector<std::int64_t> from = places(call, indices, in.shape);
  const auto depth = static_cast<std::size_t>(indices.shape.back());
  std::vector<std::int64_t> shape(indices.shape.begin(), indices.shape.end() - 1);
  shape.insert(shape.end(), in.shape.begin() + static_cast<int>(depth), in.shape.end());
  GraphTensor out = call.result(in.type, shape);
  const std::int64_t length = product(in.shape, depth, in.shape.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    copy_elements(in, from[i] * length, length, out, static_cast<std::int64_t>(i) * length);
  }
  return only(std::move(out));
}

/// What stands at the same place is added.
std::vector<GraphTensor> scatter_nd(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const GraphTensor& indices = call.ints(0);
  const GraphTensor& updates = call.input(1);
  const std::vector<std::int64_t> shape = call.list(2);
  GraphTensor out = call.result(updates.type, shape);
  const std::vector<std::int64_t> to = places(call, indices, shape);
  const auto depth = static_cast<std::size_t>(indices.shape.back());
  const std::int64_t length = product(shape, depth, shape.size());
  std::vector<std::int64_t> expected(indices.shape.begin(), indices.shape.end() - 1);
  expected.insert(expected.end(), shape.begin() + static_cast<int>(depth), shape.end());
  if (updates.shape != expected) {
    call.fail(fmt::format("updates {} for indices {} of {}", shown(updates.shape),
                          shown(indices.shape), shown(shape)),
              fmt::format("give updates {}", shown(expected)));
  }
  for (std::size_t i = 0; i < to.size(); ++i) {
    for (std::int64_t j = 0; j < length; ++j) {
      const auto source = static_cast<std::size_t>(static_cast<std::int64_t>(i) * length + j);
      const auto target = static_cast<std::size_t>(to[i] * length + j);
      if (out.type == GraphElement::float32) {
        out.floats[target] += updates.floats[source];
      } else {
        out.ints[target] = wrapped(std::int64_t{out.ints[target]} + updates.ints[source]);
      }
    }
  }
  return only(std::move(out));
}

std::vector<GraphTensor> sparse_to_dense(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const GraphTensor& indices = call.ints(0);
  const GraphTensor& values = call.input(2);
  const GraphTensor& other = call.input(3);
  require_same_type(call, 2, 3);
  const std::vector<std::int64_t> shape = call.list(1);
  GraphTensor out = call.result(values.type, shape);
  if (other.size() != 1) call.fail("the default is no scalar", "give one number");
  for (std::int64_t i = 0; i < out.size(); ++i) copy_elements(other, 0, 1, out, i);
  const std::vector<std::int64_t> to = places(call, indices, shape);
  if (indices.shape.back() != out.rank() ||
      (values.size() != 1 && values.size() != static_cast<std::int64_t>(to.size()))) {
    call.fail(fmt::format("{} values at indices {} of {}", values.size(), shown(indices.shape),
                          shown(shape)),
              "give one value for each index, and indices of every dimension");
  }
  for (std::size_t i = 0; i < to.size(); ++i) {
    copy_elements(values, values.size() == 1 ? 0 : static_cast<std::int64_t>(i), 1, out, to[i]);
  }
  return only(std::move(out));
}

/// The indices of what is true.
std::vector<GraphTensor> where(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const GraphTensor& in = call.booleans(0);
  const std::int64_t count = std::count(in.ints.begin(), in.ints.end(), 1);
  GraphTensor out = call.result(GraphElement::int32, {count, in.rank()});
  std::size_t from = 0, to = 0;
  for (Odometer at(in.shape); !at.done(); at.next()) {
    if (in.ints[from++] == 0) continue;
    for (const std::int64_t index : at.index()) out.ints[to++] = static_cast<std::int32_t>(index);
  }
  return only(std::move(out));
}

std::vector<GraphTensor> range(const GraphCall& graph_call) {
  const CheckedCall call(graph_call);
  const std::int64_t begin = call.scalar(0), end = call.scalar(1), step = call.scalar(2);
  if (step < 1) call.fail(fmt::format("a step of {}", step), "give a step of 1 or more");
  const std::int64_t count = end > begin ? (end - begin + step - 1) / step : 0;
  GraphTensor out = call.result(GraphElement::int32, {count});
  for (std::int64_t i = 0; i < count; ++i) {
    out.ints[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(begin + i * step);
  }
  return only(std::move(out));
}

constexpr int any_number = 1 << 20;

}  // namespace

const std::vector<GraphOp>& graph_shape_ops() {
  static const std::vector<GraphOp> ops = {
      {"ConcatV2", 2, any_number, concat},
      {"ExpandDims", 2, 2, expand_dims},
      {"GatherNd", 2, 2, gather_nd},
      {"GatherV2", 3, 3, gather},
      {"Identity", 1, 1, identity},
      {"Pack", 1, any_number, pack},
      {"Range", 3, 3, range},
      {"Reshape", 2, 2, reshape},
      {"ScatterNd", 3, 3, scatter_nd},
      {"Shape", 1, 1, shape_of},
      {"Slice", 3, 3, slice},
      {"SparseToDense", 4, 4, sparse_to_dense},
      {"SplitV", 3, 3, split},
      {"Squeeze", 1, 1, squeeze},
      {"StridedSlice", 4, 4, strided_slice},
      {"Transpose", 2, 2, transpose},
      {"Where", 1, 1, where},
  };
  return ops;
}

}  // namespace tessera
