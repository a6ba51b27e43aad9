#include "sim/cli/clock_flags.h"

#include <fmt/format.h>

#include <string_view>

#include "sim/base/error.h"
#include "sim/cli/flag_value.h"
#include "sim/cli/verb.h"

namespace tessera::cli {
namespace {

/// No processor has been clocked higher; a locked clock above is a mistake of the unit.
constexpr double most_clock_mhz = 10'000;

}  // namespace

void ClockFlags::add_to(CLI::App& app) {
  add_value(app, "--clock-mhz", clock_mhz_, "MHZ",
            "Lock the clock of cores, network and L2 (default: what the power cap allows)");
  add_value(app, "--duration", duration_, "TIME",
            fmt::format("How long the workload repeats, from an idle chip: 20ms, 2s, 12x "
                        "(repetitions) or sustained; a short burst runs faster (default: {})",
                        default_duration_));
  add_value(app, "--operands", operands_, "DATA",
            "What the operands hold, for their energy: random (default) or zeros");
}

void ClockFlags::apply(SimulationOptions& options) const {
  if (!clock_mhz_.empty()) {
    options.clock_mhz = parse_number("--clock-mhz", clock_mhz_, 1, most_clock_mhz);
    if (!duration_.empty())
      throw InputError("--duration", "--clock-mhz fixes the clock", "leave one out");
  }
  options.length = parse_duration(duration_.empty() ? default_duration_ : duration_);
  if (operands_ == "zeros") {
    options.operands = Operands::zeros;
  } else if (!operands_.empty() && operands_ != "random") {
    throw InputError("--operands", fmt::format("there is no '{}'", operands_),
                     "give random or zeros");
  }
}

RunLength parse_duration(const std::string& text) {
  if (text == "sustained") return {};
  struct Unit {
    const char* suffix;
    double ms;  // 0: repetitions
  };
  for (const auto& [suffix, ms] : {Unit{"ms", 1}, Unit{"us", 1e-3}, Unit{"s", 1e3}, Unit{"x", 0}}) {
    const std::string_view end = suffix;
    if (text.size() <= end.size() || text.substr(text.size() - end.size()) != end) continue;
    const std::string number = text.substr(0, text.size() - end.size());
    if (number.find_first_not_of("0123456789.") != std::string::npos) continue;
    const double value = parse_number("--duration", number, 1e-3, 1e9);
    RunLength length;
    (ms > 0 ? length.ms : length.repetitions) = ms > 0 ? value * ms : value;
    return length;
  }
  throw InputError("--duration", fmt::format("'{}' is not a duration", text),
                   "give a time such as 20ms, repetitions such as 12x, or sustained");
}

}  // namespace tessera::cli
