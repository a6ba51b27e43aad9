#include "sim/chip/memory_port.h"

#include <tlm_utils/simple_target_socket.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "sim/base/error.h"
#include "sim/chip/fixed_latency_memory.h"
#include "sim/chip/hbm.h"
#include "tests/support/child_process.h"
#include "tests/support/machine.h"

using namespace tessera;
using namespace tessera::test;

namespace {

/// A memory as somebody else might write it against the TLM-2.0 standard alone: it stores data, has
/// a size, and adds its time to the delay it is given.
class StoringMemory : public sc_core::sc_module {
 public:
  explicit StoringMemory(sc_core::sc_module_name name)
      : sc_module(name), socket("socket"), bytes_(4096) {
    socket.register_b_transport(this, &StoringMemory::transport);
  }
  tlm_utils::simple_target_socket<StoringMemory> socket;

 private:
  void transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
    if (payload.get_address() + payload.get_data_length() > bytes_.size()) {
      payload.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
      return;
    }
    if (payload.get_streaming_width() < payload.get_data_length() ||
        payload.get_byte_enable_ptr() != nullptr) {
      payload.set_response_status(tlm::TLM_BURST_ERROR_RESPONSE);
      return;
    }
    unsigned char* stored = &bytes_[payload.get_address()];
    if (payload.is_write()) {
      std::memcpy(stored, payload.get_data_ptr(), payload.get_data_length());
    } else {
      std::memcpy(payload.get_data_ptr(), stored, payload.get_data_length());
    }
    delay += sc_core::sc_time(payload.is_write() ? 7 : 100, sc_core::SC_NS);
    payload.set_response_status(tlm::TLM_OK_RESPONSE);
  }
  std::vector<unsigned char> bytes_;
};

/// First cycle at or after `ps` of a clock whose cycle c starts at round(c * 10^6 / mhz) ps.
std::int64_t cycle_at(std::int64_t ps, std::int64_t mhz) {
  std::int64_t cycle = ps * mhz / 1000000;
  while ((cycle * 1000000 + mhz / 2) / mhz < ps) ++cycle;
  return cycle;
}
std::int64_t ps_of(std::int64_t cycle, std::int64_t mhz) {
  return (cycle * 1000000 + mhz / 2) / mhz;
}

/// Elaborates a port and a memory in a child process and asks.
template <class Build, class Ask>
ChildAnswer ask(double mhz, Build&& build, Ask&& questions) {
  return in_child([&] {
    const ClockDomain clock(mhz);
    MemoryPort port("port", clock);
    const auto memory = build();
    port.socket.bind(memory->socket);
    sc_core::sc_start(sc_core::SC_ZERO_TIME);
    return questions(port);
  });
}

HbmConfig quiet(const std::string& name) {
  HbmConfig config = chip(name).hbm;
  config.trfc_ns = 0;
  return config;
}

}  // namespace

TEST_CASE("through the port, HBM answers in whole cycles of a clock that does not divide a ps") {
  const HbmConfig c = quiet("toy");  // 16 GB/s a channel; chunks of 256 B: 16 ns
  const std::vector<std::int64_t> asked = {0, 1000, 2001, 3003, 4444};
  const auto answer = ask(
      1755, [&] { return std::make_unique<Hbm>("hbm", c); },
      [&](MemoryPort& port) {
        std::vector<std::int64_t> done;
        // The same row again and again: closed the first time, open afterwards.
        for (const std::int64_t now : asked) done.push_back(port.read(Cycles(now), 0, 256).value);
        return done;
      });
  REQUIRE(answer.error.empty());
  REQUIRE(answer.values.size() == asked.size());
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const std::int64_t latency = (i == 0 ? 15000 : 0) + 15000 + 16000;
    CHECK(answer.values[i] == cycle_at(ps_of(asked[i], 1755) + latency, 1755));
  }
}

TEST_CASE("a request of several chunks is done when its last channel is") {
  const HbmConfig c = quiet("toy");
  const auto answer = ask(
      1000, [&] { return std::make_unique<Hbm>("hbm", c); },
      [&](MemoryPort& port) {
        return std::vector<std::int64_t>{
            // A round of four channels: one chunk each.
            port.read(Cycles(0), 0, 1024).value,
            // Half of one chunk and half of the next.
            port.read(Cycles(10000), 1024 + 128, 256).value,
            // The largest transaction, a quarter of it on each channel, in rows of all groups.
            port.read(Cycles(20000), 1 << 20, MemoryPort::max_bytes).value,
            // Writes are posted.
            port.write(Cycles(30000), 0, 1024).value,
        };
      });
  REQUIRE(answer.error.empty());
  REQUIRE(answer.values.size() == 4);
  CHECK(answer.values[0] == 15 + 15 + 16);
  CHECK(answer.values[1] == 10000 + 15 + 15 + 8);
  CHECK(answer.values[2] == 20000 + 15 + 15 + MemoryPort::max_bytes / 64);
  CHECK(answer.values[3] == 30000 + 5);
}

TEST_CASE("the fixed-latency memory answers by its formula, and queues at its bandwidth") {
  const HbmConfig c = quiet("toy");  // 64 GB/s: 256 B take 4 ns
  const auto answer = ask(
      1000, [&] { return std::make_unique<FixedLatencyMemory>("memory", c); },
      [&](MemoryPort& port) {
        return std::vector<std::int64_t>{
            port.read(Cycles(0), 0, 256).value,
            port.read(Cycles(0), 1 << 20, 256).value,  // behind the first
            port.read(Cycles(100), 0, 8192).value,     // idle again
            port.write(Cycles(227), 0, 256).value,     // a nanosecond before it is free
            port.write(Cycles(1000), 0, 256).value,
        };
      });
  REQUIRE(answer.error.empty());
  CHECK(answer.values ==
        std::vector<std::int64_t>{4 + 30, 8 + 30, 100 + 128 + 30, 228 + 4 + 30, 1000 + 4 + 30});
}

TEST_CASE("a request longer than a transaction goes in pieces, asked for at once") {
  const HbmConfig c = quiet("toy");
  const std::int64_t most = MemoryPort::max_bytes;
  const auto fixed = ask(
      1000, [&] { return std::make_unique<FixedLatencyMemory>("memory", c); },
      [&](MemoryPort& port) {
        return std::vector<std::int64_t>{port.read(Cycles(0), 0, 2 * most + 64).value,
                                         port.write(Cycles(5000), 0, most + 64).value};
      });
  REQUIRE(fixed.error.empty());
  CHECK(fixed.values ==
        std::vector<std::int64_t>{(2 * most + 64) / 64 + 30, 5000 + (most + 64) / 64 + 30});
  // No piece is longer than the buffer a storing memory copies to, and each is refused on its own.
  const auto storing = ask(
      1000, [] { return std::make_unique<StoringMemory>("memory"); },
      [&](MemoryPort& port) {
        return std::vector<std::int64_t>{port.read(Cycles(0), 0, 2 * most).value};
      });
  CHECK(storing.error ==
        "memory refused " + std::to_string(most) + " bytes at 0x0: TLM_ADDRESS_ERROR_RESPONSE");
}

TEST_CASE("a memory that knows nothing of this project works behind the socket") {
  const auto answer = ask(
      500, [] { return std::make_unique<StoringMemory>("memory"); },
      [](MemoryPort& port) {
        return std::vector<std::int64_t>{
            port.read(Cycles(0), 0, 4096).value,  // up to its very end
            port.read(Cycles(11), 4064, 32).value,
            port.write(Cycles(20), 0, 64).value,  // 7 ns at 2 ns a cycle: the fourth
        };
      });
  REQUIRE(answer.error.empty());
  CHECK(answer.values == std::vector<std::int64_t>{50, 11 + 50, 20 + 4});
}

TEST_CASE("what a memory refuses is an error that names bytes, address and reason") {
  const auto read = ask(
      1000, [] { return std::make_unique<StoringMemory>("memory"); },
      [](MemoryPort& port) {
        return std::vector<std::int64_t>{port.read(Cycles(0), 4080, 32).value};
      });
  CHECK(read.values.empty());
  CHECK(read.error == "memory refused 32 bytes at 0xff0: TLM_ADDRESS_ERROR_RESPONSE");
  const auto type = ask(
      1000, [] { return std::make_unique<StoringMemory>("memory"); },
      [](MemoryPort& port) {
        try {
          port.write(Cycles(0), 1 << 20, 64);
        } catch (const SimulationError&) {
          // A refusal does not spoil the next request.
          return std::vector<std::int64_t>{port.write(Cycles(0), 0, 64).value};
        }
        return std::vector<std::int64_t>{};
      });
  CHECK(type.values == std::vector<std::int64_t>{7});
}

TEST_CASE("time at the port does not drift over billions of cycles") {
  const HbmConfig c = quiet("toy");
  const std::vector<std::int64_t> asked = {1'000'000'007, 2'000'000'011, 4'000'000'007};
  const auto answer = ask(
      1755, [&] { return std::make_unique<FixedLatencyMemory>("memory", c); },
      [&](MemoryPort& port) {
        std::vector<std::int64_t> done;
        for (const std::int64_t now : asked) done.push_back(port.read(Cycles(now), 0, 64).value);
        return done;
      });
  REQUIRE(answer.values.size() == asked.size());
  for (std::size_t i = 0; i < asked.size(); ++i)
    CHECK(answer.values[i] == cycle_at(ps_of(asked[i], 1755) + 31000, 1755));
}
