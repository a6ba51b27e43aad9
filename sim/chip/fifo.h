#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace tessera {

/// A queue in a ring of memory that grows as needed and is kept, for what is pushed and popped all
/// the time.
template <class Item>
class Fifo {
 public:
  bool empty() const { return begin_ == end_; }
  std::size_t size() const { return end_ - begin_; }
  /// The oldest; there is one.
  const Item& front() const { return ring_[begin_ & mask_]; }
  void pop_front() { ++begin_; }
  void push_back(const Item& item) {
    if (size() == ring_.size()) grow();
    ring_[end_++ & mask_] = item;
  }
  void clear() { begin_ = end_ = 0; }

 private:
  void grow() {
    std::vector<Item> larger(ring_.empty() ? 8 : 2 * ring_.size());
    const std::size_t count = size();
    for (std::size_t i = 0; i < count; ++i) larger[i] = ring_[(begin_ + i) & mask_];
    ring_ = std::move(larger);
    mask_ = ring_.size() - 1;
    begin_ = 0;
    end_ = count;
  }

  std::vector<Item> ring_;                      // its size is a power of two, or none
  std::size_t mask_ = 0, begin_ = 0, end_ = 0;  // counts of items, not wrapped
};

}  // namespace tessera
