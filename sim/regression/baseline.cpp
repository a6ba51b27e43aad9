#include "sim/regression/baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "sim/base/error.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* schema = "tessera-regression/1";
constexpr std::size_t max_file_bytes = std::size_t{16} << 20;
constexpr int max_depth = 6;  // the numbers of an object of a chip of a trace

Json to_json(const Measurement& m) {
  Json json{{"trace_digest", m.trace_digest}, {"chip_digest", m.chip_digest}};
  for (std::size_t i = 0; i < metric_count; ++i)
    json[std::string(name(static_cast<Metric>(i)))] = m.metrics[i];
  Json& causes = json["core_cycles"] = Json::object();
  for (std::size_t i = 0; i < cause_count; ++i) {
    if (m.core_cycles[i] != 0) causes[std::string(name(static_cast<Cause>(i)))] = m.core_cycles[i];
  }
  if (m.ops.empty()) return json;
  Json& ops = json["ops"] = Json::object();
  for (const auto& [op, cycles] : m.ops) ops[op] = cycles;
  return json;
}

constexpr const char* write_anew =
    "mend it, or delete it and write it anew with `tessera regress DIR --update`";

/// The file while it is read; its errors name the place by keys.
class Reader {
 public:
  Reader(std::string_view text, std::string file) : file_(std::move(file)) {
    if (text.size() > max_file_bytes)
      fail("", fmt::format("{} bytes are too long", text.size()), "at most 16 MiB");
    parse(text);
  }

  Baseline baseline() const {
    check_object(json_, "", {"schema", "traces"}, {});
    if (json_["schema"] != schema) fail("schema", fmt::format("is not {}", schema), write_anew);
    Baseline result;
    check_object(json_["traces"], "traces");
    for (const auto& [trace, chips] : json_["traces"].items()) {
      check_object(chips, trace);
      auto& by_chip = result.traces[trace];
      for (const auto& [chip, entry] : chips.items()) {
        const std::string where = trace + ": " + chip;
        check_object(entry, where);
        by_chip[chip] = entry.empty() ? std::nullopt : std::optional(measurement(entry, where));
      }
    }
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& where, const std::string& wrong,
                         const std::string& right) const {
    throw InputError({file_, 0}, where, wrong, right);
  }

  void parse(std::string_view text) {
    std::vector<std::set<std::string>> keys;
    const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
      if (depth > max_depth || event == Json::parse_event_t::array_start)
        fail("", "nests deeper than a baseline, or holds a list", "see docs/regression.md");
      if (event == Json::parse_event_t::object_start) keys.emplace_back();
      if (event == Json::parse_event_t::object_end) keys.pop_back();
      if (event == Json::parse_event_t::key &&
          !keys.back().insert(parsed.get<std::string>()).second)
        fail(parsed.get<std::string>(), "stands twice", "keep one");
      return true;
    };
    try {
      json_ = Json::parse(text, watch);
    } catch (const Json::parse_error& error) {
      const auto end =
          text.begin() + static_cast<std::ptrdiff_t>(std::min(error.byte, text.size()));
      throw InputError({file_, 1 + static_cast<int>(std::count(text.begin(), end, '\n'))}, "",
                       "not JSON", write_anew);
    } catch (const Json::exception&) {
      fail("", "holds a number that no machine can hold", write_anew);
    }
  }

  void check_object(const Json& json, const std::string& where) const {
    if (!json.is_object()) fail(where, "is no object", "see docs/regression.md");
  }
  void check_object(const Json& json, const std::string& where,
                    const std::set<std::string>& required,
                    const std::set<std::string>& optional) const {
    check_object(json, where);
    for (const std::string& key : required) {
      if (!json.contains(key)) fail(where, fmt::format("{} is missing", key), "give it");
    }
    for (const auto& [key, value] : json.items()) {
      if (required.count(key) + optional.count(key) != 0) continue;
      std::vector<std::string> known(required.begin(), required.end());
      known.insert(known.end(), optional.begin(), optional.end());
      const std::string close = nearest(key, known);
      fail(where, fmt::format("unknown key {}", key),
           close.empty() ? "leave it out" : fmt::format("did you mean {}?", close));
    }
  }

  std::int64_t count(const Json& value, const std::string& where) const {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > std::uint64_t{1} << 62)
      fail(where, "is no whole number", "from 0 to 2^62");
    return value.get<std::int64_t>();
  }
  std::string digest(const Json& value, const std::string& where) const {
    if (!value.is_string()) fail(where, "is no text", "a digest in quotes");
    return value.get<std::string>();
  }

  Measurement measurement(const Json& json, const std::string& where) const {
    std::set<std::string> required = {"trace_digest", "chip_digest", "core_cycles"}, causes;
    for (std::size_t i = 0; i < metric_count; ++i) required.emplace(name(static_cast<Metric>(i)));
    check_object(json, where, required, {"ops"});
    Measurement m;
    m.trace_digest = digest(json["trace_digest"], where + ": trace_digest");
    m.chip_digest = digest(json["chip_digest"], where + ": chip_digest");
    for (std::size_t i = 0; i < metric_count; ++i) {
      const std::string key(name(static_cast<Metric>(i)));
      m.metrics[i] = count(json[key], where + ": " + key);
    }
    for (std::size_t i = 0; i < cause_count; ++i) causes.emplace(name(static_cast<Cause>(i)));
    const std::string in = where + ": core_cycles";
    check_object(json["core_cycles"], in, {}, causes);
    for (std::size_t i = 0; i < cause_count; ++i) {
      const std::string key(name(static_cast<Cause>(i)));
      if (json["core_cycles"].contains(key))
        m.core_cycles[i] = count(json["core_cycles"][key], in + ": " + key);
    }
    if (!json.contains("ops")) return m;
    check_object(json["ops"], where + ": ops");
    for (const auto& [op, cycles] : json["ops"].items())
      m.ops.emplace_back(op, count(cycles, where + ": ops: " + op));
    return m;
  }

  std::string file_;
  Json json_;
};

}  // namespace

std::string to_text(const Baseline& baseline) {
  Json json{{"schema", schema}, {"traces", Json::object()}};
  for (const auto& [trace, chips] : baseline.traces) {
    Json& entry = json["traces"][trace] = Json::object();
    for (const auto& [chip, measurement] : chips)
      entry[chip] = measurement ? to_json(*measurement) : Json::object();
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Baseline parse_baseline(std::string_view text, const std::string& file) {
  return Reader(text, file).baseline();
}

}  // namespace tessera
