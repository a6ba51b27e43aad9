#include "sim/trace/write_map.h"

#include <algorithm>
#include <numeric>

namespace tessera {
namespace {

std::int64_t cells(std::int64_t elements, std::int64_t cell) {
  return elements / cell + (elements % cell != 0 ? 1 : 0);
}

}  // namespace

WriteMap::WriteMap(std::int64_t rows, std::int64_t cols, std::int64_t max_cells)
    : rows_(rows), cols_(cols), max_cells_(max_cells) {
  bounding_ = {rows, 0, cols, 0};
}

WriteMap::Added WriteMap::add(std::int64_t row, std::int64_t col, std::int64_t rows,
                              std::int64_t cols) {
  const std::int64_t row_end = rows >= rows_ - row ? rows_ : row + rows;
  const std::int64_t col_end = cols >= cols_ - col ? cols_ : col + cols;
  // An end at the tensor's edge needs no alignment: the last cell may be partly outside.
  std::int64_t cell_rows = std::gcd(cell_rows_, row);
  std::int64_t cell_cols = std::gcd(cell_cols_, col);
  if (row_end < rows_) cell_rows = std::gcd(cell_rows, row_end);
  if (col_end < cols_) cell_cols = std::gcd(cell_cols, col_end);
  if (cell_rows == 0) cell_rows = rows_;
  if (cell_cols == 0) cell_cols = cols_;
  if (cell_rows != cell_rows_ || cell_cols != cell_cols_) {
    if (!refine(cell_rows, cell_cols)) return Added::too_fine;
  }
  bounding_.row_begin = std::min(bounding_.row_begin, row);
  bounding_.row_end = std::max(bounding_.row_end, row_end);
  bounding_.col_begin = std::min(bounding_.col_begin, col);
  bounding_.col_end = std::max(bounding_.col_end, col_end);

  const std::int64_t left = col / cell_cols_;
  const std::int64_t width = cells(col_end, cell_cols_) - left;
  const std::int64_t bottom = cells(row_end, cell_rows_);
  std::int64_t clear = 0;
  for (std::int64_t i = row / cell_rows_; i < bottom; ++i) clear += set(i * across_ + left, width);
  const std::int64_t wanted = width * (bottom - row / cell_rows_);
  marked_ += clear;
  return clear == wanted ? Added::fresh : Added::overlap;
}

bool WriteMap::refine(std::int64_t cell_rows, std::int64_t cell_cols) {
  const std::int64_t down = cells(rows_, cell_rows), across = cells(cols_, cell_cols);
  if (down > max_cells_ / across) return false;
  const std::vector<std::uint64_t> old_bits = std::move(bits_);
  const std::int64_t old_down = down_, old_across = across_;
  const std::int64_t taller = cell_rows_ / cell_rows, wider = cell_cols_ / cell_cols;
  down_ = down;
  across_ = across;
  cell_rows_ = cell_rows;
  cell_cols_ = cell_cols;
  bits_.assign(static_cast<std::size_t>((down * across + 63) / 64), 0);
  marked_ = 0;
  for (std::int64_t i = 0; i < old_down; ++i) {
    for (std::int64_t j = 0; j < old_across; ++j) {
      const std::int64_t old = i * old_across + j;
      if ((old_bits[static_cast<std::size_t>(old / 64)] >> (old % 64) & 1) == 0) continue;
      const std::int64_t bottom = std::min((i + 1) * taller, down_);
      const std::int64_t width = std::min((j + 1) * wider, across_) - j * wider;
      for (std::int64_t k = i * taller; k < bottom; ++k) {
        marked_ += set(k * across_ + j * wider, width);
      }
    }
  }
  return true;
}

std::int64_t WriteMap::set(std::int64_t first, std::int64_t count) {
  std::int64_t clear = 0;
  while (count > 0) {
    const std::int64_t bit = first % 64;
    const std::int64_t here = std::min<std::int64_t>(count, 64 - bit);
    const std::uint64_t mask = (here == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << here) - 1)
                               << bit;
    std::uint64_t& word = bits_[static_cast<std::size_t>(first / 64)];
    clear += __builtin_popcountll(mask & ~word);
    word |= mask;
    first += here;
    count -= here;
  }
  return clear;
}

std::optional<Region> WriteMap::hole() const {
  if (bounding_.empty()) return std::nullopt;
  const std::int64_t top = bounding_.row_begin / cell_rows_,
                     left = bounding_.col_begin / cell_cols_;
  const std::int64_t bottom = cells(bounding_.row_end, cell_rows_);
  const std::int64_t right = cells(bounding_.col_end, cell_cols_);
  if (marked_ == (bottom - top) * (right - left)) return std::nullopt;
  const auto marked = [&](std::int64_t i, std::int64_t j) {
    const std::int64_t cell = i * across_ + j;
    return (bits_[static_cast<std::size_t>(cell / 64)] >> (cell % 64) & 1) != 0;
  };
  for (std::int64_t i = top; i < bottom; ++i) {
    for (std::int64_t j = left; j < right; ++j) {
      if (marked(i, j)) continue;
      std::int64_t end = j + 1;
      while (end < right && !marked(i, end)) ++end;
      return Region{i * cell_rows_, std::min((i + 1) * cell_rows_, rows_), j * cell_cols_,
                    std::min(end * cell_cols_, cols_)};
    }
  }
  return std::nullopt;
}

std::optional<Region> uncovered(const Region& wanted, const std::vector<Region>& covers) {
  std::vector<Region> rest = {wanted};
  if (wanted.empty()) rest.clear();
  for (const Region& cover : covers) {
    std::vector<Region> next;
    for (const Region& r : rest) {
      const Region common = {
          std::max(r.row_begin, cover.row_begin), std::min(r.row_end, cover.row_end),
          std::max(r.col_begin, cover.col_begin), std::min(r.col_end, cover.col_end)};
      if (common.empty()) {
        next.push_back(r);
        continue;
      }
      // What is left of r: the bands above and below, then left and right of the common part.
      for (const Region& part :
           {Region{r.row_begin, common.row_begin, r.col_begin, r.col_end},
            Region{common.row_end, r.row_end, r.col_begin, r.col_end},
            Region{common.row_begin, common.row_end, r.col_begin, common.col_begin},
            Region{common.row_begin, common.row_end, common.col_end, r.col_end}}) {
        if (!part.empty()) next.push_back(part);
      }
    }
    rest = std::move(next);
    if (rest.empty()) return std::nullopt;
  }
  if (rest.empty()) return std::nullopt;
  return rest.front();
}

}  // namespace tessera
