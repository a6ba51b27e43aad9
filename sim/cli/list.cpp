#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "sim/base/error.h"
#include "sim/cli/data_dirs.h"
#include "sim/cli/output_file.h"
#include "sim/cli/terminal.h"
#include "sim/cli/verb.h"
#include "sim/cli/workload_flags.h"
#include "sim/config/chip_unit.h"
#include "sim/config/loader.h"
#include "sim/config/schema.h"
#include "sim/datapath/unit.h"
#include "sim/frontend/op_text.h"
#include "sim/frontend/workload.h"
#include "sim/report/glossary.h"

namespace tessera::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* example = R"(Examples:
  tessera list                       everything
  tessera list models
  tessera list chips --keys          every key of a chip: unit, range, meaning
  tessera list numbers               every number of the report
  tessera list units --chip mine.yaml   the tensor cores of one chip, to the bit
  tessera list chips --json - | jq '.chips[].name'
)";

const std::vector<std::string> topics = {"chips", "models", "ops", "units", "numbers"};

/// A table of left-aligned columns, two spaces apart; the last is not padded.
std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("  {:<{}}", row[i], widths[i]);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

/// Text for people and JSON for programs of one topic.
struct Listing {
  std::string text;
  Json json;
};

double peak_tflops(const ChipConfig& chip, Format format) {
  return static_cast<double>(chip.core.count) * chip.tensor_core.flops_per_cycle(format) *
         chip.clock.core_mhz * 1e-6;
}

Listing list_chips() {
  Listing listing{"", Json::array()};
  std::vector<std::vector<std::string>> rows = {
      {"chip", "cores", "MHz", "bf16 TFLOP/s", "fp8 TFLOP/s", "GiB", "GB/s", "description"}};
  for (const std::string& name : chip_names(chip_dirs())) {
    try {
      const ChipConfig chip = load_chip(name, {}, chip_dirs());
      const double bf16 = peak_tflops(chip, Format::bf16);
      const double fp8 = peak_tflops(chip, Format::e4m3);
      rows.push_back({name, fmt::format("{}", chip.core.count),
                      fmt::format("{:.0f}", chip.clock.core_mhz), fmt::format("{:.1f}", bf16),
                      fp8 > 0 ? fmt::format("{:.1f}", fp8) : "-",
                      fmt::format("{}", chip.hbm.size_gib),
                      fmt::format("{:.0f}", chip.hbm.bandwidth_gbps), chip.description});
      listing.json.push_back(Json{{"name", name},
                                  {"description", chip.description},
                                  {"cores", chip.core.count},
                                  {"clock_mhz", chip.clock.core_mhz},
                                  {"bf16_tflops", bf16},
                                  {"fp8_tflops", fp8},
                                  {"hbm_gib", chip.hbm.size_gib},
                                  {"hbm_gbps", chip.hbm.bandwidth_gbps}});
    } catch (const InputError& error) {
      // One broken file must not hide the others.
      rows.push_back({name, "", "", "", "", "", "", error.what()});
      listing.json.push_back(Json{{"name", name}, {"error", error.what()}});
    }
  }
  listing.text = aligned(rows);
  return listing;
}

Listing list_chip_keys() {
  Listing listing{"", Json::array()};
  std::vector<std::vector<std::string>> rows = {{"key", "unit", "range", "default", "meaning"}};
  for (const KeyInfo& key : chip_schema()) {
    const std::string fallback = default_text(key);
    rows.push_back(
        {key.name, key.unit, range_text(key), key.required ? "required" : fallback, key.meaning});
    Json json{{"key", key.name},          {"type", name(key.type)},   {"unit", key.unit},
              {"range", range_text(key)}, {"required", key.required}, {"meaning", key.meaning},
              {"source", key.source}};
    if (!key.required) json["default"] = fallback;
    listing.json.push_back(json);
  }
  listing.text = aligned(rows);
  return listing;
}

Listing list_models() {
  Listing listing{"", Json::array()};
  std::vector<std::vector<std::string>> rows = {
      {"model", "family", "parameters", "layers", "hidden", "heads", "KV heads", "experts"}};
  for (const std::string& model_name : model_names(model_dirs())) {
    try {
      const ModelConfig model = load_model(model_name, model_dirs());
      const std::int64_t count = parameters(model);
      rows.push_back(
          {model_name, std::string(name(model.family)),
           fmt::format("{:.2f} B", static_cast<double>(count) * 1e-9),
           fmt::format("{}", model.layers), fmt::format("{}", model.hidden),
           fmt::format("{}", model.heads), fmt::format("{}", model.kv_heads),
           model.experts > 0 ? fmt::format("{} of {}", model.topk, model.experts) : "-"});
      listing.json.push_back(Json{{"name", model_name},
                                  {"family", name(model.family)},
                                  {"parameters", count},
                                  {"layers", model.layers},
                                  {"hidden", model.hidden},
                                  {"heads", model.heads},
                                  {"kv_heads", model.kv_heads},
                                  {"head_dim", model.head_dim},
                                  {"inter", model.inter},
                                  {"vocab", model.vocab},
                                  {"experts", model.experts},
                                  {"topk", model.topk}});
    } catch (const InputError& error) {
      rows.push_back({model_name, error.what()});
      listing.json.push_back(Json{{"name", model_name}, {"error", error.what()}});
    }
  }
  listing.text = aligned(rows);
  return listing;
}

Listing list_ops() {
  Listing listing{"", Json::array()};
  std::vector<std::vector<std::string>> rows = {{"op", "fields", "meaning"}};
  for (const OpEntry& op : op_catalogue()) {
    std::string fields = fmt::format("{}", fmt::join(op.fields, " "));
    if (!op.optional.empty()) fields += fmt::format(" [{}]", fmt::join(op.optional, " "));
    rows.push_back({op.name, fields, op.sentence});
    listing.json.push_back(Json{{"name", op.name},
                                {"fields", op.fields},
                                {"optional", op.optional},
                                {"meaning", op.sentence}});
  }
  listing.text = aligned(rows);
  return listing;
}

Listing list_units(const std::vector<Unit>& units) {
  Listing listing{"", Json::array()};
  std::vector<std::vector<std::string>> rows = {
      {"unit", "K", "fraction bits", "result bits", "f16", "meaning"}};
  for (const Unit& unit : units) {
    rows.push_back({unit.name, fmt::format("{}", unit.products),
                    fmt::format("{}", unit.fraction_bits),
                    fmt::format("{}", unit.output_fraction_bits),
                    unit.fp16_accumulator ? "yes" : "no", unit.description});
    listing.json.push_back(Json{{"name", unit.name},
                                {"format", name(unit.input)},
                                {"k", unit.products},
                                {"fraction_bits", unit.fraction_bits},
                                {"output_fraction_bits", unit.output_fraction_bits},
                                {"fp16_accumulator", unit.fp16_accumulator},
                                {"meaning", unit.description}});
  }
  listing.text = aligned(rows);
  return listing;
}

Listing list_numbers() {
  Listing listing{glossary_text(std::clamp(columns(), 80, 160)), Json::array()};
  for (const NumberEntry& entry : glossary())
    listing.json.push_back(
        Json{{"name", entry.name}, {"unit", entry.unit}, {"meaning", entry.sentence}});
  return listing;
}

struct List {
  std::string topic, json;
  ChipFlags chip;
  bool keys = false, markdown = false;

  Listing listing(const std::string& name) const {
    if (name == "chips") return keys ? list_chip_keys() : list_chips();
    if (name == "models") return list_models();
    if (name == "ops") return list_ops();
    if (name == "units") return list_units(chip.is_given() ? units_of(chip.load()) : units());
    return list_numbers();
  }
};

int run_list(const List& list) {
  if (!list.topic.empty() && std::find(topics.begin(), topics.end(), list.topic) == topics.end()) {
    const std::string close = nearest(list.topic, topics);
    throw InputError("list", fmt::format("nothing is called '{}'", list.topic),
                     close.empty() ? fmt::format("give one of {}", fmt::join(topics, ", "))
                                   : fmt::format("did you mean '{}'?", close));
  }
  if (list.keys && list.topic != "chips")
    throw InputError("--keys", "applies to chips", "say `tessera list chips --keys`");
  if (list.chip.is_given() && list.topic != "units")
    throw InputError("--chip", "applies to units", "say `tessera list units --chip CHIP`");
  if (list.markdown) {
    // The tables of the documentation are generated from here.
    if (!list.json.empty())
      throw InputError("--markdown", "given with --json", "give one of the two");
    if (list.topic == "numbers") {
      print(glossary_markdown());
    } else if (list.keys) {
      print(reference_page());
    } else {
      throw InputError("--markdown", "applies to numbers and chips --keys",
                       "say `tessera list numbers --markdown`");
    }
    return exit_done;
  }
  std::vector<OutputFile> output;
  if (!list.json.empty()) {
    output.emplace_back("--json", list.json);
    refuse_same_target({&output[0]}, list.chip.inputs());
  }

  Json json{{"schema", "tessera-list/1"}};
  std::string text;
  for (const std::string& topic : topics) {
    // The numbers are long and in the report's own help: only when asked for.
    if (list.topic.empty() ? topic == "numbers" : topic != list.topic) continue;
    const Listing listing = list.listing(topic);
    json[list.keys ? "keys" : topic] = listing.json;
    text += list.topic.empty() ? fmt::format("{}{}:\n", text.empty() ? "" : "\n", topic) : "";
    text += listing.text;
  }
  bool stdout_taken = false;
  if (!output.empty()) {
    output[0].commit(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    stdout_taken = output[0].is_stdout();
  }
  if (!stdout_taken) print(text);
  return exit_done;
}

}  // namespace

Verb add_list(CLI::App& program) {
  CLI::App* app =
      add_verb(program, "list", "What there is: chips, models, operations, units, numbers",
               [] { return example; });
  const auto list = std::make_shared<List>();
  app->add_option("WHAT", list->topic,
                  "chips, models, ops, units (tensor-core arithmetic, for mma) or numbers (of the "
                  "report); all but numbers by default");
  list->chip.add_to(*app);
  app->add_flag("--keys", list->keys, "With chips: every key of a chip instead");
  app->add_flag("--markdown", list->markdown,
                "With numbers or chips --keys: the table of the documentation");
  add_value(*app, "--json", list->json, "FILE", "Write JSON to this file (-: standard output)");
  return {app, [list] { return run_list(*list); }};
}

}  // namespace tessera::cli
