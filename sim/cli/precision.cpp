#include "sim/cli/precision.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "sim/base/error.h"
#include "sim/cli/flag_value.h"
#include "sim/config/chip_unit.h"

namespace tessera::cli {

namespace {

constexpr const char* example = R"(Examples:
  tessera precision gemm --m 1024 --n 1024 --k 4096 --format e4m3 --unit h100
  tessera precision gemm --format e4m3 --chip h100-sxm --set fp8_unit.fraction_bits=17
  tessera precision accumulation --k 1024,4096,16384
  tessera precision attention --seeds 16
  tessera precision model --model package/dist --sentences sentences.txt

Each verb has its own --help.
)";

}  // namespace

const Unit* unit_of_format(const std::string& gpu, Format format) {
  if (format == Format::fp32) return nullptr;
  const std::size_t dot = gpu.find('.');
  const std::string generation = gpu.substr(0, dot);
  std::vector<std::string> generations, formats;
  for (const Unit& unit : units()) {
    const std::string of = unit.name.substr(0, unit.name.find('.'));
    if (generations.empty() || generations.back() != of) generations.push_back(of);
    if (of == generation) formats.emplace_back(name(unit.input));
  }
  if (formats.empty()) {
    const std::string close = nearest(generation, generations);
    throw InputError("--unit", fmt::format("there is no unit '{}'", gpu),
                     close.empty() ? fmt::format("give one of {}", fmt::join(generations, ", "))
                                   : fmt::format("did you mean '{}'?", close));
  }
  const std::string wanted(name(format));
  if (dot != std::string::npos && gpu.substr(dot + 1) != wanted) {
    find_unit(gpu);  // a misspelt format is the first thing to say
    throw InputError(
        "--unit", fmt::format("{} does not multiply {}", gpu, wanted),
        fmt::format("give --format {}, or --unit {}", gpu.substr(dot + 1), generation));
  }
  if (std::find(formats.begin(), formats.end(), wanted) == formats.end())
    throw InputError("--unit", fmt::format("{} has no tensor core for {}", generation, wanted),
                     fmt::format("give --format {}", fmt::join(formats, "|")));
  return &find_unit(generation + "." + wanted);
}

void OperandUnitFlags::add_to(CLI::App& app) {
  add_value(
      app, "--unit", unit_, "UNIT",
      "The tensor core's generation, as b200 (default h100; with --chip the chip's own unit), "
      "or a unit, as ada.e4m3");
  chip_.add_to(app);
}

std::optional<Unit> OperandUnitFlags::unit(Format format) const {
  std::optional<Unit> found;
  if (!chip_.is_given()) {
    if (const Unit* built_in = unit_of_format(unit_.empty() ? "h100" : unit_, format))
      found = *built_in;
    return found;
  }
  const ChipConfig chip = chip_.load();
  if (format == Format::fp32) return found;
  const std::string wanted(name(format));
  const std::string of_chip = fmt::format("{}.{}", chip.name, wanted);
  if (unit_.empty() || unit_ == wanted || unit_ == chip.name || unit_ == of_chip) {
    found = unit_of(chip, format);
    return found;
  }
  const bool names_chip = unit_.substr(0, unit_.rfind('.')) == chip.name;
  for (const Format other : all_formats())
    if (unit_ == name(other) || (names_chip && unit_.substr(chip.name.size() + 1) == name(other)))
      throw InputError("--unit", fmt::format("{} does not multiply {}", unit_, wanted),
                       fmt::format("give --format {}, or --unit {}", name(other), of_chip));
  found = *unit_of_format(unit_, format);  // not fp32
  return found;
}

std::uint64_t parse_seed(const std::string& text) {
  return static_cast<std::uint64_t>(
      parse_count("--seed", text, 0, std::numeric_limits<std::int64_t>::max()));
}

nlohmann::ordered_json to_json(const ErrorFigures& f) {
  return {{"rel_rmse", f.rel_rmse},
          {"sqnr_db", f.sqnr_db},
          {"max_over_rms", f.max_over_rms},
          {"max_over_max", f.max_over_max},
          {"bias", f.bias},
          {"cosine_distance", f.cosine_distance},
          {"non_finite", f.non_finite}};
}

nlohmann::ordered_json to_json(const QuantisationStatistics& s) {
  return {{"elements", s.elements},
          {"non_finite", s.non_finite},
          {"amax", s.amax},
          {"underflow_share", s.underflow_share},
          {"overflow_share", s.overflow_share},
          {"dynamic_range", s.dynamic_range},
          {"max_block_dynamic_range", s.max_block_dynamic_range},
          {"dynamic_range_block", s.dynamic_range_block},
          {"mse", s.mse},
          {"rel_rmse", s.rel_rmse},
          {"sqnr_db", s.sqnr_db},
          {"scale_min", s.scale_min},
          {"scale_max", s.scale_max}};
}

Verb add_precision(CLI::App& program) {
  CLI::App* app =
      add_verb(program, "precision", "What number formats, scales and tensor cores do to results",
               [] { return example; });
  app->require_subcommand(1);
  const std::vector<Verb> verbs = {add_precision_gemm(*app), add_precision_accumulation(*app),
                                   add_precision_attention(*app), add_precision_model(*app)};
  return {app, [verbs] {
            const auto called = std::find_if(verbs.begin(), verbs.end(),
                                             [](const Verb& v) { return v.app->parsed(); });
            return called->run();  // one is required
          }};
}

}  // namespace tessera::cli
