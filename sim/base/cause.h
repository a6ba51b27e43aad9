#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tessera {

/// Where a core-cycle went: every cycle of every core is charged to exactly one.
enum class Cause : std::uint8_t {
  tensor_core,       ///< tensor core multiplying
  scratchpad,        ///< tensor core waiting for operands from the scratchpad
  vector,            ///< FP32 lanes or converters busy, tensor core idle
  special_function,  ///< special-function unit busy, tensor core idle
  epilogue,          ///< output tile being scaled, converted, stored
  hbm,               ///< waiting for data from DRAM
  l2,                ///< waiting for data from L2
  noc,               ///< waiting for the core's network port
  barrier,           ///< waiting for another context or core
  pipeline,          ///< latency of dependent instructions: fill and drain
  link,              ///< waiting for other chips
  launch,            ///< kernel launch and block start
  idle,              ///< no block to run: too few tiles, or the tail of the last wave
};
constexpr std::size_t cause_count = 13;
/// The JSON key, e.g. "tensor_core".
std::string_view name(Cause cause);
/// One sentence for the glossary.
std::string_view meaning(Cause cause);

using CoreCycles = std::array<std::int64_t, cause_count>;

}  // namespace tessera
