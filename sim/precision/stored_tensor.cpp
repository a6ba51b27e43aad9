#include "sim/precision/stored_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include "sim/base/error.h"
#include "sim/datapath/cast.h"

namespace tessera {
namespace {

template <class T>
void convert(const char* raw, std::int64_t count, float* values) {
  for (std::int64_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, raw + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
    values[i] = static_cast<float>(value);
  }
}

void convert_narrow(Format format, const char* raw, std::int64_t count, float* values) {
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(count));
  std::memcpy(codes.data(), raw, codes.size());
  decode(format, codes.data(), values, count);
}

void convert_half(Format format, const char* raw, std::int64_t count, float* values) {
  std::vector<std::uint16_t> codes(static_cast<std::size_t>(count));
  std::memcpy(codes.data(), raw, 2 * codes.size());
  decode(format, codes.data(), values, count);
}

void convert(ElementType type, const char* raw, std::int64_t count, float* values) {
  switch (type) {
    case ElementType::f64:
      return convert<double>(raw, count, values);
    case ElementType::f32:
      return convert<float>(raw, count, values);
    case ElementType::f16:
      return convert_half(Format::fp16, raw, count, values);
    case ElementType::bf16:
      return convert_half(Format::bf16, raw, count, values);
    case ElementType::f8_e4m3:
      return convert_narrow(Format::e4m3, raw, count, values);
    case ElementType::f8_e5m2:
      return convert_narrow(Format::e5m2, raw, count, values);
    case ElementType::f8_e8m0:
      return convert_narrow(Format::e8m0, raw, count, values);
    case ElementType::i64:
      return convert<std::int64_t>(raw, count, values);
    case ElementType::i32:
      return convert<std::int32_t>(raw, count, values);
    case ElementType::i16:
      return convert<std::int16_t>(raw, count, values);
    case ElementType::i8:
      return convert<std::int8_t>(raw, count, values);
    case ElementType::u64:
      return convert<std::uint64_t>(raw, count, values);
    case ElementType::u32:
      return convert<std::uint32_t>(raw, count, values);
    case ElementType::u16:
      return convert<std::uint16_t>(raw, count, values);
    case ElementType::u8:
    case ElementType::boolean:
      return convert<std::uint8_t>(raw, count, values);
  }
}

}  // namespace

std::int64_t bytes(ElementType type) {
  switch (type) {
    case ElementType::f64:
    case ElementType::i64:
    case ElementType::u64:
      return 8;
    case ElementType::f32:
    case ElementType::i32:
    case ElementType::u32:
      return 4;
    case ElementType::f16:
    case ElementType::bf16:
    case ElementType::i16:
    case ElementType::u16:
      return 2;
    case ElementType::f8_e4m3:
    case ElementType::f8_e5m2:
    case ElementType::f8_e8m0:
    case ElementType::i8:
    case ElementType::u8:
    case ElementType::boolean:
      return 1;
  }
  return 1;
}

std::int64_t StoredTensor::elements() const { return stored_bytes(shape, 1); }

std::string StoredTensor::shape_text() const { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::int64_t stored_bytes(const std::vector<std::int64_t>& shape, std::int64_t size) {
  if (std::any_of(shape.begin(), shape.end(), [](std::int64_t n) { return n < 0; })) return -1;
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  std::int64_t product = size;
  for (const std::int64_t n : shape) {
    if (n > max_stored_bytes / product) return -1;
    product *= n;
  }
  return product;
}

void read_elements(const StoredTensor& tensor, std::int64_t first, std::int64_t count,
                   float* values) {
  constexpr std::int64_t chunk = std::int64_t{1} << 16;
  std::ifstream file(tensor.file, std::ios::binary);
  const std::int64_t size = bytes(tensor.type);
  file.seekg(tensor.offset + first * size);
  std::vector<char> raw(static_cast<std::size_t>(std::min(count, chunk) * size));
  for (std::int64_t done = 0; done < count; done += chunk) {
    const std::int64_t part = std::min(chunk, count - done);
    if (!file.read(raw.data(), part * size))
      throw InputError({tensor.file, 0}, tensor.name, "the file ends inside the tensor",
                       "it must not change while it is read");
    convert(tensor.type, raw.data(), part, values + done);
    for (std::int64_t i = done; i < done + part; ++i)
      if (!std::isfinite(values[i]))
        throw InputError({tensor.file, 0}, tensor.name,
                         fmt::format("element {} is {}", first + i,
                                     std::isnan(values[i]) ? "NaN" : "infinite in FP32"),
                         "every element is a finite number");
  }
}

}  // namespace tessera
