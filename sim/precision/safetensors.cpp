#include "sim/precision/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "sim/base/error.h"

namespace tessera {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t max_header_bytes = 100'000'000;
constexpr int max_depth = 3;                   // the elements of a tensor's shape
constexpr std::size_t max_list_elements = 64;  // a shape has at most 8; others have fewer

const std::map<std::string, ElementType>& element_types() {
  static const std::map<std::string, ElementType> types = {
      {"F64", ElementType::f64},         {"F32", ElementType::f32},
      {"F16", ElementType::f16},         {"BF16", ElementType::bf16},
      {"F8_E4M3", ElementType::f8_e4m3}, {"F8_E5M2", ElementType::f8_e5m2},
      {"F8_E8M0", ElementType::f8_e8m0}, {"I64", ElementType::i64},
      {"I32", ElementType::i32},         {"I16", ElementType::i16},
      {"I8", ElementType::i8},           {"U64", ElementType::u64},
      {"U32", ElementType::u32},         {"U16", ElementType::u16},
      {"U8", ElementType::u8},           {"BOOL", ElementType::boolean}};
  return types;
}

/// A file of tensors while its header is read.
class Header {
 public:
  explicit Header(const std::string& path) : path_(path) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) fail("", "cannot be read", "give a readable file");
    const auto size = static_cast<std::uint64_t>(file.tellg());
    unsigned char prefix[8];
    file.seekg(0);
    if (size < 8 || !file.read(reinterpret_cast<char*>(prefix), 8))
      fail("", fmt::format("{} bytes are too few for a safetensors file", size),
           "it begins with 8 bytes of header length");
    std::uint64_t length = 0;
    for (int i = 7; i >= 0; --i) length = length << 8 | prefix[i];
    if (length > max_header_bytes || length > size - 8)
      fail("", fmt::format("a header of {} bytes in a file of {}", length, size),
           "the file is truncated or not safetensors");
    text_.resize(length);
    if (!file.read(text_.data(), static_cast<std::streamsize>(length)))
      fail("", "cannot be read", "give a readable file");
    data_offset_ = 8 + static_cast<std::int64_t>(length);
    data_bytes_ = static_cast<std::int64_t>(size) - data_offset_;
  }

  std::vector<StoredTensor> tensors() {
    const Json json = parse();
    std::vector<StoredTensor> tensors;
    for (const auto& [name, entry] : json.items()) {
      if (name == "__metadata__") {
        check_metadata(entry);
      } else {
        tensors.push_back(tensor(name, entry));
      }
    }
    std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
      return std::pair(a.offset, a.elements()) < std::pair(b.offset, b.elements());
    });
    std::int64_t end = data_offset_;
    for (const StoredTensor& t : tensors) {
      if (t.offset != end)
        fail(t.name,
             t.offset < end
                 ? fmt::format("overlaps the tensor before it by {} bytes", end - t.offset)
                 : fmt::format("{} bytes before it belong to no tensor", t.offset - end),
             "tensors cover the data exactly once");
      end += t.elements() * bytes(t.type);
    }
    if (end != data_offset_ + data_bytes_)
      fail("", fmt::format("{} bytes behind the last tensor", data_offset_ + data_bytes_ - end),
           "tensors cover the data exactly once");
    return tensors;
  }

 private:
  [[noreturn]] void fail(const std::string& key, const std::string& wrong,
                         const std::string& right) const {
    throw InputError({path_, 0}, key, wrong, right);
  }

  Json parse() const {
    // Duplicate keys, which a JSON object forgets; and what is no header must not take memory
    // first, as deep nesting and long lists do.
    struct Open {
      bool is_list = false;
      std::size_t elements = 0;
      std::set<std::string> keys;
    };
    std::vector<Open> open;
    std::string duplicate;
    const auto count_element = [&] {
      if (!open.empty() && open.back().is_list && ++open.back().elements > max_list_elements)
        fail("header", "holds a long list", "a shape has a few dimensions");
    };
    const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
      if (depth > max_depth) fail("header", "nests too deep", "it maps names to tensors");
      switch (event) {
        case Json::parse_event_t::object_start:
        case Json::parse_event_t::array_start:
          count_element();
          open.push_back({event == Json::parse_event_t::array_start, 0, {}});
          break;
        case Json::parse_event_t::object_end:
        case Json::parse_event_t::array_end:
          open.pop_back();
          break;
        case Json::parse_event_t::key:
          if (!open.back().keys.insert(parsed.get<std::string>()).second)
            duplicate = parsed.get<std::string>();
          break;
        case Json::parse_event_t::value:
          count_element();
          break;
      }
      return true;
    };
    Json json;
    try {
      json = Json::parse(text_, watch);
    } catch (const Json::exception& error) {
      fail("header", fmt::format("is not JSON ({})", error.what()), "write the file anew");
    }
    if (!json.is_object()) fail("header", "is no JSON object", "it maps names to tensors");
    if (!duplicate.empty()) fail("header", fmt::format("'{}' stands twice", duplicate), "once");
    return json;
  }

  void check_metadata(const Json& entry) const {
    const bool right =
        entry.is_object() &&
        std::all_of(entry.begin(), entry.end(), [](auto& value) { return value.is_string(); });
    if (!right) fail("__metadata__", "is not an object of strings", "leave it out");
  }

  StoredTensor tensor(const std::string& name, const Json& entry) const {
    if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") ||
        !entry.contains("shape") || !entry.contains("data_offsets"))
      fail(name, "has other keys than a tensor", "it has dtype, shape and data_offsets");
    StoredTensor tensor;
    tensor.file = path_;
    tensor.name = name;
    const Json& dtype = entry["dtype"];
    const auto found =
        dtype.is_string() ? element_types().find(dtype.get<std::string>()) : element_types().end();
    if (found == element_types().end()) {
      std::vector<std::string> known;
      for (const auto& type : element_types()) known.push_back(type.first);
      fail(name, fmt::format("dtype {} is not supported", dtype.dump(-1, ' ', true)),
           fmt::format("store it as one of {}", fmt::join(known, ", ")));
    }
    tensor.type = found->second;
    const Json& shape = entry["shape"];
    if (!shape.is_array() || shape.size() > 8) fail(name, "shape is no short list", "[rows, cols]");
    for (const Json& size : shape) tensor.shape.push_back(number(name, "shape", size));
    const std::int64_t bytes_needed = stored_bytes(tensor.shape, bytes(tensor.type));
    const Json& offsets = entry["data_offsets"];
    if (!offsets.is_array() || offsets.size() != 2)
      fail(name, "data_offsets is no pair", "[begin, end)");
    const std::int64_t begin = number(name, "data_offsets", offsets[0]);
    const std::int64_t end = number(name, "data_offsets", offsets[1]);
    if (begin > end || end > data_bytes_)
      fail(name, fmt::format("data_offsets [{}, {}) in {} bytes of data", begin, end, data_bytes_),
           "the file is truncated or its header is wrong");
    if (bytes_needed != end - begin)
      fail(name,
           fmt::format("shape {} of {} in {} bytes", tensor.shape_text(), dtype.get<std::string>(),
                       end - begin),
           "size and shape must agree");
    tensor.offset = data_offset_ + begin;
    return tensor;
  }

  std::int64_t number(const std::string& name, const char* what, const Json& value) const {
    if (!value.is_number_unsigned() ||
        value.get<std::uint64_t>() > static_cast<std::uint64_t>(max_stored_bytes))
      fail(name, fmt::format("{} holds {}", what, value.dump(-1, ' ', true).substr(0, 40)),
           "whole numbers from 0 to 2^48");
    return value.get<std::int64_t>();
  }

  std::string path_, text_;
  std::int64_t data_offset_ = 0, data_bytes_ = 0;
};

}  // namespace

std::vector<StoredTensor> read_safetensors(const std::string& path) {
  return Header(path).tensors();
}

}  // namespace tessera
