#include "sim/chip/chip.h"

namespace tessera {

Chip::Chip(sc_core::sc_module_name name, const ChipConfig& config, const Section& section,
           MemoryModel memory, const CacheBefore& before,
           const std::vector<int>& construction_order, TimelineRecorder* recorder)
    : sc_module(name), clock_(config.clock.core_mhz), port_("memory_port", clock_) {
  if (memory == MemoryModel::hbm) {
    hbm_ = std::make_unique<Hbm>("hbm", config.hbm);
    port_.socket.bind(hbm_->socket);
  } else {
    fixed_ = std::make_unique<FixedLatencyMemory>("memory", config.hbm);
    port_.socket.bind(fixed_->socket);
  }
  l2_ = std::make_unique<L2>(config, port_);
  l2_->attach(section, before);
  arbiter_ = std::make_unique<Arbiter>("arbiter", clock_, config.core.count);
  processor_ = std::make_unique<CommandProcessor>("command_processor", config, clock_, section,
                                                  *l2_, *arbiter_, construction_order, recorder);
}

}  // namespace tessera
