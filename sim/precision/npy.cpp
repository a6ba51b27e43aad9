#include "sim/precision/npy.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "sim/base/error.h"

namespace tessera {
namespace {

constexpr std::int64_t max_header_bytes = 65'536;

const std::map<std::string, ElementType>& element_types() {
  static const std::map<std::string, ElementType> types = {
      {"<f8", ElementType::f64}, {"<f4", ElementType::f32}, {"<f2", ElementType::f16},
      {"<i8", ElementType::i64}, {"<i4", ElementType::i32}, {"<i2", ElementType::i16},
      {"|i1", ElementType::i8},  {"<u8", ElementType::u64}, {"<u4", ElementType::u32},
      {"<u2", ElementType::u16}, {"|u1", ElementType::u8},  {"|b1", ElementType::boolean}};
  return types;
}

/// The header: a Python dict of descr (a string), fortran_order (a bool) and shape (a tuple).
class Header {
 public:
  Header(const std::string& path, std::string text) : path_(path), text_(std::move(text)) {
    dict();
  }

  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;

 private:
  [[noreturn]] void fail(const std::string& wrong) const {
    throw InputError({path_, 0}, "header", wrong,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (rows, cols), }");
  }

  void blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool take(const std::string& token) {
    blanks();
    if (text_.compare(at_, token.size(), token) != 0) return false;
    at_ += token.size();
    return true;
  }
  void expect(const std::string& token) {
    if (!take(token)) fail(fmt::format("no '{}' at character {}", token, at_));
  }
  std::string quoted() {
    const char* quote = take("'") ? "'" : "\"";
    if (*quote == '"') expect("\"");
    const std::size_t end = text_.find(quote, at_);
    if (end == std::string::npos) fail("a string does not end");
    const std::string word = text_.substr(at_, end - at_);
    at_ = end + 1;
    return word;
  }
  std::int64_t number() {
    blanks();
    std::int64_t value = 0;
    const char* first = text_.data() + at_;
    const auto [end, error] = std::from_chars(first, text_.data() + text_.size(), value);
    if (error != std::errc() || value < 0) fail("a size is no whole number");
    at_ += static_cast<std::size_t>(end - first);
    take("L");  // a long of Python 2
    return value;
  }
  void tuple() {
    expect("(");
    while (!take(")")) {
      if (shape.size() == 8) fail("more than 8 dimensions");
      shape.push_back(number());
      if (take(")")) break;
      expect(",");
    }
  }
  void dict() {
    std::set<std::string> seen;
    expect("{");
    while (!take("}")) {
      const std::string key = quoted();
      if (!seen.insert(key).second) fail(fmt::format("'{}' stands twice", key));
      expect(":");
      if (key == "descr") {
        blanks();
        if (at_ < text_.size() && text_[at_] == '[') fail("a structured array");
        descr = quoted();
      } else if (key == "fortran_order") {
        fortran_order = take("True");
        if (!fortran_order) expect("False");
      } else if (key == "shape") {
        tuple();
      } else {
        fail(fmt::format("an unknown key '{}'", key));
      }
      if (take("}")) break;
      expect(",");
    }
    blanks();
    if (at_ != text_.size()) fail("text behind the dict");
    if (seen.size() != 3) fail("descr, fortran_order or shape is missing");
  }

  const std::string& path_;
  std::string text_;
  std::size_t at_ = 0;
};

}  // namespace

StoredTensor read_npy(const std::string& path) {
  const auto fail = [&](const std::string& wrong, const std::string& right) {
    throw InputError({path, 0}, "", wrong, right);
  };
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) fail("cannot be read", "give a readable file");
  const std::int64_t size = file.tellg();
  file.seekg(0);
  unsigned char start[12] = {};
  file.read(reinterpret_cast<char*>(start), 8);
  const std::string magic = "\x93NUMPY";
  if (!file || !std::equal(magic.begin(), magic.end(), reinterpret_cast<const char*>(start)))
    fail("is no .npy file", "it begins with \\x93NUMPY; numpy.save writes it");
  const int version = start[6];
  if (version < 1 || version > 3 || start[7] != 0)
    fail(fmt::format("format version {}.{}", version, start[7]), "1.0, 2.0 or 3.0");
  const int width = version == 1 ? 2 : 4;
  file.read(reinterpret_cast<char*>(start + 8), width);
  std::int64_t length = 0;
  for (int i = width - 1; i >= 0; --i) length = length << 8 | start[8 + i];
  const std::int64_t offset = 8 + width + length;
  if (!file || offset > size || length > max_header_bytes)
    fail(fmt::format("a header of {} bytes in a file of {}", length, size),
         "the file is truncated or no .npy file");
  std::string text(static_cast<std::size_t>(length), ' ');
  if (!file.read(text.data(), length)) fail("cannot be read", "give a readable file");

  const Header header(path, std::move(text));
  const auto found = element_types().find(header.descr);
  if (found == element_types().end())
    fail(fmt::format("elements of type '{}' are not supported", header.descr),
         "little endian float16, float32 or float64: array.astype('<f4')");
  if (header.fortran_order && header.shape.size() > 1)
    fail("the array is in Fortran order", "save numpy.ascontiguousarray(array)");
  StoredTensor tensor;
  tensor.file = path;
  tensor.name = std::filesystem::path(path).stem().string();
  tensor.type = found->second;
  tensor.shape = header.shape;
  tensor.offset = offset;
  const std::int64_t bytes_needed = stored_bytes(tensor.shape, bytes(tensor.type));
  if (bytes_needed != size - offset)
    fail(fmt::format("shape {} of '{}' in {} bytes of data", tensor.shape_text(), header.descr,
                     size - offset),
         "the file is truncated, or longer than its array");
  return tensor;
}

}  // namespace tessera
