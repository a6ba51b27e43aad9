#include "sim/report/saved_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <utility>

#include "sim/base/error.h"
#include "sim/report/json.h"
#include "sim/report/quantity_text.h"

namespace tessera {
namespace {

using Json = nlohmann::ordered_json;

/// The numbers that figures of a run are compared by, and text is made of.
constexpr const char* number_keys[] = {"cycles",
                                       "time_us",
                                       "clock_mhz",
                                       "flops",
                                       "tflops",
                                       "peak_tflops",
                                       "hbm_gbps",
                                       "hbm_peak_gbps",
                                       "hbm_utilization",
                                       "hbm_read_bytes",
                                       "hbm_write_bytes",
                                       "l2_hit_rate",
                                       "power_w",
                                       "energy_j",
                                       "roofline_us",
                                       "roofline_fraction",
                                       "tensor_core_utilization"};

/// The report while it is read; its errors name the file and the place by keys: "layers[2].cycles".
class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  SavedRun run_of(Json json) const {
    SavedRun run;
    run.chip = text(json, "", "chip");
    run.workload = text(json, "", "workload");
    run.digest = text(json, "", "digest");
    run.bound = text(json, "", "bound");
    run.stalls = stalls(json, "", false);
    for (const char* key : number_keys) number(json, "", key);
    for (const char* key : {"cycles", "flops", "hbm_read_bytes", "hbm_write_bytes"})
      count(json, "", key);
    const Json& layers = at(json, "", "layers");
    if (!layers.is_array()) fail("layers", "is no list", "a list of the operations");
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const std::string where = fmt::format("layers[{}]", i);
      if (!layers[i].is_object()) fail(where, "is no object", "an operation with its numbers");
      run.operations.push_back(operation(layers[i], where + "."));
    }
    for (Json& layer : json["layers"]) add_power(layer);
    run.json = std::move(json);
    return run;
  }

  [[noreturn]] void fail(const std::string& key, const std::string& wrong,
                         const std::string& right) const {
    throw InputError({file_, 0}, key, wrong, right);
  }

 private:
  // Of `json`, which stands at `where`: "" or a path that ends in a dot.

  const Json& at(const Json& json, const std::string& where, const std::string& key) const {
    const auto found = json.find(key);
    if (found == json.end()) fail(where + key, "is missing", "write the report again with --json");
    return *found;
  }

  const Json& object(const Json& json, const std::string& where, const std::string& key) const {
    const Json& value = at(json, where, key);
    if (!value.is_object()) fail(where + key, "is no object", "keys with values in {}");
    return value;
  }

  std::string text(const Json& json, const std::string& where, const std::string& key) const {
    const Json& value = at(json, where, key);
    if (!value.is_string()) fail(where + key, "is no text", "text in quotes");
    return value.get<std::string>();
  }

  double number(const Json& json, const std::string& where, const std::string& key) const {
    const Json& value = at(json, where, key);
    if (!value.is_number()) fail(where + key, "is no number", "a number from 0");
    const double result = value.get<double>();
    if (result < 0) fail(where + key, fmt::format("{} is negative", result), "a number from 0");
    return result;
  }

  std::int64_t count(const Json& json, const std::string& where, const std::string& key) const {
    number(json, where, key);
    const Json& value = json[key];
    if (!value.is_number_integer() || value.get<std::uint64_t>() > largest_count)
      fail(where + key, "is no whole number", "from 0 to 2^63 - 1");
    return value.get<std::int64_t>();
  }

  /// By cause. Only an operation must have them all: its row of the CSV does.
  Stalls stalls(const Json& json, const std::string& where, bool all) const {
    const Json& by_cause = object(json, where, "stalls");
    Stalls stalls{};
    for (std::size_t i = 0; i < cause_count; ++i) {
      const std::string cause(name(static_cast<Cause>(i)));
      if (all || by_cause.contains(cause)) stalls[i] = number(by_cause, where + "stalls.", cause);
    }
    return stalls;
  }

  void check_error(const Json& layer, const std::string& where) const {
    const Json& error = object(layer, where, "error");
    if (error.empty()) return;  // not studied
    for (const char* part : {"quantisation", "accumulation", "total", "propagated"})
      number(object(error, where + "error.", part), fmt::format("{}error.{}.", where, part),
             "rel_rmse");
    count(error, where + "error.", "sampled");
  }

  SavedOperation operation(const Json& layer, const std::string& where) const {
    SavedOperation op;
    op.name = text(layer, where, "name");
    op.kind = text(layer, where, "op");
    op.precision = text(layer, where, "precision");
    op.bound = text(layer, where, "bound");
    op.repeat = count(layer, where, "repeat");
    op.cycles = count(layer, where, "cycles");
    op.time_us = number(layer, where, "time_us");
    op.time_share = number(layer, where, "time_fraction");
    op.tflops = number(layer, where, "tflops");
    op.hbm_gbps = number(layer, where, "hbm_gbps");
    op.roofline_fraction = number(layer, where, "roofline_fraction");
    op.stalls = stalls(layer, where, true);
    // What only the CSV and the page show.
    for (const char* key : {"flops", "hbm_read_bytes", "hbm_write_bytes"}) count(layer, where, key);
    for (const char* key : {"l2_hit_rate", "roofline_us", "energy_j"}) number(layer, where, key);
    if (layer.contains("power_w")) number(layer, where, "power_w");
    check_error(layer, where);
    return op;
  }

  /// Reports of before operations had a power of their own follow from what they have.
  static void add_power(Json& layer) {
    if (layer.contains("power_w")) return;
    const double watts = layer["energy_j"].get<double>() / layer["time_us"].get<double>() * 1e6;
    layer["power_w"] = std::isfinite(watts) ? watts : 0.0;
  }

  static constexpr std::uint64_t largest_count = std::numeric_limits<std::int64_t>::max();

  std::string file_;
};

/// The causes that took most but for the tensor core's own work: "hbm 31%, l2 4%".
std::string top_causes(const Stalls& stalls, std::size_t most) {
  std::vector<std::size_t> order;
  for (std::size_t i = 1; i < cause_count; ++i)
    if (stalls[i] >= 0.005) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return stalls[a] > stalls[b]; });
  std::string text;
  for (std::size_t i = 0; i < std::min(most, order.size()); ++i) {
    text += fmt::format("{}{} {:.0f}%", text.empty() ? "" : ", ",
                        name(static_cast<Cause>(order[i])), stalls[order[i]] * 100);
  }
  return text;
}

}  // namespace

SavedRun read_saved_run(const std::string& path) {
  constexpr std::size_t most_bytes = std::size_t{1} << 30;
  std::error_code error;
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  const bool folder = std::filesystem::is_directory(path, error);
  if (!file || folder) {
    throw InputError(
        {path, 0}, "",
        folder ? "is a folder" : fmt::format("cannot be read: {}", std::strerror(errno)),
        "give a report that `tessera run --json` wrote");
  }
  if (const auto size = std::filesystem::file_size(path, error); !error && size > most_bytes)
    throw InputError({path, 0}, "", fmt::format("{} bytes", size), "a report has at most 1 GiB");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) {
    throw InputError({path, 0}, "", "it is no JSON object",
                     "give a report that `tessera run --json` wrote, or a sweep's results");
  }
  const std::string schema = json.contains("schema") && json["schema"].is_string()
                                 ? json["schema"].get<std::string>()
                                 : "";
  if (schema != run_schema) {
    throw InputError({path, 0}, "schema", fmt::format("it is '{}'", schema),
                     fmt::format("give a report of a run: {}", run_schema));
  }
  const Reader reader(path);
  try {
    return reader.run_of(json);
  } catch (const Json::exception&) {
    reader.fail("", "it is no report that tessera wrote", "write the report again with --json");
  }
}

std::string to_text(const SavedRun& run, int width) {
  const auto n = [&](const char* key) { return run.number(key); };
  std::string text = fmt::format("{} on {}\n\n", run.workload, run.chip);
  text += fmt::format("  time         {:<18} cycles        {:.0f} at {:.0f} MHz\n",
                      time_text(n("time_us")), n("cycles"), n("clock_mhz"));
  text += fmt::format("  compute      {:<18} tensor cores  {:.1f} % of {} TFLOP/s\n",
                      digits_text(n("tflops")) + " TFLOP/s", n("tensor_core_utilization") * 100,
                      digits_text(n("peak_tflops")));
  text += fmt::format("  HBM          {:<18} HBM peak      {:.1f} % of {} GB/s\n",
                      digits_text(n("hbm_gbps")) + " GB/s", n("hbm_utilization") * 100,
                      digits_text(n("hbm_peak_gbps")));
  text += fmt::format("  L2 hit rate  {:<18} power         {} W\n",
                      fmt::format("{:.1f} %", n("l2_hit_rate") * 100), digits_text(n("power_w")));
  text += fmt::format("  bound        {:<18} roofline      {}, {:.1f} % achieved\n\n", run.bound,
                      time_text(n("roofline_us")), n("roofline_fraction") * 100);
  std::size_t longest = 9;
  for (const SavedOperation& op : run.operations) longest = std::max(longest, op.name.size());
  text += fmt::format("  {:<{}}  {:<6} {:>5} {:>10} {:>6} {:>8} {:>7} {:<8} {:>6}  {}\n",
                      "operation", longest, "prec", "times", "time", "% time", "TFLOP/s", "GB/s",
                      "bound", "% roof", "top causes");
  for (const SavedOperation& op : run.operations) {
    std::string line =
        fmt::format("  {:<{}}  {:<6} {:>5} {:>10} {:>6.1f} {:>8} {:>7} {:<8} {:>6.1f}  {}", op.name,
                    longest, op.precision, op.repeat, time_text(op.total_us()), op.time_share * 100,
                    digits_text(op.tflops), digits_text(op.hbm_gbps), op.bound,
                    op.roofline_fraction * 100, top_causes(op.stalls, 2));
    const std::size_t most = std::max<std::size_t>(static_cast<std::size_t>(width), longest + 90);
    if (line.size() > most) line = line.substr(0, line.rfind(','));
    text += line + "\n";
  }
  text += "\n  where the core-cycles went\n";
  for (std::size_t i = 0; i < cause_count; ++i) {
    if (run.stalls[i] <= 0) continue;
    const auto cause = static_cast<Cause>(i);
    text +=
        fmt::format("  {:<17} {:>5.1f} %  {}\n", name(cause), run.stalls[i] * 100, meaning(cause));
  }
  return text;
}

}  // namespace tessera
