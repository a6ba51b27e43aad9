#include "sim/cli/auto_precision.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <iterator>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "sim/base/error.h"
#include "sim/cli/terminal.h"
#include "sim/cli/workload_flags.h"
#include "sim/engine/governor.h"
#include "sim/engine/simulation.h"
#include "sim/precision/layer_policy.h"

namespace tessera::cli {
namespace {

/// Layers of one block that share their choices when their tensors are real: the first, the last
/// and bands of those between.
constexpr std::int64_t most_bands = 4;

/// A class of layers of a block, and the one that is computed for it.
struct Band {
  std::size_t block = 0;
  std::int64_t first = 0, last = 0;  ///< repetitions of the block
  std::int64_t computed = 0;         ///< number of the layer among all layers
};

std::string text_of(std::int64_t first, std::int64_t last) {
  return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
}

/// Synthetic tensors of all layers have the same statistics, so that one class holds them; the
/// user's differ.
std::vector<Band> bands_of(std::size_t block, std::int64_t repeat, std::int64_t layers_before,
                           bool differ) {
  std::vector<std::int64_t> ends;  // one past the last of each
  if (!differ) {
    ends = {repeat};
  } else if (repeat <= most_bands) {
    for (std::int64_t i = 1; i <= repeat; ++i) ends.push_back(i);
  } else {
    ends = {1, (repeat + 1) / 2, repeat - 1, repeat};
  }
  std::vector<Band> bands;
  for (const std::int64_t end : ends) {
    Band band;
    band.block = block;
    band.first = bands.empty() ? 0 : bands.back().last + 1;
    band.last = end - 1;
    band.computed = layers_before + (differ ? (band.first + band.last) / 2 : band.first);
    bands.push_back(band);
  }
  return bands;
}

class Choice {
 public:
  Choice(const GraphVariants& variants, Precision wide, double budget, const ChipConfig& chip,
         const EvaluationOptions& evaluation, int jobs)
      : variants_(variants),
        wide_(wide),
        budget_(budget),
        chip_(chip),
        evaluation_(evaluation),
        jobs_(jobs) {
    const LayerGraph& graph = variants.at(wide);
    std::int64_t layers = 0;
    for (std::size_t b = 0; b < graph.blocks.size(); ++b) {
      free_.push_back(free_ops(variants, b));
      if (free_.back().empty()) continue;
      for (const Band& band :
           bands_of(b, graph.blocks[b].repeat, layers, evaluation.tensors != nullptr)) {
        bands_.push_back(band);
      }
      layers += graph.blocks[b].repeat;
    }
  }

  AutoPrecision run() {
    const LayerGraph& graph = variants_.at(wide_);
    if (bands_.empty()) {
      AutoPrecision unchanged{graph, {}};
      unchanged.graph.workload = workload(graph.workload);
      unchanged.graph.notes.push_back(
          fmt::format("{} has no fp8: everything stays {}", chip_.name, name(wide_)));
      return unchanged;
    }
    LayerPolicy policy;
    const double clock_mhz = governed_clock_mhz(
        estimated_profile(lower_for(graph, chip_), chip_, Operands::random), chip_, RunLength());
    {
      const Progress progress("simulating the layers in each precision");
      simulate_variants(clock_mhz);
    }
    {
      const Progress progress("measuring the errors of each precision");
      policy = choose_precisions(classes(), budget_, [this](const std::vector<LayerCase>& cases) {
        return measure(cases);
      });
    }
    policy.result.clock_mhz = clock_mhz;
    return {with_precisions(variants_, wide_, groups(policy), workload(graph.workload)),
            policy.result};
  }

 private:
  /// Cycles of every operation of the blocks that have a choice, in each precision and block.
  void simulate_variants(double clock_mhz) {
    Trace all;
    for (const auto& [precision, graph] : variants_) {
      LayerGraph layers = graph;
      layers.blocks.clear();
      for (std::size_t b = 0; b < graph.blocks.size(); ++b) {
        if (free_[b].empty()) continue;
        layers.blocks.push_back(graph.blocks[b]);
        layers.blocks.back().repeat = 1;
      }
      Trace trace = lower_for(layers, chip_);
      std::move(trace.sections.begin(), trace.sections.end(), std::back_inserter(all.sections));
    }
    SimulationOptions options;
    options.jobs = jobs_;
    options.clock_mhz = clock_mhz;
    const RunResult result = simulate(all, chip_, options);
    auto op = result.ops.begin();
    for (const auto& [precision, graph] : variants_) {
      for (std::size_t b = 0; b < graph.blocks.size(); ++b) {
        if (free_[b].empty()) continue;
        std::vector<std::int64_t>& cycles = cycles_[{precision, b}];
        for (std::size_t i = 0; i < graph.blocks[b].ops.size(); ++i, ++op) {
          cycles.push_back(op->cycles.value);
        }
      }
    }
  }

  /// The precisions, the wide one first.
  std::vector<Precision> precisions() const {
    std::vector<Precision> all = {wide_};
    for (const auto& [precision, graph] : variants_) {
      if (precision != wide_) all.push_back(precision);
    }
    return all;
  }

  std::vector<LayerClass> classes() const {
    std::vector<LayerClass> classes;
    for (const Band& band : bands_) {
      const std::vector<std::int64_t>& wide = cycles_.at({wide_, band.block});
      LayerClass one;
      one.layers = text_of(band.first, band.last);
      one.repeat = band.last - band.first + 1;
      for (const std::int64_t cycles : wide) one.other_cycles += cycles;
      for (const std::size_t i : free_[band.block]) {
        FreeOp op;
        op.name = variants_.at(wide_).blocks[band.block].ops[i].name;
        for (const Precision precision : precisions()) {
          // An operation need not have a variant in every precision.
          if (variants_.at(precision).blocks[band.block].ops[i].precision != precision) continue;
          op.precisions.push_back(precision);
          op.cycles.push_back(cycles_.at({precision, band.block})[i]);
        }
        one.other_cycles -= wide[i];
        one.ops.push_back(std::move(op));
      }
      classes.push_back(std::move(one));
    }
    return classes;
  }

  /// One layer of a band, alone.
  LayerGraph layer(const Band& band, const std::vector<Precision>& precisions) const {
    std::vector<std::vector<PrecisionGroup>> groups(free_.size());
    for (std::size_t b = 0; b < free_.size(); ++b) {
      if (!free_[b].empty()) groups[b] = {{"", 1, std::vector<Precision>(free_[b].size(), wide_)}};
    }
    groups[band.block] = {{"", 1, precisions}};
    LayerGraph graph = with_precisions(variants_, wide_, groups, "");
    graph.blocks = {graph.blocks[band.block]};
    return graph;
  }

  std::vector<double> measure(const std::vector<LayerCase>& cases) const {
    std::vector<double> errors(cases.size());
    std::vector<std::exception_ptr> failures(cases.size());
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
      for (std::size_t i = next++; i < cases.size(); i = next++) {
        try {
          const Band& band = bands_[cases[i].layer_class];
          EvaluationOptions options = evaluation_;
          options.layers = 1;
          options.first_layer = band.computed;
          const Evaluation evaluated = evaluate(layer(band, cases[i].precisions), chip_, options);
          if (evaluated.summary.evaluated_layers == 0)
            throw InputError("--precision", "auto needs decoder layers, whose output has an error",
                             "give the precision, e.g. bf16 or fp8");
          errors[i] = evaluated.summary.layer_output * evaluated.summary.layer_output;
        } catch (...) {
          failures[i] = std::current_exception();
        }
      }
    };
    std::vector<std::thread> threads;
    for (std::size_t t = 1; t < std::min(cases.size(), static_cast<std::size_t>(jobs_)); ++t) {
      threads.emplace_back(work);
    }
    work();
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& failure : failures) {
      if (failure) std::rethrow_exception(failure);
    }
    return errors;
  }

  /// The bands, neighbours of the same precisions together.
  std::vector<std::vector<PrecisionGroup>> groups(const LayerPolicy& policy) const {
    std::vector<std::vector<PrecisionGroup>> groups(free_.size());
    std::int64_t first = 0;
    for (std::size_t c = 0; c < bands_.size(); ++c) {
      std::vector<PrecisionGroup>& all = groups[bands_[c].block];
      if (all.empty() || all.back().precisions != policy.precisions[c]) {
        all.push_back({"", 0, policy.precisions[c]});
        first = bands_[c].first;
      }
      all.back().repeat += bands_[c].last - bands_[c].first + 1;
      all.back().layers = text_of(first, bands_[c].last);
    }
    return groups;
  }

  /// The wide variant's line with what was asked for.
  std::string workload(std::string line) const {
    const std::string given = fmt::format("--precision {}", name(wide_));
    const std::size_t at = line.find(given);
    if (at != std::string::npos) {
      line.replace(at, given.size(), fmt::format("--precision auto --error-budget {}", budget_));
    }
    return line;
  }

  const GraphVariants& variants_;
  const Precision wide_;
  const double budget_;
  const ChipConfig& chip_;
  const EvaluationOptions& evaluation_;
  const int jobs_;
  std::vector<std::vector<std::size_t>> free_;  ///< operations of each block
  std::vector<Band> bands_;
  std::map<std::pair<Precision, std::size_t>, std::vector<std::int64_t>> cycles_;
};

}  // namespace

AutoPrecision choose_precision(const GraphVariants& variants, Precision wide, double budget,
                               const ChipConfig& chip, const EvaluationOptions& evaluation,
                               int jobs) {
  return Choice(variants, wide, budget, chip, evaluation, jobs).run();
}

}  // namespace tessera::cli
