#pragma once

#include <tlm_utils/simple_target_socket.h>

#include <systemc>
#include <tlm>

#include "sim/base/units.h"
#include "sim/config/chip_config.h"

namespace tessera {

/// The simplest memory behind the socket, and an example of how to plug in another: one latency,
/// one bandwidth, no banks.
///   done = max(now, free) + bytes / bandwidth + latency,   latency = tRCD + tCL
class FixedLatencyMemory : public sc_core::sc_module {
 public:
  FixedLatencyMemory(sc_core::sc_module_name name, const HbmConfig& config);

  tlm_utils::simple_target_socket<FixedLatencyMemory> socket;

 private:
  void transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);

  __extension__ using Wide = __int128;

  Picoseconds latency_;
  std::int64_t scaled_per_byte_;  // ps * 2^16
  Wide free_scaled_ = 0;          // ps * 2^16
};

}  // namespace tessera
