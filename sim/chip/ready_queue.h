#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/base/units.h"

namespace tessera {

/// Contexts that are ready, in the order of their times, of equals the lower number first. A
/// context that becomes ready is mostly later than the others, so it is sought from the end: a few
/// steps, however many wait.
class ReadyQueue {
 public:
  static constexpr Cycles never{INT64_MAX};

  ReadyQueue() { reset(0); }
  /// Empties the queue, for contexts numbered from 0 to `contexts` - 1.
  void reset(std::size_t contexts) {
    entries_.assign(contexts + kept + 2, nobody);
    first_ = end_ = 0;
  }

  /// Number of the first; there is one.
  std::size_t first() const { return entries_[first_].context; }
  /// When the first is ready; `never` if none is.
  Cycles earliest() const { return entries_[first_].when; }
  /// When the one after the first is ready; `never` if none is. There is a first.
  Cycles second() const { return entries_[first_ + 1].when; }

  /// A context that is not in the queue becomes ready at `when`.
  void push(std::size_t context, Cycles when) {
    Entry* place = entries_.data() + end_++;
    for (const Entry* const front = entries_.data() + first_;
         place != front &&
         (when < place[-1].when || (when == place[-1].when && context < place[-1].context));
         --place)
      *place = place[-1];
    *place = {when, context};
  }
  void pop() {
    if (++first_ <= kept) return;
    std::copy(entries_.begin() + kept + 1, entries_.end(), entries_.begin());
    std::fill(entries_.end() - kept - 1, entries_.end(), nobody);
    end_ -= first_;
    first_ = 0;
  }

 private:
  struct Entry {
    Cycles when;
    std::size_t context;
  };
  static constexpr Entry nobody{never, 0};
  // Those that have been popped stay in front of the others until there are more of them than this.
  static constexpr std::ptrdiff_t kept = 15;

  std::vector<Entry> entries_;  // popped, waiting, nobody (at least one)
  std::size_t first_ = 0, end_ = 0;
};

}  // namespace tessera
