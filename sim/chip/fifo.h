#pragma once

#include <cstdint>
#include <memory>
#include <utility>

namespace tessera {

/// A queue in a ring of memory that grows as needed and is kept, for what is pushed and popped all
/// the time. Small, as there are many: up to 2^31 items.
template <class Item>
class Fifo {
 public:
  bool empty() const { return begin_ == end_; }
  std::uint32_t size() const { return end_ - begin_; }
  /// The oldest; there is one.
  const Item& front() const { return ring_[begin_ & (capacity_ - 1)]; }
  void pop_front() { ++begin_; }
  void push_back(const Item& item) {
    if (size() == capacity_) grow();
    ring_[end_++ & (capacity_ - 1)] = item;
  }
  void clear() { begin_ = end_ = 0; }

 private:
  void grow() {
    const std::uint32_t count = size(), larger = capacity_ == 0 ? 8 : 2 * capacity_;
    auto ring = std::make_unique<Item[]>(larger);
    for (std::uint32_t i = 0; i < count; ++i) ring[i] = ring_[(begin_ + i) & (capacity_ - 1)];
    ring_ = std::move(ring);
    capacity_ = larger;
    begin_ = 0;
    end_ = count;
  }

  std::unique_ptr<Item[]> ring_;
  std::uint32_t capacity_ = 0;         // a power of two, or none
  std::uint32_t begin_ = 0, end_ = 0;  // counts of items, which wrap around at 2^32
};

}  // namespace tessera
