#pragma once

#include <tlm_utils/simple_initiator_socket.h>

#include <array>
#include <cstdint>
#include <systemc>
#include <tlm>

#include "sim/base/units.h"
#include "sim/chip/simulation_time.h"

namespace tessera {

/// How the bytes of a transaction lie in memory: in runs of contiguous bytes, each in another DRAM
/// row. An ignorable extension of the payload: targets that do not know it see one stretch.
struct MemoryRuns : tlm::tlm_extension<MemoryRuns> {
  std::int64_t run_bytes = 0;

  tlm_extension_base* clone() const override { return new MemoryRuns(*this); }
  void copy_from(const tlm_extension_base& from) override {
    run_bytes = static_cast<const MemoryRuns&>(from).run_bytes;
  }
  void free() override {}  // belongs to the port
};

/// The L2's side of the memory socket: turns a request in cycles into one loosely timed TLM-2.0
/// transaction. Any target that adds the transfer's time to the delay of b_transport can be bound.
/// Requests must come in the order of their times. No allocation: one payload is used for all.
class MemoryPort : public sc_core::sc_module {
 public:
  MemoryPort(sc_core::sc_module_name name, const ClockDomain& clock);
  ~MemoryPort() override { payload_.clear_extension(&runs_); }

  tlm_utils::simple_initiator_socket<MemoryPort> socket;

  /// Largest transaction in bytes: one segment of an L2 with lines of 128 B. Longer requests go in
  /// pieces asked for at the same time.
  static constexpr std::int64_t max_bytes = 16384;

  /// Cycle at which the last of `bytes` has arrived, asked at `now`; they lie in runs of
  /// `run_bytes`. Throws SimulationError if the target refuses.
  Cycles read(Cycles now, std::int64_t address, std::int64_t bytes,
              std::int64_t run_bytes = max_bytes);
  /// As read, for a posted write: when the target has accepted it.
  Cycles write(Cycles now, std::int64_t address, std::int64_t bytes,
               std::int64_t run_bytes = max_bytes);

 private:
  Cycles transport(Cycles now, std::int64_t address, std::int64_t bytes, tlm::tlm_command command);
  Cycles in_pieces(Cycles now, std::int64_t address, std::int64_t bytes, tlm::tlm_command command);

  const ClockDomain& clock_;
  MemoryRuns runs_;
  tlm::tlm_generic_payload payload_;
  std::array<unsigned char, max_bytes> buffer_{};  // targets that store data need somewhere to
};

}  // namespace tessera
