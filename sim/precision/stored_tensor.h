#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

/// Element of a tensor in a file; little endian.
enum class ElementType : std::uint8_t {
  f64,
  f32,
  f16,
  bf16,
  f8_e4m3,
  f8_e5m2,
  f8_e8m0,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean,
};
std::int64_t bytes(ElementType type);

/// Where a tensor stands in a file; its elements are contiguous, the last dimension fastest.
struct StoredTensor {
  std::string file;
  std::string name;
  ElementType type = ElementType::f32;
  std::vector<std::int64_t> shape;
  std::int64_t offset = 0;  ///< of the first element, from the start of the file

  std::int64_t elements() const;
  std::string shape_text() const;  ///< "[4096, 1024]"
};

/// The elements [first, first + count) as FP32 (f64 and wide integers are rounded). Throws
/// InputError naming file and tensor if the file has become shorter, or an element is Inf or NaN.
void read_elements(const StoredTensor& tensor, std::int64_t first, std::int64_t count,
                   float* values);

/// Every size of a tensor in a file is at most this.
constexpr std::int64_t max_stored_bytes = std::int64_t{1} << 48;
/// Product of a shape's dimensions and `size`, or -1 if one is negative or it exceeds
/// max_stored_bytes.
std::int64_t stored_bytes(const std::vector<std::int64_t>& shape, std::int64_t size);

}  // namespace tessera
