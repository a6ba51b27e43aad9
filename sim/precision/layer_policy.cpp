#include "sim/precision/layer_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "sim/precision/policy.h"

namespace tessera {
namespace {

/// Points of the front that are kept: enough to draw, few enough to walk down one by one.
constexpr std::size_t most_points = 256;

using Choice = std::vector<std::size_t>;  // option of each item

/// An item of the knapsack: operation `op` of class `layer_class`.
struct Item {
  std::size_t layer_class = 0, op = 0;
};

class Chooser {
 public:
  Chooser(const std::vector<LayerClass>& classes, double budget, const MeasureLayers& measure)
      : classes_(classes), budget_(budget), measure_(measure) {
    for (std::size_t c = 0; c < classes.size(); ++c) {
      layers_ += classes[c].repeat;
      other_cycles_ += classes[c].other_cycles * classes[c].repeat;
      for (std::size_t o = 0; o < classes[c].ops.size(); ++o) items_.push_back({c, o});
    }
  }

  LayerPolicy choose() {
    measure_alone();
    const std::vector<PolicyItem> knapsack = knapsack_items();
    const std::vector<PolicyPoint> corners = hull(knapsack);
    const std::vector<PolicyPoint> front = thinned(pareto_front(knapsack), corners);
    // Errors of the knapsack come on top of the wide precision's.
    const double room = budget_ * budget_ - wide_error_;
    const std::ptrdiff_t start = within(front, room);
    std::ptrdiff_t at = start;
    PolicyPoint chosen;
    double error = wide_error_;
    for (; at >= 0; --at) {
      chosen = front[static_cast<std::size_t>(at)];
      error = measure_whole(chosen.choice);
      if (error <= budget_ * budget_) break;
    }
    if (at < 0) {
      chosen = PolicyPoint();
      chosen.choice.assign(items_.size(), 0);
      error = wide_error_;
    }

    LayerPolicy policy;
    policy.precisions = precisions_of(chosen.choice);
    PolicyResult& result = policy.result;
    result.decided = true;
    result.wide = wide_name();
    result.budget = budget_;
    result.wide_error = std::sqrt(wide_error_);
    result.predicted_error = std::sqrt(wide_error_ + chosen.error);
    result.error = std::sqrt(error);
    result.wide_cycles = cycles_of(Choice(items_.size(), 0));
    result.cycles = cycles_of(chosen.choice);
    result.fastest_cycles = cycles_of(front.back().choice);
    result.least_cycles =
        other_cycles_ +
        static_cast<std::int64_t>(
            std::ceil(lower_bound(corners, std::max(room, corners.front().error)) * (1 - 1e-12)));
    result.evaluations = static_cast<std::int64_t>(known_.size());
    result.tightened = start - at;
    const double left = room - chosen.error;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      result.decisions.push_back(decision(i, chosen.choice[i], left));
    }
    for (const PolicyPoint& point : front) {
      result.curve.push_back({cycles_of(point.choice), std::sqrt(wide_error_ + point.error),
                              description(point.choice)});
    }
    return policy;
  }

 private:
  const LayerClass& class_of(const Item& item) const { return classes_[item.layer_class]; }
  const FreeOp& op_of(const Item& item) const { return class_of(item).ops[item.op]; }
  /// What a class's layer counts for in the mean over all layers.
  double weight(std::size_t layer_class) const {
    return static_cast<double>(classes_[layer_class].repeat) / static_cast<double>(layers_);
  }

  std::string wide_name() const {
    return items_.empty() ? "" : std::string(name(op_of(items_.front()).precisions.front()));
  }

  std::vector<std::vector<Precision>> precisions_of(const Choice& choice) const {
    std::vector<std::vector<Precision>> precisions(classes_.size());
    for (std::size_t i = 0; i < items_.size(); ++i) {
      precisions[items_[i].layer_class].push_back(op_of(items_[i]).precisions[choice[i]]);
    }
    return precisions;
  }

  std::int64_t cycles_of(const Choice& choice) const {
    std::int64_t cycles = other_cycles_;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      cycles += op_of(items_[i]).cycles[choice[i]] * class_of(items_[i]).repeat;
    }
    return cycles;
  }

  /// Measures the cases that are not known yet.
  void learn(const std::vector<LayerCase>& cases) {
    std::vector<LayerCase> fresh;
    std::map<std::pair<std::size_t, std::vector<Precision>>, double> asked;
    for (const LayerCase& one : cases) {
      const auto key = std::make_pair(one.layer_class, one.precisions);
      if (known_.count(key) == 0 && asked.emplace(key, 0).second) fresh.push_back(one);
    }
    if (fresh.empty()) return;
    const std::vector<double> errors = measure_(fresh);
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      known_[{fresh[i].layer_class, fresh[i].precisions}] = errors[i];
    }
  }

  double known(const LayerCase& one) const { return known_.at({one.layer_class, one.precisions}); }

  /// The class's layer with everything wide, but for one operation.
  LayerCase alone(const Item& item, std::size_t option) const {
    LayerCase one;
    one.layer_class = item.layer_class;
    for (const FreeOp& op : class_of(item).ops) one.precisions.push_back(op.precisions.front());
    one.precisions[item.op] = op_of(item).precisions[option];
    return one;
  }

  void measure_alone() {
    std::vector<LayerCase> cases;
    for (const Item& item : items_) {
      for (std::size_t o = 0; o < op_of(item).precisions.size(); ++o) {
        cases.push_back(alone(item, o));
      }
    }
    learn(cases);
    std::size_t last = classes_.size();
    for (const Item& item : items_) {
      const double wide = known(alone(item, 0));
      if (item.layer_class != last) wide_error_ += weight(item.layer_class) * wide;
      last = item.layer_class;
      added_.emplace_back();
      for (std::size_t o = 0; o < op_of(item).precisions.size(); ++o) {
        // Rounding may happen to undo itself; what an operation adds is not negative.
        added_.back().push_back(std::max(0.0, known(alone(item, o)) - wide));
      }
    }
  }

  std::vector<PolicyItem> knapsack_items() const {
    std::vector<PolicyItem> knapsack;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const auto repeat = static_cast<double>(class_of(items_[i]).repeat);
      knapsack.emplace_back();
      for (std::size_t o = 0; o < added_[i].size(); ++o) {
        knapsack.back().push_back({static_cast<double>(op_of(items_[i]).cycles[o]) * repeat,
                                   added_[i][o] * weight(items_[i].layer_class)});
      }
    }
    return knapsack;
  }

  /// Mean over all layers.
  double measure_whole(const Choice& choice) {
    const std::vector<std::vector<Precision>> precisions = precisions_of(choice);
    std::vector<LayerCase> cases;
    for (std::size_t c = 0; c < classes_.size(); ++c) {
      if (!classes_[c].ops.empty()) cases.push_back({c, precisions[c]});
    }
    learn(cases);
    double error = 0;
    for (const LayerCase& one : cases) error += weight(one.layer_class) * known(one);
    return error;
  }

  /// At most most_points points, the first, the last and the corners of the hull among them where
  /// they fit.
  static std::vector<PolicyPoint> thinned(const std::vector<PolicyPoint>& front,
                                          const std::vector<PolicyPoint>& corners) {
    if (front.size() <= most_points) return front;
    const std::vector<PolicyPoint>& from = corners.size() > most_points ? corners : front;
    const double first = std::sqrt(from.front().error);
    const double width =
        (std::sqrt(from.back().error) - first) / static_cast<double>(most_points - 1);
    std::vector<PolicyPoint> kept = {from.front()};
    const auto stretch = [&](const PolicyPoint& point) {
      return std::floor((std::sqrt(point.error) - first) / width);
    };
    for (std::size_t i = 1; i < from.size(); ++i) {
      if (i + 1 < from.size() && stretch(from[i + 1]) == stretch(from[i])) continue;
      kept.push_back(from[i]);
    }
    return kept;
  }

  PolicyDecision decision(std::size_t i, std::size_t chosen, double left) const {
    const FreeOp& op = op_of(items_[i]);
    PolicyDecision decision;
    decision.layers = class_of(items_[i]).layers;
    decision.repeat = class_of(items_[i]).repeat;
    decision.op = op.name;
    decision.chosen = chosen;
    for (std::size_t o = 0; o < op.precisions.size(); ++o) {
      decision.alternatives.push_back(
          {std::string(name(op.precisions[o])), op.cycles[o], added_[i][o]});
    }
    decision.reason = reason(i, chosen, left);
    return decision;
  }

  /// Why: what the fastest option would save and add where it was not taken, against what is left
  /// of the budget.
  std::string reason(std::size_t i, std::size_t chosen, double left) const {
    const FreeOp& op = op_of(items_[i]);
    if (op.precisions.size() == 1) return "the chip has no other precision";
    const auto fastest = static_cast<std::size_t>(
        std::min_element(op.cycles.begin(), op.cycles.end()) - op.cycles.begin());
    const auto percent = [](std::int64_t part, std::int64_t whole) {
      return 100 * static_cast<double>(part) /
             static_cast<double>(std::max<std::int64_t>(1, whole));
    };
    const double share = weight(items_[i].layer_class);
    const double budget = std::max(budget_ * budget_ - wide_error_, 0.0);
    const auto of_budget = [&](double error) {
      const double spent = budget > 0 ? 100 * error / budget : 0;
      return fmt::format(spent < 9.95 ? "{:.2g} % of the budget" : "{:.0f} % of the budget", spent);
    };
    if (op.cycles[chosen] == op.cycles[fastest]) {
      if (chosen == 0) return "nothing is faster here";
      return fmt::format("fastest: {:.0f} % less time for {}",
                         percent(op.cycles[0] - op.cycles[chosen], op.cycles[0]),
                         of_budget(share * added_[i][chosen]));
    }
    const double more = share * (added_[i][fastest] - added_[i][chosen]);
    std::string text;
    if (chosen != 0) {
      text = fmt::format("{:.0f} % less time for {}; ",
                         percent(op.cycles[0] - op.cycles[chosen], op.cycles[0]),
                         of_budget(share * added_[i][chosen]));
    }
    const std::string_view other = name(op.precisions[fastest]);
    const double saved = percent(op.cycles[chosen] - op.cycles[fastest], op.cycles[0]);
    if (wide_error_ >= budget_ * budget_) {
      return fmt::format("{}{} would save {:.0f} %, but {} alone is beyond the budget", text, other,
                         saved, wide_name());
    }
    if (share * added_[i][fastest] > budget) {
      return fmt::format("{}{} would save {:.0f} %, but alone take {}", text, other, saved,
                         of_budget(share * added_[i][fastest]));
    }
    if (more > left) {
      return fmt::format("{}{} would save {:.0f} % and take {}, more than is left", text, other,
                         saved, of_budget(share * added_[i][fastest]));
    }
    return fmt::format("{}{} would save {:.0f} %, but together the errors exceed the budget", text,
                       other, saved);
  }

  /// "bf16 4, fp8 12": operations of all layers by precision, in the order of the alternatives.
  std::string description(const Choice& choice) const {
    std::map<Precision, std::int64_t> counts;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      counts[op_of(items_[i]).precisions[choice[i]]] += class_of(items_[i]).repeat;
    }
    std::string text;
    for (const auto& [precision, count] : counts) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name(precision), count);
    }
    return text;
  }

  const std::vector<LayerClass>& classes_;
  const double budget_;
  const MeasureLayers& measure_;
  std::vector<Item> items_;
  std::int64_t layers_ = 0;
  std::int64_t other_cycles_ = 0;
  std::map<std::pair<std::size_t, std::vector<Precision>>, double> known_;
  double wide_error_ = 0;                   // mean over all layers
  std::vector<std::vector<double>> added_;  // of each item's options, in its own layer
};

}  // namespace

LayerPolicy choose_precisions(const std::vector<LayerClass>& classes, double budget,
                              const MeasureLayers& measure) {
  return Chooser(classes, budget, measure).choose();
}

}  // namespace tessera
