#pragma once

#include <algorithm>

#include "sim/config/chip_config.h"
#include "sim/trace/trace.h"

namespace tessera {

/// The least time an operation can take on a chip, launch not included.
struct RooflinePoint {
  double compute_us = 0;  ///< the longer of tensor-core and FP32-lane time, all cores busy
  double memory_us = 0;   ///< DRAM traffic nobody can avoid, at peak bandwidth
  double link_us = 0;     ///< what goes to other chips, at the link's bandwidth
  double us() const { return std::max({compute_us, memory_us, link_us}); }
  /// True if the chip cannot feed the operation's arithmetic.
  bool memory_bound() const { return memory_us > compute_us; }
};

/// compute = max(tensor FLOPs / (cores * rate(format)), vector FLOPs / (2 * cores * fma)) / clock
/// memory  = (cold inputs + what of the outputs exceeds the L2) / HBM bandwidth
/// `clock_mhz`: the core clock the run had. An operation without a tensor-core rate for its format
/// (a vector operation, say) has only the other bounds. Outputs that fit stay in the L2 as dirty
/// lines, so they are no bound on this operation's time.
/// link    = sent_bytes / link bandwidth; sent_bytes: link_bytes() of the operation
RooflinePoint roofline(const OpRecord& op, const ChipConfig& chip, double clock_mhz,
                       double sent_bytes = 0);

}  // namespace tessera
