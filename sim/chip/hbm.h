#pragma once

#include <tlm_utils/simple_target_socket.h>

#include <memory>
#include <systemc>
#include <tlm>
#include <vector>

#include "sim/chip/hbm_channel.h"

namespace tessera {

/// All stacks of a chip behind one TLM-2.0 socket (loosely timed: b_transport adds the time until
/// the last byte to the delay it was given).
///
/// Interleaving: consecutive chunks of interleave_bytes visit every pseudo-channel once per round;
/// each round starts at a hashed channel, so strides of any power of two spread.
///   round = chunk / channels; channel = (chunk + hash(round)) mod channels
class Hbm : public sc_core::sc_module {
 public:
  Hbm(sc_core::sc_module_name name, const HbmConfig& config);

  tlm_utils::simple_target_socket<Hbm> socket;

  /// The pseudo-channel that holds the byte at `address`.
  int channel_of(std::int64_t address) const;
  HbmChannel::Counters counters() const;
  const std::vector<HbmChannel>& channels() const { return channels_; }

 private:
  void transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);

  std::int64_t interleave_;
  std::shared_ptr<const HbmTiming> timing_;
  std::vector<HbmChannel> channels_;
};

}  // namespace tessera
