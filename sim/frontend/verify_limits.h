#pragma once

#include "sim/config/chip_config.h"
#include "sim/trace/verify.h"

namespace tessera {

/// What the verifier holds a trace against on `chip`: the trace library itself knows no chips.
VerifyLimits limits_of(const ChipConfig& chip);

}  // namespace tessera
