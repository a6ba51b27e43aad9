#include "sim/chip/memory_port.h"

#include <fmt/format.h>

#include "sim/base/error.h"

namespace tessera {

MemoryPort::MemoryPort(sc_core::sc_module_name name, const ClockDomain& clock)
    : sc_module(name), socket("socket"), clock_(clock) {
  payload_.set_data_ptr(buffer_.data());
  payload_.set_byte_enable_ptr(nullptr);
  payload_.set_extension(&runs_);
}

Cycles MemoryPort::transport(Cycles now, std::int64_t address, std::int64_t bytes,
                             tlm::tlm_command command) {
  payload_.set_command(command);
  payload_.set_address(static_cast<sc_dt::uint64>(address));
  payload_.set_data_length(static_cast<unsigned>(bytes));
  payload_.set_streaming_width(static_cast<unsigned>(bytes));
  payload_.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
  payload_.set_dmi_allowed(false);
  const sc_core::sc_time asked = ClockDomain::to_sc_time(clock_.picoseconds(now));
  const sc_core::sc_time stamp = sc_core::sc_time_stamp();
  sc_core::sc_time delay = asked > stamp ? asked - stamp : sc_core::SC_ZERO_TIME;
  socket->b_transport(payload_, delay);
  if (payload_.is_response_error()) {
    throw SimulationError(fmt::format("memory refused {} bytes at {:#x}: {}", bytes, address,
                                      payload_.get_response_string()));
  }
  return clock_.cycles_after(ClockDomain::from_sc_time(stamp + delay));
}

Cycles MemoryPort::in_pieces(Cycles now, std::int64_t address, std::int64_t bytes,
                             tlm::tlm_command command) {
  Cycles done = now;
  for (std::int64_t sent = 0; sent < bytes; sent += max_bytes) {
    const std::int64_t piece = bytes - sent < max_bytes ? bytes - sent : max_bytes;
    const Cycles end = transport(now, address + sent, piece, command);
    if (done < end) done = end;
  }
  return done;
}

Cycles MemoryPort::read(Cycles now, std::int64_t address, std::int64_t bytes,
                        std::int64_t run_bytes) {
  runs_.run_bytes = run_bytes;
  if (bytes > max_bytes) return in_pieces(now, address, bytes, tlm::TLM_READ_COMMAND);
  return transport(now, address, bytes, tlm::TLM_READ_COMMAND);
}

Cycles MemoryPort::write(Cycles now, std::int64_t address, std::int64_t bytes,
                         std::int64_t run_bytes) {
  runs_.run_bytes = run_bytes;
  if (bytes > max_bytes) return in_pieces(now, address, bytes, tlm::TLM_WRITE_COMMAND);
  return transport(now, address, bytes, tlm::TLM_WRITE_COMMAND);
}

}  // namespace tessera
