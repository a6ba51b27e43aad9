#include "sim/precision/graph_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <queue>

#include "sim/base/error.h"
#include "sim/precision/graph_ops.h"
#include "sim/precision/json_text.h"

namespace tessera {

namespace {

using Json = nlohmann::json;

constexpr std::size_t max_json_bytes = std::size_t{64} << 20;
constexpr std::size_t max_shard_bytes = std::size_t{1} << 32;

/// Reads one model.json and what belongs to it.
class GraphReader {
 public:
  explicit GraphReader(const std::string& folder)
      : folder_(folder), file_(folder + "/model.json") {}

  GraphModel read() {
    const Json json = parse_json(read_file(file_, max_json_bytes), file_);
    if (!json.is_object())
      fail("", "not a TensorFlow.js model", "its outermost value is an object");
    if (json.contains("format") && json["format"] != "graph-model") {
      fail("format", fmt::format("{} is not supported", json["format"].dump()),
           "convert the model to a \"graph-model\"");
    }
    model_.file = file_;
    read_weights(member(json, "weightsManifest", "", Json::value_t::array));
    const Json& topology = member(json, "modelTopology", "", Json::value_t::object);
    read_nodes(member(topology, "node", "modelTopology", Json::value_t::array));
    sort_nodes();
    collect_ends();
    return std::move(model_);
  }

 private:
  [[noreturn]] void fail(const std::string& key, const std::string& wrong,
                         const std::string& right) const {
    throw InputError({file_, 0}, key, wrong, right);
  }

  const Json& member(const Json& object, const char* key, const std::string& of,
                     Json::value_t type) const {
    const std::string path = of.empty() ? key : of + "." + key;
    const auto found = object.find(key);
    if (found == object.end()) fail(path, "is missing", "give a TensorFlow.js graph model");
    if (found->type() != type) {
      fail(path, fmt::format("is {}", found->type_name()),
           fmt::format("give {}", Json(type).type_name()));
    }
    return *found;
  }

  std::string text(const Json& object, const char* key, const std::string& of) const {
    return member(object, key, of, Json::value_t::string).get<std::string>();
  }

  /// A whole number, which protobuf's JSON may write as text.
  std::int64_t whole(const Json& value, const std::string& key) const {
    if (value.is_number_integer()) return value.get<std::int64_t>();
    if (value.is_string()) {
      const std::string digits = value.get<std::string>();
      std::int64_t number = 0;
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), number);
      if (error == std::errc() && end == digits.data() + digits.size()) return number;
    }
    fail(key, fmt::format("{} is no whole number", value.dump()), "give a whole number");
  }

  // Weights.

  struct Weight {
    std::shared_ptr<GraphTensor> tensor;
    bool used = false;
  };

  void read_weights(const Json& manifest) {
    for (std::size_t g = 0; g < manifest.size(); ++g) {
      const std::string key = fmt::format("weightsManifest[{}]", g);
      if (!manifest[g].is_object()) fail(key, "is no group of weights", "give an object");
      const std::string bytes =
          read_shards(member(manifest[g], "paths", key, Json::value_t::array), key);
      std::size_t at = 0;
      const Json& weights = member(manifest[g], "weights", key, Json::value_t::array);
      for (std::size_t w = 0; w < weights.size(); ++w) {
        at = read_weight(weights[w], fmt::format("{}.weights[{}]", key, w), bytes, at);
      }
      if (at != bytes.size()) {
        fail(key, fmt::format("the shards hold {} bytes, the weights {}", bytes.size(), at),
             "give the shards that belong to this model.json");
      }
    }
  }

  std::string read_shards(const Json& paths, const std::string& key) const {
    std::string bytes;
    for (const Json& path : paths) {
      if (!path.is_string()) fail(key + ".paths", "holds what is no text", "give file names");
      const std::string name = path.get<std::string>();
      if (name.empty() || name.front() == '/' || name.find("..") != std::string::npos) {
        fail(key + ".paths", fmt::format("'{}' is outside the model's folder", name),
             "give the name of a file beside model.json");
      }
      bytes += read_file(folder_ + "/" + name, max_shard_bytes - bytes.size());
    }
    return bytes;
  }

  std::size_t read_weight(const Json& weight, const std::string& key, const std::string& bytes,
                          std::size_t at) {
    if (!weight.is_object()) fail(key, "is no weight", "give an object");
    const std::string weight_name = text(weight, "name", key);
    if (weight.contains("quantization")) {
      fail(weight_name, "is quantised", "convert the model without quantisation");
    }
    const std::string dtype = text(weight, "dtype", key);
    std::vector<std::int64_t> shape;
    for (const Json& extent : member(weight, "shape", key, Json::value_t::array)) {
      shape.push_back(whole(extent, key + ".shape"));
    }
    const std::int64_t count = elements(shape);
    if (count < 0) {
      fail(weight_name, fmt::format("its shape {} is out of bounds", shown(shape)),
           fmt::format("give dimensions of at most {} elements together", max_graph_elements));
    }
    const std::size_t width = dtype == "bool" ? 1 : 4;
    if (dtype != "float32" && dtype != "int32" && dtype != "bool") {
      fail(weight_name, fmt::format("elements of type '{}' are not supported", dtype),
           "give float32, int32 or bool");
    }
    const std::size_t length = static_cast<std::size_t>(count) * width;
    if (bytes.size() - at < length) {
      fail(weight_name,
           fmt::format("needs {} bytes, of which the shards hold {}", length, bytes.size() - at),
           "give the shards whole: the download may have been cut short");
    }
    const auto [place, fresh] = weights_.emplace(weight_name, Weight{});
    if (!fresh) fail(weight_name, "is twice among the weights", "give each weight once");
    place->second.tensor = decode(weight_name, dtype, shape, bytes.data() + at);
    return at + length;
  }

  std::shared_ptr<GraphTensor> decode(const std::string& weight_name, const std::string& dtype,
                                      const std::vector<std::int64_t>& shape, const char* bytes) {
    const GraphElement type = dtype == "float32" ? GraphElement::float32
                              : dtype == "int32" ? GraphElement::int32
                                                 : GraphElement::boolean;
    auto tensor = std::make_shared<GraphTensor>(type, shape);
    if (type == GraphElement::float32) {
      if (!tensor->floats.empty())
        std::memcpy(tensor->floats.data(), bytes, tensor->floats.size() * 4);
      for (std::size_t i = 0; i < tensor->floats.size(); ++i) {
        if (!std::isfinite(tensor->floats[i])) {
          fail(weight_name, fmt::format("element {} is {}", i, tensor->floats[i]),
               "give finite weights");
        }
      }
      model_.parameters += tensor->size();
    } else if (type == GraphElement::int32) {
      if (!tensor->ints.empty()) std::memcpy(tensor->ints.data(), bytes, tensor->ints.size() * 4);
    } else {
      for (std::size_t i = 0; i < tensor->ints.size(); ++i) tensor->ints[i] = bytes[i] != 0;
    }
    return tensor;
  }

  // Nodes.

  void read_nodes(const Json& nodes) {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const std::string key = fmt::format("modelTopology.node[{}]", i);
      if (!nodes[i].is_object()) fail(key, "is no node", "give an object");
      GraphNode node;
      node.name = text(nodes[i], "name", key);
      node.op = text(nodes[i], "op", key);
      if (!index_.emplace(node.name, static_cast<int>(i)).second) {
        fail(node.name, "is the name of two nodes", "give each node a name of its own");
      }
      if (nodes[i].contains("attr")) {
        for (const auto& [attribute, value] :
             member(nodes[i], "attr", key, Json::value_t::object).items()) {
          node.attributes[attribute] = attribute_of(value, node.name + "." + attribute);
        }
      }
      read_constant(node);
      model_.nodes.push_back(std::move(node));
    }
    for (std::size_t i = 0; i < nodes.size(); ++i) read_inputs(nodes[i], model_.nodes[i]);
    for (const auto& [weight_name, weight] : weights_) {
      if (!weight.used) {
        fail(weight_name, "is a weight that no Const node has",
             "give the shards and the model.json of one model");
      }
    }
  }

  void read_constant(GraphNode& node) {
    if (node.op != "Const") return;
    const auto weight = weights_.find(node.name);
    if (weight == weights_.end()) {
      fail(node.name, "is a Const without a weight in weightsManifest",
           "convert the model with weights in shards");
    }
    weight->second.used = true;
    node.constant = weight->second.tensor;
  }

  GraphAttribute attribute_of(const Json& value, const std::string& key) const {
    if (!value.is_object()) fail(key, "is no attribute", "give an object");
    if (const auto b = value.find("b"); b != value.end() && b->is_boolean()) return b->get<bool>();
    if (const auto i = value.find("i"); i != value.end()) return whole(*i, key);
    if (const auto s = value.find("s"); s != value.end()) return characters(*s, key);
    if (const auto type = value.find("type"); type != value.end()) return type_of(*type);
    const auto list = value.find("list");
    if (list != value.end() && list->is_object()) {
      std::vector<std::int64_t> numbers;
      if (const auto i = list->find("i"); i != list->end() && i->is_array()) {
        for (const Json& number : *i) numbers.push_back(whole(number, key));
      }
      return numbers;
    }
    return std::monostate();
  }

  /// Text, written as its bytes or in Base64.
  std::string characters(const Json& value, const std::string& key) const {
    std::string result;
    if (value.is_array()) {
      for (const Json& byte : value) result += static_cast<char>(whole(byte, key));
      return result;
    }
    if (!value.is_string()) fail(key, "is no text", "give its bytes or Base64");
    static const std::string digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned bits = 0;
    int pending = 0;
    for (const char c : value.get<std::string>()) {
      const std::size_t digit = digits.find(c);
      if (c == '=') break;
      if (digit == std::string::npos) fail(key, "is no text", "give its bytes or Base64");
      bits = bits << 6 | static_cast<unsigned>(digit);
      pending += 6;
      if (pending >= 8) {
        pending -= 8;
        result += static_cast<char>(bits >> pending & 0xFF);
      }
    }
    return result;
  }

  /// TensorFlow's DataType, as a number or by name; 64-bit integers become 32 bits wide.
  static GraphAttribute type_of(const Json& type) {
    if (type == 1 || type == "DT_FLOAT") return GraphElement::float32;
    if (type == 3 || type == "DT_INT32" || type == 9 || type == "DT_INT64") {
      return GraphElement::int32;
    }
    if (type == 10 || type == "DT_BOOL") return GraphElement::boolean;
    return std::monostate();
  }

  void read_inputs(const Json& json, GraphNode& node) const {
    const GraphOp* op = find_graph_op(node.op);
    if (op == nullptr) {
      std::vector<std::string> names;
      for (const GraphOp& known : graph_ops()) names.emplace_back(known.name);
      fail(node.name, fmt::format("the operation {} is not supported", node.op),
           fmt::format("supported are {}", fmt::join(names, ", ")));
    }
    if (json.contains("input")) {
      for (const Json& input : member(json, "input", node.name, Json::value_t::array)) {
        if (!input.is_string()) fail(node.name, "has an input without a name", "give its name");
        const std::string source = input.get<std::string>();
        // "^name" only says that name runs first.
        if (source.empty() || source.front() != '^') node.inputs.push_back(input_of(source, node));
      }
    }
    const auto count = static_cast<int>(node.inputs.size());
    if (count < op->min_inputs || count > op->max_inputs) {
      fail(node.name, fmt::format("{} has {} inputs", node.op, count),
           op->min_inputs == op->max_inputs ? fmt::format("it takes {}", op->min_inputs)
                                            : fmt::format("it takes {} or more", op->min_inputs));
    }
  }

  GraphInput input_of(const std::string& source, const GraphNode& node) const {
    const std::size_t colon = source.rfind(':');
    const std::string producer = source.substr(0, colon);
    const auto found = index_.find(producer);
    if (found == index_.end()) {
      fail(node.name, fmt::format("its input '{}' does not exist", source),
           "give the name of a node of the graph");
    }
    const std::int64_t output =
        colon == std::string::npos ? 0 : whole(Json(source.substr(colon + 1)), node.name);
    if (output < 0 || output > 65535) {
      fail(node.name, fmt::format("its input '{}' does not exist", source),
           "give an output that the node has");
    }
    return {found->second, static_cast<int>(output)};
  }

  /// Each node behind its inputs, else as in the file.
  void sort_nodes() {
    const std::size_t count = model_.nodes.size();
    std::vector<int> missing(count);
    std::vector<std::vector<int>> readers(count);
    std::priority_queue<int, std::vector<int>, std::greater<>> ready;
    for (std::size_t i = 0; i < count; ++i) {
      missing[i] = static_cast<int>(model_.nodes[i].inputs.size());
      for (const GraphInput& input : model_.nodes[i].inputs) {
        readers[static_cast<std::size_t>(input.node)].push_back(static_cast<int>(i));
      }
      if (missing[i] == 0) ready.push(static_cast<int>(i));
    }
    std::vector<int> place(count, -1);
    std::vector<GraphNode> sorted;
    while (!ready.empty()) {
      const auto next = static_cast<std::size_t>(ready.top());
      ready.pop();
      place[next] = static_cast<int>(sorted.size());
      sorted.push_back(std::move(model_.nodes[next]));
      for (const int reader : readers[next]) {
        if (--missing[static_cast<std::size_t>(reader)] == 0) ready.push(reader);
      }
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (place[i] < 0) {
        fail(model_.nodes[i].name, "depends on its own result", "give a graph without cycles");
      }
    }
    for (GraphNode& node : sorted) {
      for (GraphInput& input : node.inputs)
        input.node = place[static_cast<std::size_t>(input.node)];
    }
    model_.nodes = std::move(sorted);
  }

  void collect_ends() {
    std::vector<bool> read(model_.nodes.size());
    for (const GraphNode& node : model_.nodes) {
      for (const GraphInput& input : node.inputs) read[static_cast<std::size_t>(input.node)] = true;
    }
    for (std::size_t i = 0; i < model_.nodes.size(); ++i) {
      if (model_.nodes[i].op == "Placeholder") {
        model_.inputs.push_back(static_cast<int>(i));
      } else if (!read[i]) {
        model_.outputs.push_back(static_cast<int>(i));
      }
    }
  }

  std::string folder_, file_;
  std::map<std::string, Weight> weights_;
  std::map<std::string, int> index_;
  GraphModel model_;
};

}  // namespace

GraphModel load_graph_model(const std::string& folder) { return GraphReader(folder).read(); }

}  // namespace tessera
