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

/// What the L2 holds when a section begins.
enum class CacheBefore : std::uint8_t {
  same_run,  ///< what a run like this one has left
  flushed,   ///< lines of a kernel that wrote more than the L2 holds: nothing is warm
};

}  // namespace tessera
