#include "sim/report/saved_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "sim/base/error.h"
#include "sim/report/csv.h"
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

Stalls stalls_of(const Json& json) {
  Stalls stalls{};
  for (std::size_t i = 0; i < cause_count; ++i)
    stalls[i] = json.value(std::string(name(static_cast<Cause>(i))), 0.0);
  return stalls;
}

SavedOperation operation_of(const Json& layer) {
  SavedOperation op;
  op.name = layer.at("name").get<std::string>();
  op.kind = layer.at("op").get<std::string>();
  op.precision = layer.at("precision").get<std::string>();
  op.bound = layer.at("bound").get<std::string>();
  op.repeat = layer.at("repeat").get<std::int64_t>();
  op.cycles = layer.at("cycles").get<std::int64_t>();
  op.time_us = layer.at("time_us").get<double>();
  op.time_share = layer.at("time_fraction").get<double>();
  op.tflops = layer.at("tflops").get<double>();
  op.hbm_gbps = layer.at("hbm_gbps").get<double>();
  op.roofline_fraction = layer.at("roofline_fraction").get<double>();
  op.stalls = stalls_of(layer.at("stalls"));
  return op;
}

SavedRun run_of(Json json) {
  SavedRun run;
  run.chip = json.at("chip").get<std::string>();
  run.workload = json.at("workload").get<std::string>();
  run.digest = json.at("digest").get<std::string>();
  run.bound = json.at("bound").get<std::string>();
  run.stalls = stalls_of(json.at("stalls"));
  for (const char* key : number_keys) json.at(key).get<double>();
  report_csv(json);  // its keys are there, too
  for (const Json& layer : json.at("layers")) run.operations.push_back(operation_of(layer));
  run.json = std::move(json);
  return run;
}

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
  if (!file || std::filesystem::is_directory(path, error)) {
    throw InputError({path, 0}, "",
                     fmt::format("cannot be read: {}", errno != 0 ? std::strerror(errno) : "?"),
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
  try {
    return run_of(json);
  } catch (const Json::exception& wrong) {
    throw InputError({path, 0}, "", wrong.what(), "write the report again with --json");
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
