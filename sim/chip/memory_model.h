#pragma once

#include <cstdint>
#include <string_view>

namespace tessera {

/// What stands behind the L2's memory socket.
enum class MemoryModel : std::uint8_t {
  hbm,            ///< stacks, pseudo-channels, banks (hbm.h)
  fixed_latency,  ///< one latency, one bandwidth: the second implementation of the socket
};
constexpr std::string_view name(MemoryModel model) {
  return model == MemoryModel::hbm ? "hbm" : "fixed-latency";
}

/// What the L2 holds when a section begins: by default what a run like this one has left, on other
/// copies of all that is not warm.
struct CacheBefore {
  /// Lines of a kernel that wrote more than the L2 holds: nothing is warm.
  bool flushed = false;
  /// > 0: of what is not warm, so many copies are used in turn, as a benchmark does that repeats an
  /// operation. What the L2 holds of all of them it still holds, and of the inputs, which every run
  /// reads, what it holds of one run.
  int copies = 0;
};

}  // namespace tessera
