#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <sstream>

#include "sim/config/loader.h"
#include "sim/config/schema.h"

using namespace tessera;

namespace {

const std::string kChips = std::string(TESSERA_SOURCE_DIR) + "/configs/chips";
const std::string kReference = std::string(TESSERA_SOURCE_DIR) + "/docs/reference/chip-keys.md";

ChipConfig shipped(const std::string& name) { return load_chip(name, {}, {kChips}); }

std::vector<std::string> differing_keys(const ChipConfig& a, const ChipConfig& b) {
  std::vector<std::string> keys;
  for (const KeyInfo& key : chip_schema())
    if (key.type != KeyType::text && value_text(key, a) != value_text(key, b))
      keys.push_back(key.name);
  return keys;
}

}  // namespace

TEST_CASE("every shipped chip loads, describes itself and goes by its file's name") {
  const std::vector<std::string> names = chip_names({kChips});
  for (const char* wanted : {"h100-sxm", "h100-pcie", "h200-sxm", "a100-sxm", "toy"})
    CHECK(std::find(names.begin(), names.end(), wanted) != names.end());
  for (const std::string& name : names) {
    INFO(name);
    const ChipConfig chip = shipped(name);
    CHECK(chip.name == name);
    CHECK(!chip.description.empty());
  }
}

TEST_CASE("the shipped chips reach the peaks of their datasheets") {
  const auto tflops = [](const ChipConfig& chip, int rate, double mhz) {
    return rate * mhz * 1e6 * chip.core.count / 1e12;
  };
  const ChipConfig h100 = shipped("h100-sxm");
  CHECK(tflops(h100, h100.tensor_core.bf16_flops_per_cycle, 1830) == Approx(989.4).epsilon(1e-3));
  CHECK(tflops(h100, h100.tensor_core.tf32_flops_per_cycle, 1830) == Approx(494.7).epsilon(1e-3));
  CHECK(tflops(h100, h100.tensor_core.fp8_flops_per_cycle, 1830) == Approx(1979).epsilon(1e-3));
  CHECK(h100.hbm.bandwidth_gbps == Approx(5120 * 2619e6 * 2 / 8 / 1e9).epsilon(1e-4));
  const ChipConfig a100 = shipped("a100-sxm");
  CHECK(tflops(a100, a100.tensor_core.bf16_flops_per_cycle, 1410) == Approx(312).epsilon(1e-3));
  CHECK(a100.tensor_core.fp8_flops_per_cycle == 0);
}

TEST_CASE("refresh leaves each shipped memory what its sources measured") {
  const auto left = [](const HbmConfig& hbm) { return 1 - hbm.trfc_ns / hbm.trefi_ns; };
  CHECK(left(shipped("h100-sxm").hbm) == Approx(0.933).margin(0.001));
  CHECK(left(shipped("a100-sxm").hbm) == Approx(0.910).margin(0.001));
  CHECK(left(shipped("toy").hbm) == Approx(0.95));
}

TEST_CASE("what calibration may change is plausible on the GPUs that come with tessera") {
  for (const char* name : {"h100-sxm", "h200-sxm", "a100-sxm", "h100-pcie"}) {
    const ChipConfig chip = shipped(name);
    for (const KeyInfo& key : chip_schema()) {
      INFO(name << " " << key.name);
      const double value = value_number(key, chip);
      // The default: the chip does not have it; 0: it lacks the format.
      if (!key.is_calibratable() || value == 0 || value_text(key, chip) == default_text(key))
        continue;
      CHECK(value >= key.plausible_min);
      CHECK(value <= key.plausible_max);
    }
  }
}

TEST_CASE("h200-sxm is an h100-sxm with another memory and nothing else") {
  CHECK(differing_keys(shipped("h100-sxm"), shipped("h200-sxm")) ==
        std::vector<std::string>{"hbm.size_gib", "hbm.bandwidth_gbps", "hbm.stacks"});
}

TEST_CASE("a dense bf16 GEMM holds the measured clock at h100-sxm's power cap") {
  // 8192-cubed: 2253598 cycles, 1.1e12 FLOP, 1.4 GB of DRAM traffic, 12.9 GB from L2 with 128x256
  // tiles and twice that through the scratchpad; measured 1560-1600 MHz (hardware notes).
  const ChipConfig chip = shipped("h100-sxm");
  const PowerConfig& power = chip.power;
  const double joule =
      1e-12 * (2 * 8192.0 * 8192 * 8192 * power.fp16_pj_per_flop + 1.4e9 * power.hbm_pj_per_byte +
               12.9e9 * power.l2_pj_per_byte + 25.8e9 * power.scratchpad_pj_per_byte);
  const auto watt = [&](double mhz) {
    return power.idle_w + joule * std::pow(mhz / chip.clock.core_mhz, power.voltage_exponent) *
                              mhz * 1e6 / 2253598;
  };
  CHECK(watt(1540) < power.cap_w);
  CHECK(watt(1620) > power.cap_w);
}

TEST_CASE("the toy chip counts in round numbers") {
  const ChipConfig toy = shipped("toy");
  CHECK(toy.clock.core_mhz == 1000);
  const double channel_gbps =
      toy.hbm.bandwidth_gbps / (toy.hbm.stacks * toy.hbm.pseudo_channels_per_stack);
  CHECK(toy.hbm.burst_bytes / channel_gbps == 2.0);  // ns
}

TEST_CASE("the committed reference page is the one the schema generates") {
  std::ifstream stream(kReference);
  std::stringstream committed;
  committed << stream.rdbuf();
  // When this fails: test_config "[update]"
  CHECK(committed.str() == reference_page());
}

TEST_CASE("write docs/reference/chip-keys.md", "[.][update]") {
  std::ofstream stream(kReference);
  stream << reference_page();
  REQUIRE(stream.good());
}
