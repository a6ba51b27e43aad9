#include "sim/sweep/sweep_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <optional>
#include <set>
#include <utility>

#include "sim/base/error.h"
#include "sim/config/loader.h"
#include "sim/engine/process_pool.h"
#include "sim/engine/simulation.h"
#include "sim/frontend/lowering.h"
#include "sim/precision/evaluation.h"
#include "sim/trace/digest.h"

namespace tessera {
namespace {

using Clock = std::chrono::steady_clock;

// Outcomes are stored together that end within this time: a transaction waits for the disk.
constexpr std::chrono::milliseconds store_interval{250};

// First byte of a child's answer.
enum class Answer : char {
  done = 'D',
  cached = 'C',
  bad_input = 'I',
  failed = 'F',
  no_memory = 'M',
};

std::string answer_of(Answer answer, const std::string& text) {
  return std::string(1, static_cast<char>(answer)) + text;
}

/// Thrown through the process pool to end it.
struct Stopped {};

/// One run of a sweep: which points it runs, and what becomes of their answers.
class SweepRun {
 public:
  SweepRun(const SweepFile& sweep, const SweepPlan& plan, PointBuilder& builder,
           ResultsDatabase& database, const SweepOptions& options)
      : sweep_(sweep), plan_(plan), builder_(builder), database_(database), options_(options) {
    collect();
  }

  SweepSummary run() {
    ProcessLimits limits;
    limits.timeout_s = sweep_.timeout_s;
    limits.memory_bytes = sweep_.memory_mib << 20;
    WhileWaiting meanwhile;
    meanwhile.often = [this] {
      if (options_.stop()) throw Stopped();
      store_if_due();
    };
    options_.progress(0, total_);
    try {
      run_processes(
          leaders_.size(), options_.jobs, [this](std::size_t i) { return simulate_point(i); },
          [this](std::size_t i, ProcessAnswer answer) {
            take(i, answer);
            return AfterAnswer::go_on;
          },
          meanwhile, limits);
    } catch (const Stopped&) {
      summary_.stopped = true;
    }
    store();
    return summary_;
  }

 private:
  /// The open points of this run; of those with one digest, the first leads.
  void collect() {
    const std::set<std::int64_t> only(options_.only.begin(), options_.only.end());
    std::map<std::string, std::size_t> leader_of;
    for (const std::int64_t id : database_.open_points(options_.retry)) {
      if (!only.empty() && only.count(id) == 0) continue;
      const std::size_t index = SweepPlan::index(id);
      const auto [place, fresh] = leader_of.emplace(plan_.digests[index], leaders_.size());
      if (fresh) leaders_.push_back({});
      leaders_[place->second].push_back(index);
      ++total_;
    }
  }

  const SweepPoint& point(std::size_t leader) const {
    return plan_.points.points[leaders_[leader].front()];
  }

  const PointOutcome* cached(std::size_t leader) const {
    const auto found = options_.cache.find(plan_.digests[leaders_[leader].front()]);
    return found == options_.cache.end() ? nullptr : &found->second;
  }

  // In a process of its own.
  std::string simulate_point(std::size_t leader) const {
    try {
      const ChipConfig chip = builder_.chip(point(leader));
      const LayerGraph& graph = builder_.graph(point(leader));
      LoweringOptions lowering;
      lowering.tool_version = plan_.tool_version;
      lowering.chip_digest = content_digest(canonical_text(chip));
      const Trace trace = lower(graph, chip, lowering);
      const std::string trace_digest = digest(trace);
      const PointOutcome* known = cached(leader);
      if (known != nullptr && known->figures.trace_digest == trace_digest)
        return answer_of(Answer::cached, "");
      SimulationOptions simulation;
      simulation.last_of_process = true;
      std::optional<Evaluation> evaluation;
      if (sweep_.numerical_error)
        simulation.beside = [&] {
          evaluation = evaluate(graph, chip, builder_.evaluation(point(leader)));
        };
      RunResult result = simulate(trace, chip, simulation);
      if (evaluation) attach(graph, *evaluation, result);
      return answer_of(Answer::done, to_text(point_figures(result, trace_digest)));
    } catch (const InputError& error) {
      return answer_of(Answer::bad_input, error.what());
    } catch (const std::bad_alloc&) {
      return answer_of(Answer::no_memory, "");
    } catch (const std::exception& error) {
      return answer_of(Answer::failed, error.what());
    }
  }

  PointOutcome outcome_of(std::size_t leader, const ProcessAnswer& answer) const {
    PointOutcome outcome;
    outcome.wall_s = answer.wall_s;
    outcome.peak_rss_bytes = answer.peak_rss_bytes;
    const auto ended = [&](PointStatus status, const std::string& message) {
      outcome.status = status;
      outcome.message = message;
    };
    if (answer.end == ProcessEnd::timed_out) {
      ended(PointStatus::timeout, fmt::format("took longer than {} s", sweep_.timeout_s));
      return outcome;
    }
    const std::string memory = fmt::format("wanted more than {} MiB of memory", sweep_.memory_mib);
    if (answer.end == ProcessEnd::out_of_memory) {
      ended(PointStatus::out_of_memory, memory);
      return outcome;
    }
    if (answer.end != ProcessEnd::answered) {
      ended(PointStatus::crashed, "its process " + answer.failure);
      return outcome;
    }
    const std::string text = answer.text.substr(1);
    switch (static_cast<Answer>(answer.text[0])) {
      case Answer::done:
        outcome.figures = point_figures_from(text);
        break;
      case Answer::cached:
        outcome.figures = cached(leader)->figures;
        break;
      case Answer::bad_input:
        ended(PointStatus::invalid, text);
        break;
      case Answer::failed:
        ended(PointStatus::failed, text);
        break;
      case Answer::no_memory:
        ended(PointStatus::out_of_memory, memory);
        break;
    }
    return outcome;
  }

  void take(std::size_t leader, const ProcessAnswer& answer) {
    PointOutcome outcome = outcome_of(leader, answer);
    const std::vector<std::size_t>& same = leaders_[leader];
    for (const std::size_t index : same) {
      outcome.id = plan_.points.points[index].id;
      if (outcome.status == PointStatus::done)
        outcome.own_metrics = own_metrics(plan_.points.points[index], outcome.figures);
      outcomes_.push_back(outcome);
    }
    summary_.ran += same.size();
    summary_.cached += same.size() - 1;
    if (answer.text.substr(0, 1) == answer_of(Answer::cached, "")) ++summary_.cached;
    options_.progress(summary_.ran, total_);
    store_if_due();
  }

  std::vector<double> own_metrics(const SweepPoint& at, const PointFigures& figures) const {
    std::vector<double> values;
    for (const DerivedMetric& metric : sweep_.metrics) {
      values.push_back(metric.expression.evaluate([&](const std::string& name) {
        for (std::size_t i = 0; i < values.size(); ++i)
          if (sweep_.metrics[i].name == name) return values[i];
        for (std::size_t i = 0; i < sweep_metrics().size(); ++i)
          if (sweep_metrics()[i].name == name) return figures.metrics[i];
        return builder_.value_of(at, name);
      }));
    }
    return values;
  }

  void store_if_due() {
    if (Clock::now() - stored_ >= store_interval) store();
  }
  void store() {
    database_.store(outcomes_);
    outcomes_.clear();
    stored_ = Clock::now();
  }

  const SweepFile& sweep_;
  const SweepPlan& plan_;
  PointBuilder& builder_;
  ResultsDatabase& database_;
  const SweepOptions& options_;
  std::vector<std::vector<std::size_t>> leaders_;  ///< indices of points with one digest
  std::size_t total_ = 0;
  std::vector<PointOutcome> outcomes_;  ///< not stored yet
  Clock::time_point stored_ = Clock::now();
  SweepSummary summary_;
};

}  // namespace

std::vector<std::int64_t> shard_points(const SweepPlan& plan, std::int64_t shard,
                                       std::int64_t shards) {
  std::vector<std::int64_t> ids;
  for (const SweepPoint& point : plan.points.points)
    if ((point.id - shard) % shards == 0) ids.push_back(point.id);
  return ids;
}

SweepSummary run_sweep(const SweepFile& sweep, const SweepPlan& plan, PointBuilder& builder,
                       ResultsDatabase& database, const SweepOptions& options) {
  return SweepRun(sweep, plan, builder, database, options).run();
}

}  // namespace tessera
