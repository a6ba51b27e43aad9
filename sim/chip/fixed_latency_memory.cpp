#include "sim/chip/fixed_latency_memory.h"

#include <algorithm>
#include <cmath>

#include "sim/chip/simulation_time.h"

namespace tessera {
namespace {
constexpr int scale_bits = 16;
}

FixedLatencyMemory::FixedLatencyMemory(sc_core::sc_module_name name, const HbmConfig& config)
    : sc_module(name),
      socket("socket"),
      latency_(std::llround((config.trcd_ns + config.tcl_ns) * 1000)),
      scaled_per_byte_(std::llround(1000.0 / config.bandwidth_gbps * (1 << scale_bits))) {
  socket.register_b_transport(this, &FixedLatencyMemory::transport);
}

void FixedLatencyMemory::transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  const Picoseconds now = ClockDomain::from_sc_time(sc_core::sc_time_stamp() + delay);
  free_scaled_ = std::max(free_scaled_, Wide{now.value} << scale_bits) +
                 static_cast<std::int64_t>(payload.get_data_length()) * scaled_per_byte_;
  const Picoseconds done =
      Picoseconds(static_cast<std::int64_t>(free_scaled_ >> scale_bits)) + latency_;
  delay += ClockDomain::to_sc_time(done - now);
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

}  // namespace tessera
