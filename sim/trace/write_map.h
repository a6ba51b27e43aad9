#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace tessera {

/// A rectangle of a tensor in elements; ends are exclusive.
struct Region {
  std::int64_t row_begin = 0, row_end = 0, col_begin = 0, col_end = 0;
  bool empty() const { return row_begin >= row_end || col_begin >= col_end; }
};

/// Which elements of a tensor have been written, in cells as coarse as the boxes allow: a bitmap
/// whose cell is the greatest common divisor of the boxes' corners and sizes.
class WriteMap {
 public:
  enum class Added : std::uint8_t { fresh, overlap, too_fine };

  /// rows, cols >= 1; `max_cells`: bound on the size of the bitmap.
  WriteMap(std::int64_t rows, std::int64_t cols, std::int64_t max_cells);

  /// Marks a box whose origin is inside the tensor; the part beyond the edge is ignored. overlap:
  /// some of it was marked already.
  Added add(std::int64_t row, std::int64_t col, std::int64_t rows, std::int64_t cols);

  /// The smallest rectangle around all boxes.
  const Region& bounding() const { return bounding_; }
  /// Some part of the bounding rectangle that no box covers, if there is one.
  std::optional<Region> hole() const;

 private:
  bool refine(std::int64_t cell_rows, std::int64_t cell_cols);
  // Sets cells [first, first + count) and returns how many were clear.
  std::int64_t set(std::int64_t first, std::int64_t count);

  std::int64_t rows_, cols_, max_cells_;
  std::int64_t cell_rows_ = 0, cell_cols_ = 0;  // 0: nothing added yet
  std::int64_t down_ = 0, across_ = 0;          // cells of the bitmap
  std::vector<std::uint64_t> bits_;
  std::int64_t marked_ = 0;
  Region bounding_;
};

/// A part of `wanted` that none of `covers` covers, if there is one.
std::optional<Region> uncovered(const Region& wanted, const std::vector<Region>& covers);

}  // namespace tessera
