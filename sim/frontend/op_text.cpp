#include "sim/frontend/op_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

namespace tessera {
namespace {

enum class Shape { matmul, attention, elementwise, collective, moe };

struct OpFacts {
  OpKind kind;
  Shape shape;
  const char* sentence;
  std::vector<const char*> dtypes;
};

const std::vector<OpFacts>& op_facts() {
  static const std::vector<const char*> wide = {"bf16", "fp16", "tf32"};
  static const std::vector<OpFacts> facts = {
      {OpKind::gemm,
       Shape::matmul,
       "C[m,n] = A[m,k] B[k,n]; fp8 operands arrive quantised, the result is bf16",
       {"bf16", "fp16", "tf32", "fp8", "fp8+promote"}},
      {OpKind::linear,
       Shape::matmul,
       "a GEMM as a layer runs it: 16-bit activations in and out; fp8 includes their quantisation",
       {"bf16", "fp16", "tf32", "fp8", "fp8+promote", "fp8-block"}},
      {OpKind::attention,
       Shape::attention,
       "fused (flash) attention, q_len=1 is a decode step; with kv_dtype as a library calls it on "
       "a "
       "cache: append, plan, attend",
       {"bf16", "fp16", "fp8"}},
      {OpKind::softmax, Shape::elementwise, "softmax of each row", wide},
      {OpKind::layernorm, Shape::elementwise, "layer normalisation of each row", wide},
      {OpKind::rmsnorm, Shape::elementwise, "root-mean-square normalisation of each row", wide},
      {OpKind::gelu, Shape::elementwise, "GELU of each element", wide},
      {OpKind::silu_mul, Shape::elementwise,
       "SiLU of the left half of a [rows, 2*cols] matrix times its right half", wide},
      {OpKind::add, Shape::elementwise, "sum of two matrices", wide},
      {OpKind::cast,
       Shape::elementwise,
       "conversion of a 16-bit matrix to dtype (from fp32 where dtype is 16-bit)",
       {"bf16", "fp16", "tf32", "fp8"}},
      {OpKind::transpose,
       Shape::elementwise,
       "a [rows, cols] matrix written as [cols, rows]",
       {"bf16", "fp16", "tf32", "fp8"}},
      {OpKind::allreduce, Shape::collective, "sum over all ranks, result on each", wide},
      {OpKind::allgather, Shape::collective, "each rank's share, gathered on all", wide},
      {OpKind::reducescatter, Shape::collective, "sum over all ranks, each keeping a share", wide},
      {OpKind::alltoall, Shape::collective, "each rank sends a share to every other", wide},
      {OpKind::p2p, Shape::collective, "one rank sends to another", wide},
      {OpKind::moe,
       Shape::moe,
       "the grouped GEMMs of one layer's experts",
       {"bf16", "fp16", "fp8", "fp8+promote", "fp8-block"}},
  };
  return facts;
}

std::vector<std::string> required_fields(Shape shape) {
  switch (shape) {
    case Shape::matmul:
      return {"m", "n", "k"};
    case Shape::attention:
      return {"batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim"};
    case Shape::elementwise:
      return {"rows", "cols"};
    case Shape::collective:
      return {"ranks", "bytes"};
    case Shape::moe:
      return {"tokens", "hidden", "inter", "topk", "experts"};
  }
  return {};
}

std::vector<std::string> optional_fields(Shape shape) {
  switch (shape) {
    case Shape::attention:
      return {"causal=0", "window=0", "dtype=bf16", "kv_dtype=dtype"};
    case Shape::moe:
      return {"gated=1", "dtype=bf16"};
    default:
      return {"dtype=bf16"};
  }
}

/// Largest value of each field (least_of: the smallest); products are checked besides.
std::int64_t limit_of(const std::string& field) {
  static const std::map<std::string, std::int64_t> limits = {{"m", std::int64_t{1} << 30},
                                                             {"n", std::int64_t{1} << 30},
                                                             {"k", std::int64_t{1} << 30},
                                                             {"rows", std::int64_t{1} << 32},
                                                             {"cols", std::int64_t{1} << 30},
                                                             {"batch", std::int64_t{1} << 20},
                                                             {"q_len", std::int64_t{1} << 24},
                                                             {"kv_len", std::int64_t{1} << 27},
                                                             {"heads", 65'536},
                                                             {"kv_heads", 65'536},
                                                             {"head_dim", 65'536},
                                                             {"window", std::int64_t{1} << 27},
                                                             {"causal", 1},
                                                             {"gated", 1},
                                                             {"ranks", 65'536},
                                                             {"bytes", std::int64_t{1} << 48},
                                                             {"tokens", std::int64_t{1} << 30},
                                                             {"hidden", 1'000'000},
                                                             {"inter", 16'000'000},
                                                             {"topk", 65'536},
                                                             {"experts", 65'536}};
  return limits.at(field);
}

std::int64_t least_of(const std::string& field) {
  if (field == "causal" || field == "gated" || field == "window") return 0;
  return field == "ranks" ? 2 : 1;  // one chip has no one to exchange with
}

std::string suggestion(const std::string& word, const std::vector<std::string>& names) {
  const std::string close = nearest(word, names);
  return close.empty() ? fmt::format("give one of {}", fmt::join(names, ", "))
                       : fmt::format("did you mean '{}'?", close);
}

/// One operation's fields, checked against the catalogue.
class Request {
 public:
  Request(const std::string& op, const OpFields& fields, SourceLocation where)
      : op_(op), where_(std::move(where)) {
    std::vector<std::string> names;
    for (const OpFacts& entry : op_facts()) {
      names.emplace_back(name(entry.kind));
      if (names.back() == op) facts_ = &entry;
    }
    if (facts_ == nullptr) {
      fail("op", fmt::format("unknown operation '{}'", op), suggestion(op, names));
    }
    std::vector<std::string> required = required_fields(facts_->shape);
    std::vector<std::string> known = required;
    for (const std::string& entry : optional_fields(facts_->shape)) {
      known.push_back(entry.substr(0, entry.find('=')));
    }
    for (const auto& [key, value] : fields) {
      if (std::find(known.begin(), known.end(), key) == known.end()) {
        fail(key, fmt::format("'{}' has no such field", op), suggestion(key, known));
      }
      if (!values_.emplace(key, value).second) {
        fail(key, "is given more than once", "give each field once");
      }
    }
    std::vector<std::string> missing;
    for (const std::string& key : required) {
      if (values_.count(key) == 0) missing.push_back(key);
    }
    if (!missing.empty()) {
      fail(op,
           fmt::format("{} missing: {}", missing.size() == 1 ? "a field is" : "fields are",
                       fmt::join(missing, ", ")),
           fmt::format("write \"{} {}=N ...\"", op, fmt::join(missing, "=N ")));
    }
  }

  const OpFacts& facts() const { return *facts_; }

  std::int64_t number(const std::string& key, std::int64_t absent = 0) const {
    const auto found = values_.find(key);
    if (found == values_.end()) return absent;
    const std::string& text = found->second;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const std::int64_t low = least_of(key);
    const std::int64_t high = limit_of(key);
    const std::string right = fmt::format("give a whole number from {} to {}", low, high);
    if (error == std::errc::invalid_argument || end != text.data() + text.size()) {
      fail(key, fmt::format("'{}' is not a whole number", text), right);
    }
    if (error != std::errc() || value < low || value > high) {
      fail(key, fmt::format("{} is out of range", text), right);
    }
    return value;
  }

  Precision precision() const {
    return parse("dtype", {facts_->dtypes.begin(), facts_->dtypes.end()}, "bf16");
  }

  Precision parse(const std::string& key, const std::vector<std::string>& allowed,
                  const std::string& absent) const {
    const auto found = values_.find(key);
    const std::string text = found == values_.end() ? absent : found->second;
    // fp32 matrices are what the tf32 tensor core reads; both names are in use.
    const std::string wanted = text == "fp32" ? "tf32" : text;
    if (std::find(allowed.begin(), allowed.end(), wanted) == allowed.end()) {
      fail(key, fmt::format("'{}' does not take '{}'", op_, text),
           fmt::format("give one of {}", fmt::join(allowed, ", ")));
    }
    return parse_precision(wanted, key);
  }

  std::string given(const std::string& key, const std::string& absent) const {
    const auto found = values_.find(key);
    return found == values_.end() ? absent : found->second;
  }

  bool has(const std::string& key) const { return values_.count(key) > 0; }

  [[noreturn]] void fail(const std::string& key, const std::string& wrong,
                         const std::string& right) const {
    throw InputError(where_, where_.file.empty() ? "--op: " + key : key, wrong, right);
  }

 private:
  std::string op_;
  SourceLocation where_;
  const OpFacts* facts_ = nullptr;
  std::map<std::string, std::string> values_;
};

class OpBlock {
 public:
  explicit OpBlock(const Request& request) : request_(request) { block_.name = "op"; }

  TensorId add(const std::string& name, Format format, std::int64_t rows, std::int64_t cols,
               TensorKind kind, bool warm) {
    if (rows > max_tensor_elements / cols) {
      request_.fail(name, fmt::format("{} * {} elements are more than 2^48", rows, cols),
                    "make the sizes smaller");
    }
    Tensor tensor;
    tensor.name = name;
    tensor.format = format;
    tensor.rows = rows;
    tensor.cols = cols;
    tensor.kind = kind;
    tensor.warm = warm;
    block_.tensors.push_back(tensor);
    return static_cast<TensorId>(block_.tensors.size()) - 1;
  }
  /// An operand somebody has just written.
  TensorId input(const std::string& name, Format format, std::int64_t rows, std::int64_t cols) {
    return add(name, format, rows, cols, TensorKind::activation, true);
  }
  TensorId output(const std::string& name, Format format, std::int64_t rows, std::int64_t cols) {
    return add(name, format, rows, cols, TensorKind::activation, false);
  }
  TensorId weight(const std::string& name, Format format, std::int64_t rows, std::int64_t cols) {
    return add(name, format, rows, cols, TensorKind::weight, false);
  }

  GraphBlock take(Op op) {
    block_.ops.push_back(std::move(op));
    return std::move(block_);
  }

 private:
  const Request& request_;
  GraphBlock block_;
};

void check_flops(const Request& request, std::initializer_list<std::int64_t> factors) {
  std::int64_t product = 1;
  for (const std::int64_t factor : factors) {
    if (factor > 0 && product > max_flops / factor) {
      request.fail("size", "the operation has more than 2^62 FLOPs", "make the sizes smaller");
    }
    product *= factor;
  }
}

GraphBlock matmul(const Request& request, Op op) {
  op.m = request.number("m");
  op.n = request.number("n");
  op.k = request.number("k");
  check_flops(request, {16, op.m, op.n, op.k});
  const Format operand = operand_format(op.precision);
  const Format result = activation_format(op.precision);
  op.quantise_input = op.kind == OpKind::linear && bits(operand) == 8;
  OpBlock block(request);
  op.inputs = {block.input("A", op.quantise_input ? result : operand, op.m, op.k),
               block.weight("B", operand, op.n, op.k)};
  op.outputs = {block.output("C", result, op.m, op.n)};
  return block.take(std::move(op));
}

GraphBlock attention(const Request& request, Op op) {
  op.batch = request.number("batch");
  op.q_len = request.number("q_len");
  op.kv_len = request.number("kv_len");
  op.heads = request.number("heads");
  op.kv_heads = request.number("kv_heads");
  op.head_dim = request.number("head_dim");
  op.causal = request.number("causal") != 0;
  op.window = request.number("window");
  op.library_call = request.has("kv_dtype");
  op.paged_cache = op.library_call;
  const std::string dtype = request.given("dtype", "bf16");
  op.kv_format = operand_format(request.parse("kv_dtype", {"bf16", "fp16", "fp8"}, dtype));
  if (op.heads % op.kv_heads != 0) {
    request.fail(
        "kv_heads",
        fmt::format("{} query heads do not share {} KV heads evenly", op.heads, op.kv_heads),
        "give a divisor of heads");
  }
  if (op.causal && op.q_len > op.kv_len) {
    request.fail("q_len", fmt::format("{} causal queries have only {} keys", op.q_len, op.kv_len),
                 "kv_len counts the new tokens too: give at least q_len");
  }
  if (op.window > 0 && !op.causal) {
    request.fail("window", "a sliding window looks back only", "add causal=1");
  }
  if (op.window >= op.kv_len) op.window = 0;  // keeps everything
  check_flops(request, {16, op.batch, op.heads, op.head_dim, op.q_len, op.kv_len});
  const Format operand = operand_format(op.precision);
  OpBlock block(request);
  const Format activation = activation_format(op.precision);
  // 8-bit calls take queries, keys and values side by side, as a projection leaves them.
  const bool packed = op.library_call && bits(operand) == 8;
  const std::int64_t new_rows = op.batch * op.q_len;
  const std::int64_t q_cols = op.heads * op.head_dim, kv_cols = op.kv_heads * op.head_dim;
  op.inputs = {
      packed ? block.input("QKV", activation, new_rows, q_cols + 2 * kv_cols)
             : block.input("Q", operand, new_rows, q_cols),
      block.add("K", op.kv_format, op.batch * op.kv_len, kv_cols, TensorKind::kv_cache, false),
      block.add("V", op.kv_format, op.batch * op.kv_len, kv_cols, TensorKind::kv_cache, false)};
  if (op.library_call && !packed) {
    op.inputs.push_back(block.input("KV", activation, new_rows, 2 * kv_cols));
  }
  op.outputs = {block.output("O", packed ? operand : activation, new_rows, q_cols)};
  return block.take(std::move(op));
}

GraphBlock elementwise(const Request& request, Op op) {
  op.rows = request.number("rows");
  op.cols = request.number("cols");
  const Format result =
      op.precision == Precision::fp8 ? Format::e4m3 : activation_format(op.precision);
  OpBlock block(request);
  const Format source =
      op.kind != OpKind::cast ? result : (bits(result) == 16 ? Format::fp32 : Format::bf16);
  const bool halves = op.kind == OpKind::silu_mul;
  op.inputs = {block.input("x", source, op.rows, (halves ? 2 : 1) * op.cols)};
  if (op.kind == OpKind::add) op.inputs.push_back(block.input("x2", source, op.rows, op.cols));
  const bool turned = op.kind == OpKind::transpose;
  op.outputs = {block.output("y", result, turned ? op.cols : op.rows, turned ? op.rows : op.cols)};
  return block.take(std::move(op));
}

GraphBlock collective(const Request& request, Op op) {
  op.ranks = request.number("ranks");
  op.bytes = request.number("bytes");
  return OpBlock(request).take(std::move(op));
}

/// What an exchange holds of this chip's memory: the larger of what it sends and receives, in
/// place; an all-to-all needs both.
Bytes exchange_buffers(const Op& op) {
  return Bytes(op.kind == OpKind::alltoall ? 2 * op.bytes : op.bytes);
}

GraphBlock moe(const Request& request, Op op) {
  op.tokens = request.number("tokens");
  op.hidden = request.number("hidden");
  op.inter = request.number("inter");
  op.topk = request.number("topk");
  op.experts = request.number("experts");
  op.gated = request.number("gated", 1) != 0;
  if (op.topk > op.experts) {
    request.fail("topk", fmt::format("{} of {} experts", op.topk, op.experts),
                 "give at most the number of experts");
  }
  check_flops(request, {16, op.tokens, op.topk, op.hidden, op.inter});
  const Format operand = operand_format(op.precision);
  const Format result = activation_format(op.precision);
  op.quantise_input = bits(operand) == 8;
  OpBlock block(request);
  op.inputs = {block.input("x", result, op.tokens, op.hidden),
               block.weight("W_up", operand, op.experts * (op.gated ? 2 : 1) * op.inter, op.hidden),
               block.weight("W_down", operand, op.experts * op.hidden, op.inter)};
  op.outputs = {block.output("y", result, op.tokens, op.hidden)};
  return block.take(std::move(op));
}

}  // namespace

const std::vector<OpEntry>& op_catalogue() {
  static const std::vector<OpEntry> entries = [] {
    std::vector<OpEntry> all;
    for (const OpFacts& facts : op_facts()) {
      all.push_back({std::string(name(facts.kind)), required_fields(facts.shape),
                     optional_fields(facts.shape), facts.sentence});
    }
    return all;
  }();
  return entries;
}

LayerGraph op_graph(const std::string& op, const OpFields& fields, const SourceLocation& where) {
  const Request request(op, fields, where);
  Op made;
  made.name = op;
  made.kind = request.facts().kind;
  made.precision = request.precision();

  LayerGraph graph;
  switch (request.facts().shape) {
    case Shape::matmul:
      graph.blocks.push_back(matmul(request, made));
      break;
    case Shape::attention:
      graph.blocks.push_back(attention(request, made));
      break;
    case Shape::elementwise:
      graph.blocks.push_back(elementwise(request, made));
      break;
    case Shape::collective:
      graph.blocks.push_back(collective(request, made));
      graph.activation_bytes = exchange_buffers(graph.blocks.front().ops.front());
      break;
    case Shape::moe:
      graph.blocks.push_back(moe(request, made));
      break;
  }

  graph.workload = op;
  for (const auto& [key, value] : fields) graph.workload += fmt::format(" {}={}", key, value);
  for (const Tensor& tensor : graph.blocks.front().tensors) {
    if (tensor.kind == TensorKind::weight) graph.weight_bytes += tensor.size();
    if (tensor.kind == TensorKind::kv_cache) graph.kv_cache_bytes += tensor.size();
    if (tensor.kind == TensorKind::activation) graph.activation_bytes += tensor.size();
  }
  return graph;
}

LayerGraph op_graph(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',') {
      if (!word.empty()) words.push_back(std::exchange(word, {}));
    } else {
      word += c;
    }
  }
  if (!word.empty()) words.push_back(word);
  if (words.empty()) {
    throw InputError("--op", "is empty", "give for example \"gemm m=4096 n=4096 k=4096\"");
  }
  OpFields fields;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::size_t equals = words[i].find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == words[i].size()) {
      throw InputError("--op", fmt::format("'{}' is not a field", words[i]),
                       "write fields as key=value");
    }
    fields.emplace_back(words[i].substr(0, equals), words[i].substr(equals + 1));
  }
  return op_graph(words.front(), fields, SourceLocation{});
}

}  // namespace tessera
