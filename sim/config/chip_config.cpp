#include "sim/config/chip_config.h"

namespace tessera {

int TensorCoreConfig::flops_per_cycle(Format format) const {
  switch (format) {
    case Format::fp16:
      return fp16_flops_per_cycle;
    case Format::bf16:
      return bf16_flops_per_cycle;
    case Format::tf32:
      return tf32_flops_per_cycle;
    case Format::e4m3:
    case Format::e5m2:
      return fp8_flops_per_cycle;
    default:
      return 0;
  }
}

}  // namespace tessera
