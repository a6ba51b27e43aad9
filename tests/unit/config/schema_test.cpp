#include "sim/config/schema.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cctype>
#include <set>

#include "sim/config/loader.h"
#include "sim/config/suggestion.h"

using namespace tessera;

namespace {

// Members of an aggregate: the most initialisers it takes.
struct Anything {
  template <class T>
  operator T() const;
};
template <class T, class... Known>
std::size_t members(...) {
  return sizeof...(Known);
}
template <class T, class... Known>
auto members(int) -> decltype(T{Known{}..., Anything{}}, std::size_t{}) {
  return members<T, Known..., Anything>(0);
}

}  // namespace

TEST_CASE("every key is named once, explained, and has a possible range") {
  std::set<std::string> names;
  for (const KeyInfo& key : chip_schema()) {
    INFO(key.name);
    CHECK(names.insert(key.name).second);
    REQUIRE(!key.meaning.empty());
    CHECK(key.meaning.back() == '.');
    if (key.type == KeyType::text) continue;
    CHECK(!key.source.empty());
    CHECK(key.min < key.max);
    if (key.is_calibratable())
      CHECK((key.plausible_min >= key.min && key.plausible_max <= key.max));
    CHECK(key.name.find('.') != std::string::npos);
    CHECK(std::all_of(key.name.begin(), key.name.end(), [](char c) {
      return std::islower(static_cast<unsigned char>(c)) != 0 ||
             std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_';
    }));
  }
  CHECK(names.size() == 137);
}

TEST_CASE("no two keys share a member of the chip") {
  // A copied row that forgot to change its accessor would.
  ChipConfig chip;
  std::set<const void*> members;
  for (const KeyInfo& key : chip_schema()) {
    const void* member = std::visit(
        [&](auto accessor) { return static_cast<const void*>(accessor(chip)); }, key.member);
    INFO(key.name);
    CHECK(members.insert(member).second);
  }
}

TEST_CASE("a key's suffix agrees with its unit") {
  const auto ends = [](const std::string& name, const std::string& suffix) {
    return name.size() > suffix.size() &&
           name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0;
  };
  const std::vector<std::pair<std::string, std::string>> pairs = {
      {"_mhz", "MHz"},
      {"_kib", "KiB"},
      {"_mib", "MiB"},
      {"_gib", "GiB"},
      {"_gbps", "GB/s"},
      {"_ns", "ns"},
      {"_us", "us"},
      {"_w", "W"},
      {"_cycles", "cycles"},
      {"_pj_per_flop", "pJ/FLOP"},
      {"_pj_per_byte", "pJ/B"},
      {"_flops_per_cycle", "FLOP/cycle"},
      {"_bursts", "bursts"},
      {"bytes_per_cycle", "B/cycle"}};
  for (const KeyInfo& key : chip_schema()) {
    for (const auto& [suffix, unit] : pairs) {
      INFO(key.name);
      if (ends(key.name, suffix)) CHECK(key.unit == unit);
    }
  }
}

TEST_CASE("every member of every section has its key") {
  const auto keys = [](const std::string& section) {
    const std::vector<KeyInfo>& schema = chip_schema();
    return static_cast<std::size_t>(
        std::count_if(schema.begin(), schema.end(), [&](const KeyInfo& key) {
          return key.name.compare(0, section.size() + 1, section + ".") == 0;
        }));
  };
  CHECK(keys("clock") == members<ClockConfig>(0));
  CHECK(keys("core") == members<CoreConfig>(0));
  CHECK(keys("tensor_core") == members<TensorCoreConfig>(0));
  for (const char* unit : {"fp16_unit", "bf16_unit", "tf32_unit", "fp8_unit"})
    CHECK(keys(unit) == members<UnitConfig>(0));
  CHECK(keys("vector_unit") == members<VectorUnitConfig>(0));
  CHECK(keys("scratchpad") == members<ScratchpadConfig>(0));
  CHECK(keys("dma") == members<DmaConfig>(0));
  CHECK(keys("barrier") == members<BarrierConfig>(0));
  CHECK(keys("noc") == members<NocConfig>(0));
  CHECK(keys("l2") == members<L2Config>(0));
  CHECK(keys("hbm") == members<HbmConfig>(0));
  CHECK(keys("launch") == members<LaunchConfig>(0));
  CHECK(keys("link") == members<LinkConfig>(0));
  CHECK(keys("collective") == members<CollectiveConfig>(0));
  CHECK(keys("power") == members<PowerConfig>(0));
}

TEST_CASE("find_key knows exactly the names of the table") {
  REQUIRE(find_key("l2.size_mib") != nullptr);
  CHECK(find_key("l2.size_mib")->unit == "MiB");
  CHECK(find_key("l2") == nullptr);
  CHECK(find_key("") == nullptr);
  CHECK(find_key("l2.size_mib ") == nullptr);
  CHECK(chip_sections().front() == "clock");
  CHECK(chip_sections().back() == "power");
  CHECK(chip_sections().size() == 18);
}

TEST_CASE("defaults come from a default-constructed chip") {
  CHECK(default_text(*find_key("l2.line_bytes")) == "128");
  CHECK(default_text(*find_key("core.max_cluster")) == "1");
  CHECK(default_text(*find_key("core.count")).empty());
}

TEST_CASE("reals are spelled shortest and read back to the same bits") {
  ChipConfig chip;
  chip.hbm.trcd_ns = 0.1 + 0.2;
  CHECK(std::stod(value_text(*find_key("hbm.trcd_ns"), chip)) == 0.1 + 0.2);
  chip.hbm.trcd_ns = 14.5;
  CHECK(value_text(*find_key("hbm.trcd_ns"), chip) == "14.5");
  chip.hbm.trcd_ns = -0.0;
  CHECK(value_text(*find_key("hbm.trcd_ns"), chip) == "0");
}

TEST_CASE("values with a unit are told apart from numbers and from words") {
  REQUIRE(parse_measured("50 MiB").has_value());
  CHECK(parse_measured("50 MiB")->number == 50);
  CHECK(parse_measured("3.35TB/s")->unit == "TB/s");
  CHECK(!parse_measured("50").has_value());
  CHECK(!parse_measured("50 parsecs").has_value());
  CHECK(!parse_measured("MiB").has_value());
  CHECK(!parse_measured("").has_value());
}

TEST_CASE("units of one kind are converted, others are not") {
  CHECK(converted({3.35, "TB/s"}, *find_key("hbm.bandwidth_gbps")) == "3350");
  CHECK(converted({2, "GHz"}, *find_key("clock.core_mhz")) == "2000");
  CHECK(converted({51200, "KiB"}, *find_key("l2.size_mib")) == "50");
  CHECK(converted({3, "pJ/bit"}, *find_key("power.l2_pj_per_byte")) == "24");
  CHECK(converted({50, "MB"}, *find_key("l2.size_mib")).empty());  // 47.68, not an integer
  CHECK(converted({50, "ns"}, *find_key("l2.near_latency_cycles")).empty());
  CHECK(converted({50, "MiB"}, *find_key("core.count")).empty());
}

TEST_CASE("text in messages is short and printable") {
  CHECK(excerpt("a\x1b[31mb\n") == "'a\\x1b[31mb\\x0a'");
  CHECK(excerpt(std::string(1000000, 'x')).size() < 80);
}
