#include "sim/sweep/points.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <numeric>
#include <utility>

#include "sim/base/random.h"
#include "sim/config/loader.h"
#include "sim/frontend/op_text.h"
#include "sim/frontend/workload.h"
#include "sim/precision/arithmetic.h"
#include "sim/trace/digest.h"

namespace tessera {
namespace {

// Streams of random numbers: one of each kind for each axis.
constexpr std::uint64_t permutation_streams = 1 << 20;

double number_of(const std::string& text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

PointValue value_from(const Parameter& parameter, const std::string& text) {
  if (!parameter.numeric) return {text, text_code(text)};
  if (text == "true") return {"1", 1};
  if (text == "false") return {"0", 0};
  return {text, number_of(text)};
}

std::vector<std::vector<std::string>> all_steps(const SweepFile& sweep) {
  std::vector<std::vector<std::string>> steps;
  for (const Axis& axis : sweep.axes) steps.push_back(axis.steps());
  return steps;
}

/// The texts of every point, before constraints: the last axis of a grid changes fastest.
std::vector<std::vector<std::string>> grid(const SweepFile& sweep) {
  const auto steps = all_steps(sweep);
  std::vector<std::vector<std::string>> rows = {{}};
  for (const auto& values : steps) {
    std::vector<std::vector<std::string>> longer;
    longer.reserve(rows.size() * values.size());
    for (const auto& row : rows) {
      for (const std::string& value : values) {
        longer.push_back(row);
        longer.back().push_back(value);
      }
    }
    rows = std::move(longer);
  }
  return rows;
}

std::vector<std::vector<std::string>> zip(const SweepFile& sweep) {
  const auto steps = all_steps(sweep);
  std::vector<std::vector<std::string>> rows(steps.front().size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (const auto& values : steps) rows[i].push_back(values[i]);
  return rows;
}

std::vector<std::vector<std::string>> random(const SweepFile& sweep) {
  std::vector<std::vector<std::string>> rows(static_cast<std::size_t>(sweep.sampling.points));
  for (std::size_t a = 0; a < sweep.axes.size(); ++a) {
    const Random draw(sweep.sampling.seed, a);
    for (std::size_t i = 0; i < rows.size(); ++i)
      rows[i].push_back(sweep.axes[a].sample(draw.uniform(i)));
  }
  return rows;
}

/// Every axis in as many strata as there are points, each stratum once, in random order.
std::vector<std::vector<std::string>> latin_hypercube(const SweepFile& sweep) {
  const auto count = static_cast<std::size_t>(sweep.sampling.points);
  std::vector<std::vector<std::string>> rows(count);
  for (std::size_t a = 0; a < sweep.axes.size(); ++a) {
    const Random draw(sweep.sampling.seed, a);
    const Random shuffle(sweep.sampling.seed, permutation_streams + a);
    std::vector<std::size_t> strata(count);
    std::iota(strata.begin(), strata.end(), std::size_t{0});
    for (std::size_t i = count; i > 1; --i) {
      const auto j = static_cast<std::size_t>(shuffle.uniform(i) * static_cast<double>(i));
      std::swap(strata[i - 1], strata[j]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const double position =
          (static_cast<double>(strata[i]) + draw.uniform(i)) / static_cast<double>(count);
      rows[i].push_back(sweep.axes[a].sample(position));
    }
  }
  return rows;
}

/// Everything of a graph that its lowering and its numbers depend on.
std::string graph_text(const LayerGraph& graph) {
  std::string text = graph.workload + "\n";
  for (const GraphBlock& block : graph.blocks) {
    text += fmt::format("{} {}\n", block.name, block.repeat);
    for (const Tensor& t : block.tensors)
      text += fmt::format("{} {} {}x{} {} {}\n", t.name, name(t.format), t.rows, t.cols,
                          static_cast<int>(t.kind), t.warm);
    for (const Op& op : block.ops)
      text +=
          fmt::format("{} {} {} {} {} {} | {} {} {} {} {} {} {} {} | {} {} | {} {} {} {} {}\n",
                      op.name, name(op.kind), name(op.precision), op.m, op.n, op.k, op.batch,
                      op.q_len, op.kv_len, op.heads, op.kv_heads, op.head_dim, op.causal, op.window,
                      op.rows, op.cols, op.tokens, op.hidden, op.inter, op.topk, op.experts);
  }
  return text;
}

std::vector<std::vector<std::string>> sampled(const SweepFile& sweep) {
  switch (sweep.sampling.method) {
    case SamplingMethod::grid:
      return grid(sweep);
    case SamplingMethod::zip:
      return zip(sweep);
    case SamplingMethod::random:
      return random(sweep);
    case SamplingMethod::latin_hypercube:
      return latin_hypercube(sweep);
  }
  return {};
}

}  // namespace

PointBuilder::PointBuilder(const SweepFile& sweep, DataFolders folders)
    : sweep_(sweep), folders_(std::move(folders)) {
  for (const Setting& setting : sweep_.settings) settings_[setting.name] = setting.text;
  for (const Axis& axis : sweep_.axes) columns_.emplace(axis.parameter.name, columns_.size());
  for (const DerivedParameter& derived : sweep_.derived)
    columns_.emplace(derived.parameter.name, columns_.size());
}

const std::string* PointBuilder::text_of(const SweepPoint& point, const std::string& name) const {
  const auto column = columns_.find(name);
  // A derived value that is not there yet: what it has without the derivation.
  if (column != columns_.end() && column->second < point.values.size())
    return &point.values[column->second].text;
  const auto setting = settings_.find(name);
  return setting == settings_.end() ? nullptr : &setting->second;
}

const ChipConfig& PointBuilder::base_chip(const SweepPoint& point) {
  const std::string* const name = text_of(point, "chip");
  if (name == nullptr)
    throw InputError(
        {sweep_.path, 0}, "chip", "missing",
        fmt::format("give a YAML file or one of {}", fmt::join(chip_names(folders_.chips), ", ")));
  const auto found = chips_.find(*name);
  if (found != chips_.end()) return found->second;
  try {
    return chips_.emplace(*name, load_chip(*name, {}, folders_.chips)).first->second;
  } catch (const InputError& error) {
    for (const Setting& setting : sweep_.settings)
      if (setting.name == "chip") throw InputError(setting.where, "", error.what(), "");
    for (const Axis& axis : sweep_.axes)
      if (axis.parameter.name == "chip") throw InputError(axis.where, "", error.what(), "");
    throw;
  }
}

double PointBuilder::value_of(const SweepPoint& point, const std::string& name) {
  const auto column = columns_.find(name);
  if (column != columns_.end() && column->second < point.values.size())
    return point.values[column->second].number;
  const Parameter* const parameter = find_parameter(name);
  if (const std::string* text = text_of(point, name)) return value_from(*parameter, *text).number;
  if (parameter->key != nullptr) {
    const ChipConfig& chip = base_chip(point);
    return parameter->numeric ? value_number(*parameter->key, chip)
                              : text_code(value_text(*parameter->key, chip));
  }
  if (name == "batch" || name == "tp") return 1;
  if (name == "seq" && text_of(point, "op") == nullptr) return 1;
  if (name == "precision") return text_code("bf16");
  if (name == "recipe") return text_code(own_recipe);
  return parameter->numeric ? 0 : text_code("");
}

std::string PointBuilder::about(const SweepPoint& point) const {
  std::string text;
  for (std::size_t i = 0; i < sweep_.axes.size(); ++i)
    text += fmt::format("{}{}={}", i == 0 ? "" : " ", sweep_.axes[i].parameter.name,
                        point.values[i].text);
  return text;
}

void PointBuilder::derive(SweepPoint& point) {
  for (const DerivedParameter& derived : sweep_.derived) {
    const Parameter& parameter = derived.parameter;
    const double value =
        derived.expression.evaluate([&](const std::string& name) { return value_of(point, name); });
    const auto fail = [&](const std::string& right) {
      throw InputError(derived.where, parameter.name,
                       fmt::format("is {} where {}", value, about(point)), right);
    };
    if (!std::isfinite(value)) fail("check the expression for this point");
    if (parameter.whole && value != std::round(value))
      fail("a whole number is wanted: write round(...)");
    const std::string text = number_text(value);
    if (value < parameter.least || value > parameter.most)
      fail(fmt::format("give {} to {}", number_text(parameter.least), number_text(parameter.most)));
    point.values.push_back({text, value});
  }
}

bool PointBuilder::is_skipped(const SweepPoint& point) {
  for (const Constraint& constraint : sweep_.skip_if) {
    const double value = constraint.expression.evaluate(
        [&](const std::string& name) { return value_of(point, name); });
    if (std::isnan(value))
      throw InputError(constraint.where, "skip_if",
                       fmt::format("is not a number where {}", about(point)),
                       "check the expression for this point");
    if (value != 0) return true;
  }
  return false;
}

SweepPoints PointBuilder::points() {
  SweepPoints all;
  for (const auto& texts : sampled(sweep_)) {
    SweepPoint point;
    point.id = static_cast<std::int64_t>(all.points.size()) + 1;
    for (std::size_t i = 0; i < texts.size(); ++i)
      point.values.push_back(value_from(sweep_.axes[i].parameter, texts[i]));
    derive(point);
    if (is_skipped(point)) {
      ++all.skipped;
    } else {
      all.points.push_back(std::move(point));
    }
  }
  if (all.points.empty())
    throw InputError(sweep_.skip_if.front().where, "skip_if",
                     fmt::format("skips all {} points", all.skipped), "loosen it");
  return all;
}

ChipConfig PointBuilder::chip(const SweepPoint& point) {
  ChipConfig chip = base_chip(point);
  const auto set = [&](const Parameter& parameter, const std::string& text,
                       const SourceLocation& where) {
    if (parameter.key != nullptr) set_key(chip, parameter.name, text, where);
  };
  for (const Setting& setting : sweep_.settings)
    set(*find_parameter(setting.name), setting.text, setting.where);
  std::size_t column = 0;
  for (const Axis& axis : sweep_.axes) set(axis.parameter, point.values[column++].text, axis.where);
  for (const DerivedParameter& derived : sweep_.derived)
    set(derived.parameter, point.values[column++].text, derived.where);
  check_chip(chip);
  return chip;
}

const LayerGraph& PointBuilder::graph(const SweepPoint& point) {
  const auto text = [&](const char* name) {
    const std::string* const found = text_of(point, name);
    return found == nullptr ? std::string() : *found;
  };
  std::string key;
  for (const char* name :
       {"op", "model", "phase", "batch", "seq", "past", "layers", "precision", "tp"})
    key += text(name) + "\n";
  std::unique_ptr<LayerGraph>& graph = graphs_[key];
  if (graph != nullptr) return *graph;

  const std::string op = text("op"), model = text("model");
  const auto fail = [&](const std::string& name, const std::string& wrong,
                        const std::string& right) {
    throw InputError({sweep_.path, 0}, name, wrong, right);
  };
  if (op.empty() == model.empty())
    fail("workload", op.empty() ? "missing" : "both op and model",
         "give one: {model: llama-3.1-8b, phase: prefill, seq: 2048} or {op: gemm m=4096 ...}");
  if (!op.empty()) {
    for (const char* name : {"phase", "batch", "seq", "past", "layers", "precision", "tp"})
      if (!text(name).empty()) fail(name, "applies to a model only", "say it in the text of op");
    graph = std::make_unique<LayerGraph>(op_graph(op));
    return *graph;
  }
  const auto count = [&](const char* name, std::int64_t otherwise) {
    const std::string found = text(name);
    return found.empty() ? otherwise : static_cast<std::int64_t>(number_of(found));
  };
  WorkloadOptions options;
  if (text("phase").empty()) fail("phase", "missing", "give prefill or decode");
  options.phase = parse_phase(text("phase"));
  if (text("seq").empty() && options.phase == Phase::prefill)
    fail("seq", "missing", "give the number of new tokens per sequence");
  options.batch = count("batch", 1);
  options.seq = count("seq", 1);
  options.past = count("past", 0);
  options.layers = count("layers", 0);
  options.tp = count("tp", 1);
  if (!text("precision").empty()) options.precision = parse_precision(text("precision"));
  graph = std::make_unique<LayerGraph>(build_workload(model, folders_.models, options));
  return *graph;
}

EvaluationOptions PointBuilder::evaluation(const SweepPoint& point) const {
  EvaluationOptions options;
  const std::string* const recipe = text_of(point, "recipe");
  if (recipe != nullptr && *recipe != own_recipe) options.recipe = parse_recipe(*recipe, "recipe");
  return options;
}

std::string PointBuilder::digest(const SweepPoint& point, const std::string& tool_version) {
  const ChipConfig chip = this->chip(point);
  const LayerGraph& graph = this->graph(point);
  const std::string excess = memory_excess(graph, chip);
  if (!excess.empty() && !sweep_.allow_oversubscription)
    throw InputError("memory", "the workload " + excess,
                     "take fewer layers, a smaller batch, a higher tp, or go on with "
                     "allow_oversubscription: true");
  std::string text = tool_version + "\n" + canonical_text(chip) + graph_text(graph);
  const std::string* const recipe = text_of(point, "recipe");
  text += sweep_.numerical_error ? "error " + (recipe == nullptr ? own_recipe : *recipe) : "";
  return content_digest(text);
}

}  // namespace tessera
