#include "sim/sweep/sweep_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include "sim/config/suggestion.h"
#include "sim/config/yaml_tree.h"
#include "sim/sweep/metric.h"

namespace tessera {
namespace {

constexpr std::int64_t max_values = 100'000;  // of one axis

const std::vector<std::string>& top_level_keys() {
  static const std::vector<std::string> keys = {"title",      "question",
                                                "chip",       "set",
                                                "workload",   "axes",
                                                "derive",     "sampling",
                                                "skip_if",    "metrics",
                                                "objectives", "numerical_error",
                                                "limits",     "allow_oversubscription"};
  return keys;
}

bool is_name(const std::string& text) {
  return !text.empty() && text.size() <= 64 && std::isalpha(static_cast<unsigned char>(text[0])) &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '_';
         });
}

/// Turns the tree into a SweepFile; every complaint names file, line and key.
class Reader {
 public:
  Reader(SweepFile& sweep, const YamlNode& root) : sweep_(sweep), root_(root) {}

  void read() {
    known_keys(root_, "", top_level_keys());
    sweep_.title = word("title", std::filesystem::path(sweep_.path).stem().string());
    sweep_.question = word("question", "");
    read_settings();
    read_axes();
    read_sampling();
    read_derived();
    read_constraints();
    read_metrics();
    read_objectives();
    read_numerical_error();
    read_limits();
  }

 private:
  SourceLocation at(int line) const { return {sweep_.path, line}; }
  [[noreturn]] void fail(int line, const std::string& key, const std::string& wrong,
                         const std::string& right) const {
    throw InputError(at(line), key, wrong, right);
  }

  void known_keys(const YamlNode& map, const std::string& section,
                  const std::vector<std::string>& known) const {
    for (const YamlNode& entry : map.items) {
      if (std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
      const std::string close = nearest(entry.key, known);
      fail(entry.key_line, section.empty() ? entry.key : section + "." + entry.key, "unknown key",
           close.empty() ? fmt::format("one of {}", fmt::join(known, ", "))
                         : fmt::format("did you mean '{}'?", close));
    }
  }

  const YamlNode* map_at(const std::string& key, const std::string& example) const {
    const YamlNode* node = root_.find(key);
    if (node == nullptr) return nullptr;
    if (node->kind != YamlNode::Kind::map)
      fail(node->key_line, key, "not a map", "write e.g. " + example);
    return node;
  }

  std::string scalar(const YamlNode& node, const std::string& key) const {
    if (node.kind != YamlNode::Kind::scalar)
      fail(node.key_line > 0 ? node.key_line : node.line, key, "not a single value",
           "write one value");
    if (node.text.empty()) fail(node.line, key, "no value", "give one, or leave the key out");
    return node.text;
  }

  std::string word(const std::string& key, const std::string& otherwise) const {
    const YamlNode* node = root_.find(key);
    return node == nullptr ? otherwise : scalar(*node, key);
  }

  double number(const YamlNode& node, const std::string& key, double least, double most) const {
    const std::string text = scalar(node, key);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
      fail(node.line, key, excerpt(text) + " is not a number",
           fmt::format("give one from {} to {}", number_text(least), number_text(most)));
    if (value < least || value > most)
      fail(node.line, key, excerpt(text) + " is out of range",
           fmt::format("give {} to {}", number_text(least), number_text(most)));
    return value;
  }
  std::int64_t whole(const YamlNode& node, const std::string& key, double least,
                     double most) const {
    const double value = number(node, key, least, most);
    if (value != std::floor(value))
      fail(node.line, key, excerpt(node.text) + " is not a whole number", "write digits only");
    return static_cast<std::int64_t>(value);
  }
  bool yes(const YamlNode& node, const std::string& key) const {
    const std::string text = scalar(node, key);
    if (text != "true" && text != "false")
      fail(node.line, key, excerpt(text) + " is not a yes or no", "give true or false");
    return text == "true";
  }

  const Parameter& parameter(const std::string& name, int line) const {
    if (const Parameter* found = find_parameter(name)) return *found;
    const std::string close = nearest(name, parameter_names());
    fail(line, name, "no such key of a chip or a workload",
         close.empty() ? "`tessera list chips --keys` shows the chip's; the workload's are op, "
                         "model, phase, batch, seq, past, layers, precision, recipe, tp"
                       : fmt::format("did you mean '{}'?", close));
  }

  /// A file beside the sweep file is meant where a relative path is given.
  std::string resolved(const Parameter& parameter, const std::string& text) const {
    namespace fs = std::filesystem;
    if (parameter.name != "chip" && parameter.name != "model") return text;
    const bool is_path = text.find('/') != std::string::npos || fs::path(text).has_extension();
    const fs::path beside = fs::path(sweep_.path).parent_path() / text;
    std::error_code ignored;
    return is_path && fs::exists(beside, ignored) ? beside.string() : text;
  }

  void take(const std::string& name, const YamlNode& node) {
    const Parameter& known = parameter(name, node.key_line);
    const std::string text = scalar(node, name);
    check_value(known, text, at(node.line));
    set_once(name, node.key_line);
    sweep_.settings.push_back({name, resolved(known, text), at(node.line)});
  }

  void set_once(const std::string& name, int line) {
    const auto [first, fresh] = places_.emplace(name, line);
    if (!fresh)
      fail(line, name, fmt::format("given twice, first in line {}", first->second), "keep one");
  }

  void read_settings() {
    if (const YamlNode* chip = root_.find("chip")) take("chip", *chip);
    if (const YamlNode* set = map_at("set", "set: {power.cap_w: 500}")) {
      for (const YamlNode& entry : set->items) {
        if (parameter(entry.key, entry.key_line).key == nullptr)
          fail(entry.key_line, entry.key, "not a key of the chip", "write it below workload:");
        take(entry.key, entry);
      }
    }
    if (const YamlNode* workload = map_at("workload", "workload: {model: llama-3.1-8b}")) {
      for (const YamlNode& entry : workload->items) {
        if (parameter(entry.key, entry.key_line).key != nullptr)
          fail(entry.key_line, entry.key, "a key of the chip", "write it below set:");
        if (entry.key == "chip")
          fail(entry.key_line, entry.key, "not a part of the workload", "write it at the top");
        take(entry.key, entry);
      }
    }
  }

  void read_axes() {
    const YamlNode* axes = map_at("axes", "axes: {l2.size_mib: [25, 50, 100]}");
    if (axes == nullptr || axes->items.empty())
      fail(root_.line, "axes", "missing", "give what to vary, e.g. l2.size_mib: [25, 50, 100]");
    for (const YamlNode& entry : axes->items) {
      Axis axis;
      axis.parameter = parameter(entry.key, entry.key_line);
      axis.where = at(entry.key_line);
      set_once(entry.key, entry.key_line);
      if (entry.kind == YamlNode::Kind::list) {
        for (const YamlNode& item : entry.items) {
          const std::string text = scalar(item, entry.key);
          check_value(axis.parameter, text, at(item.line));
          axis.values.push_back(resolved(axis.parameter, text));
        }
        if (axis.values.empty())
          fail(entry.key_line, entry.key, "an empty list", "give the values to try");
        if (axis.values.size() > static_cast<std::size_t>(max_values))
          fail(entry.key_line, entry.key, fmt::format("{} values", axis.values.size()),
               fmt::format("at most {}", max_values));
      } else if (entry.kind == YamlNode::Kind::map) {
        axis.range = range(axis.parameter, entry);
      } else {
        fail(entry.key_line, entry.key, "a single value",
             "give a list or {from: , to: , steps: }; a fixed value belongs below set: or "
             "workload:");
      }
      sweep_.axes.push_back(std::move(axis));
    }
  }

  AxisRange range(const Parameter& parameter, const YamlNode& node) const {
    known_keys(node, parameter.name, {"from", "to", "steps", "scale", "multiple"});
    if (!parameter.numeric)
      fail(node.key_line, parameter.name, "a range of texts", "give a list of values");
    AxisRange range;
    const auto bound = [&](const char* which) {
      const YamlNode* const value = node.find(which);
      const std::string key = parameter.name + "." + which;
      if (value == nullptr) fail(node.key_line, key, "missing", "give from: and to:");
      check_value(parameter, scalar(*value, key), at(value->line));
      return number(*value, key, parameter.least, parameter.most);
    };
    range.from = bound("from");
    range.to = bound("to");
    if (!(range.from < range.to))
      fail(node.key_line, parameter.name, "from is not below to", "write the smaller one first");
    if (const YamlNode* steps = node.find("steps"))
      range.steps = whole(*steps, parameter.name + ".steps", 2, static_cast<double>(max_values));
    if (const YamlNode* scale = node.find("scale")) {
      const std::string text = scalar(*scale, parameter.name + ".scale");
      if (text != "linear" && text != "log")
        fail(scale->line, parameter.name + ".scale", excerpt(text) + " is no scale",
             "give linear or log");
      range.logarithmic = text == "log";
      if (range.logarithmic && range.from <= 0)
        fail(node.key_line, parameter.name, "a logarithmic scale from 0", "start above 0");
    }
    if (const YamlNode* multiple = node.find("multiple")) {
      range.multiple = number(*multiple, parameter.name + ".multiple", 1e-9, parameter.most);
      // Rounding stays within the range then.
      if (std::fmod(range.from, range.multiple) != 0 || std::fmod(range.to, range.multiple) != 0)
        fail(multiple->line, parameter.name + ".multiple", "from and to are no multiples of it",
             "take bounds that are");
    }
    return range;
  }

  void read_sampling() {
    const YamlNode* node = root_.find("sampling");
    std::string method = "grid";
    int line = root_.line;
    if (node != nullptr) {
      line = node->key_line;
      if (node->kind == YamlNode::Kind::list) fail(line, "sampling", "a list", "give one method");
      if (node->kind == YamlNode::Kind::map) {
        known_keys(*node, "sampling", {"method", "points", "seed"});
        const YamlNode* word = node->find("method");
        if (word == nullptr)
          fail(line, "sampling.method", "missing", "grid, zip, random or latin-hypercube");
        method = scalar(*word, "sampling.method");
        if (const YamlNode* points = node->find("points"))
          sweep_.sampling.points =
              whole(*points, "sampling.points", 1, static_cast<double>(max_sweep_points));
        if (const YamlNode* seed = node->find("seed"))
          sweep_.sampling.seed =
              static_cast<std::uint64_t>(whole(*seed, "sampling.seed", 0, 9007199254740991.0));
      } else {
        method = scalar(*node, "sampling");
      }
    }
    std::vector<std::string> names;
    bool found = false;
    for (const SamplingMethod each : {SamplingMethod::grid, SamplingMethod::zip,
                                      SamplingMethod::random, SamplingMethod::latin_hypercube}) {
      names.emplace_back(name(each));
      if (name(each) != method) continue;
      sweep_.sampling.method = each;
      found = true;
    }
    if (!found) {
      const std::string close = nearest(method, names);
      fail(line, "sampling", fmt::format("there is no method {}", excerpt(method)),
           close.empty() ? fmt::format("give one of {}", fmt::join(names, ", "))
                         : fmt::format("did you mean '{}'?", close));
    }
    const bool draws = sweep_.sampling.method == SamplingMethod::random ||
                       sweep_.sampling.method == SamplingMethod::latin_hypercube;
    if (draws && sweep_.sampling.points == 0)
      fail(line, "sampling.points", "missing", "give the number of points to draw");
    if (!draws && sweep_.sampling.points != 0)
      fail(line, "sampling.points", fmt::format("given with {}", method),
           "random and latin-hypercube alone draw a number of points");
    if (!draws) check_steps(method, line);
  }

  void check_steps(const std::string& method, int line) const {
    double product = 1;
    for (const Axis& axis : sweep_.axes) {
      if (axis.range && axis.range->steps == 0)
        fail(axis.where.line, axis.parameter.name + ".steps", "missing",
             fmt::format("{} needs the number of values", method));
      const std::size_t steps = axis.steps().size();
      product *= static_cast<double>(steps);
      const std::size_t first = sweep_.axes.front().steps().size();
      if (sweep_.sampling.method == SamplingMethod::zip && steps != first)
        fail(axis.where.line, axis.parameter.name,
             fmt::format("{} values where {} has {}", steps, sweep_.axes.front().parameter.name,
                         first),
             "zip takes the first of every axis, then the second ...: give as many");
    }
    if (sweep_.sampling.method == SamplingMethod::grid &&
        product > static_cast<double>(max_sweep_points))
      fail(line, "sampling", fmt::format("a grid of {:.4g} points", product),
           fmt::format("at most {}; draw some: {{method: latin-hypercube, points: 1000}}",
                       max_sweep_points));
  }

  ExpressionNames names_before_running() const {
    ExpressionNames names;
    for (const Parameter& parameter : parameters())
      (parameter.numeric ? names.numbers : names.texts).push_back(parameter.name);
    return names;
  }

  void read_derived() {
    const YamlNode* derive =
        map_at("derive", "derive: {clock.core_mhz: \"1980 * sqrt(132 / core.count)\"}");
    if (derive == nullptr) return;
    const ExpressionNames names = names_before_running();
    for (const YamlNode& entry : derive->items) {
      const Parameter& target = parameter(entry.key, entry.key_line);
      if (!target.numeric)
        fail(entry.key_line, entry.key, "not a number", "only numbers can be computed");
      const bool is_axis =
          std::any_of(sweep_.axes.begin(), sweep_.axes.end(),
                      [&](const Axis& axis) { return axis.parameter.name == entry.key; });
      if (is_axis || !derived_.emplace(entry.key, entry.key_line).second)
        fail(entry.key_line, entry.key, "is an axis, too", "vary it or compute it");
      sweep_.derived.push_back(
          {target, at(entry.line),
           Expression(scalar(entry, entry.key), names, entry.key, at(entry.line))});
    }
  }

  void read_constraints() {
    const YamlNode* node = root_.find("skip_if");
    if (node == nullptr) return;
    const ExpressionNames names = names_before_running();
    const auto take_one = [&](const YamlNode& item) {
      sweep_.skip_if.push_back(
          {at(item.line), Expression(scalar(item, "skip_if"), names, "skip_if", at(item.line))});
    };
    if (node->kind == YamlNode::Kind::list) {
      for (const YamlNode& item : node->items) take_one(item);
    } else {
      take_one(*node);
    }
  }

  void read_metrics() {
    ExpressionNames names = names_before_running();
    for (const MetricInfo& metric : sweep_metrics()) names.numbers.push_back(metric.name);
    const YamlNode* metrics = map_at("metrics", "metrics: {tokens_per_s: batch * 1e6 / time_us}");
    if (metrics == nullptr) return;
    for (const YamlNode& entry : metrics->items) {
      if (!is_name(entry.key))
        fail(entry.key_line, entry.key, "not a name",
             "take lower-case letters, digits and _, up to 64");
      static const std::vector<std::string> columns = {"id",     "status",       "message",
                                                       "digest", "trace_digest", "bound"};
      if (std::find(names.numbers.begin(), names.numbers.end(), entry.key) != names.numbers.end() ||
          std::find(names.texts.begin(), names.texts.end(), entry.key) != names.texts.end() ||
          std::find(columns.begin(), columns.end(), entry.key) != columns.end())
        fail(entry.key_line, entry.key, "is taken", "choose another name");
      sweep_.metrics.push_back(
          {entry.key, at(entry.line),
           Expression(scalar(entry, entry.key), names, entry.key, at(entry.line))});
      names.numbers.push_back(entry.key);
    }
  }

  void read_objectives() {
    const YamlNode* objectives = map_at("objectives", "objectives: {time_us: min, energy_j: min}");
    if (objectives == nullptr) {
      sweep_.objectives = {{"time_us", true}, {"energy_j", true}};
      return;
    }
    std::vector<std::string> known;
    for (const MetricInfo& metric : sweep_metrics()) known.push_back(metric.name);
    for (const DerivedMetric& metric : sweep_.metrics) known.push_back(metric.name);
    for (const Axis& axis : sweep_.axes)
      if (axis.parameter.numeric) known.push_back(axis.parameter.name);
    for (const DerivedParameter& derived : sweep_.derived) known.push_back(derived.parameter.name);
    for (const YamlNode& entry : objectives->items) {
      if (std::find(known.begin(), known.end(), entry.key) == known.end()) {
        const std::string close = nearest(entry.key, known);
        fail(entry.key_line, entry.key, "no such metric or axis",
             close.empty() ? "name a number of the results, or define it below metrics:"
                           : fmt::format("did you mean '{}'?", close));
      }
      const std::string goal = scalar(entry, entry.key);
      if (goal != "min" && goal != "max")
        fail(entry.line, entry.key, excerpt(goal) + " is no goal", "give min or max");
      sweep_.objectives.push_back({entry.key, goal == "min"});
    }
    if (sweep_.objectives.empty())
      fail(objectives->key_line, "objectives", "none", "give one, e.g. time_us: min");
  }

  void read_numerical_error() {
    const auto uses_error = [](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), error_metric) != names.end();
    };
    bool used = false;
    for (const Objective& objective : sweep_.objectives) used |= objective.metric == error_metric;
    for (const DerivedMetric& metric : sweep_.metrics) used |= uses_error(metric.expression.used());
    sweep_.numerical_error = used;
    const YamlNode* node = root_.find("numerical_error");
    if (node == nullptr) return;
    sweep_.numerical_error = yes(*node, "numerical_error");
    if (used && !sweep_.numerical_error)
      fail(node->line, "numerical_error", "false, but an objective or a metric asks for error",
           "leave it out");
  }

  void read_limits() {
    if (const YamlNode* node = root_.find("allow_oversubscription"))
      sweep_.allow_oversubscription = yes(*node, "allow_oversubscription");
    const YamlNode* limits = map_at("limits", "limits: {timeout_s: 60, memory_mib: 2048}");
    if (limits == nullptr) return;
    known_keys(*limits, "limits", {"timeout_s", "memory_mib"});
    if (const YamlNode* node = limits->find("timeout_s"))
      sweep_.timeout_s = number(*node, "limits.timeout_s", 0.001, 1e6);
    if (const YamlNode* node = limits->find("memory_mib"))
      sweep_.memory_mib = whole(*node, "limits.memory_mib", 1, 1 << 24);
  }

  SweepFile& sweep_;
  const YamlNode& root_;
  std::map<std::string, int> places_;  // of settings and axes
  std::map<std::string, int> derived_;
};

}  // namespace

std::string_view name(SamplingMethod method) {
  switch (method) {
    case SamplingMethod::grid:
      return "grid";
    case SamplingMethod::zip:
      return "zip";
    case SamplingMethod::random:
      return "random";
    case SamplingMethod::latin_hypercube:
      return "latin-hypercube";
  }
  return "";
}

double AxisRange::at(double position, bool whole) const {
  double value = logarithmic ? from * std::pow(to / from, position) : from + position * (to - from);
  if (multiple > 0) value = std::round(value / multiple) * multiple;
  // 0.1 steps that read as such: twelve digits are more than any chip's number has.
  value = whole ? std::round(value) : std::stod(fmt::format("{:.12g}", value));
  return std::clamp(value, from, to);
}

std::vector<std::string> Axis::steps() const {
  if (!range) return values;
  std::vector<std::string> texts;
  for (std::int64_t i = 0; i < range->steps; ++i) {
    const double position = static_cast<double>(i) / static_cast<double>(range->steps - 1);
    const std::string text = number_text(range->at(position, parameter.whole));
    if (texts.empty() || texts.back() != text) texts.push_back(text);
  }
  return texts;
}

std::string Axis::sample(double position) const {
  if (range) return number_text(range->at(position, parameter.whole));
  const auto index = static_cast<std::size_t>(position * static_cast<double>(values.size()));
  return values[std::min(index, values.size() - 1)];
}

SweepFile parse_sweep(const std::string& text, const std::string& path) {
  SweepFile sweep;
  sweep.path = path;
  sweep.text = text;
  const YamlNode root = parse_yaml_tree(text, path, {"a sweep file", "docs/sweeps.md"});
  Reader(sweep, root).read();
  return sweep;
}

SweepFile read_sweep_file(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  std::ifstream stream(path, std::ios::binary);
  if (!stream || fs::is_directory(path, ignored))
    throw InputError({path, 0}, "", fs::exists(path, ignored) ? "cannot be read" : "no such file",
                     "give a sweep's YAML file, e.g. one of configs/sweeps");
  // Its limit is 1 MiB; a wrong path is not read whole.
  std::string text((std::size_t{1} << 20) + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return parse_sweep(text, path);
}

}  // namespace tessera
