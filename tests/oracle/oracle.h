#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/datapath/format.h"

namespace tessera::test {

/// Somebody else's conversions between FP32 and one narrow format.
struct Oracle {
  std::string name;
  Format format;
  Overflow overflow;
  std::uint32_t (*encode)(float);  ///< nearest even
  float (*decode)(std::uint32_t);
};

/// NVIDIA's host code, cuda_fp8.h and its kin; empty where they were not found.
std::vector<Oracle> cuda_oracles();
/// LLVM's APFloat; empty where it was not found.
std::vector<Oracle> llvm_oracles();

}  // namespace tessera::test
