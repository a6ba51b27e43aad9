#include "sim/validation/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <nlopt.hpp>
#include <numeric>
#include <set>
#include <utility>

#include "sim/base/error.h"
#include "sim/base/random.h"
#include "sim/config/loader.h"

namespace tessera {
namespace {

constexpr double error_scale = 0.1;   // of the loss: where it turns from quadratic to linear
constexpr double first_step = 0.15;   // of the range: where the optimiser looks first
constexpr double last_step = 0.004;   // of the range: when it is done
constexpr double refused_loss = 100;  // of values that contradict each other

const char* const compute_keys[] = {
    "launch.gap_us",      "launch.setup_cycles",     "tensor_core.issue_cycles",
    "dma.latency_cycles", "l2.read_bytes_per_cycle", "hbm.trfc_ns"};
const char* const rowwise_keys[] = {"launch.gap_us", "launch.setup_cycles", "hbm.trfc_ns"};
const char* const collective_keys[] = {"link.latency_us",
                                       "collective.start_us",
                                       "collective.flagged_line_share",
                                       "collective.buffered_start_us",
                                       "collective.buffered_share",
                                       "collective.direct_start_us",
                                       "collective.direct_share",
                                       "collective.in_switch_start_us",
                                       "collective.in_switch_share"};

bool holds(const FittedKey& fitted, double value) {
  return value >= fitted.low && value <= fitted.high;
}

double bound_of(const std::string& key, const std::string& text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || !std::isfinite(value))
    throw InputError("--fit", fmt::format("{}: '{}' is not a number", key, text),
                     "give KEY=LOW:HIGH");
  return value;
}

void set_number(ChipConfig& chip, const KeyInfo& key, double value) {
  std::visit(
      [&](auto accessor) {
        auto& member = *accessor(chip);
        using Member = std::decay_t<decltype(member)>;
        if constexpr (std::is_same_v<Member, double>) {
          member = value;
        } else if constexpr (!std::is_same_v<Member, std::string>) {
          member = static_cast<Member>(std::llround(value));
        }
      },
      key.member);
}

/// One measured row that takes part.
struct Sample {
  std::size_t table = 0, row = 0;
  int fold = 0;
};

class Fitting {
 public:
  Fitting(const std::vector<MeasuredTable>& tables, const ChipConfig& chip,
          const std::vector<FittedKey>& keys, const CalibrationOptions& options)
      : chip_(chip), keys_(keys), options_(options) {
    std::vector<Sample> all;
    for (std::size_t t = 0; t < tables.size(); ++t) {
      for (std::size_t r = 0; r < tables[t].rows.size(); ++r) all.push_back({t, r, 0});
    }
    measured_ = all.size();
    shuffle(all, 0);
    if (options.most_rows > 0 && all.size() > options.most_rows) all.resize(options.most_rows);
    fold_count_ = static_cast<int>(
        std::min(static_cast<std::size_t>(std::max(0, options.folds)), all.size()));
    if (fold_count_ < 2) fold_count_ = 0;
    // Dealt in the drawn order, so that folds differ by at most a row.
    for (std::size_t i = 0; i < all.size(); ++i)
      all[i].fold = fold_count_ > 0 ? static_cast<int>(i) % fold_count_ : 0;
    std::sort(all.begin(), all.end(), [](const Sample& a, const Sample& b) {
      return std::make_pair(a.table, a.row) < std::make_pair(b.table, b.row);
    });
    for (std::size_t t = 0; t < tables.size(); ++t) {
      MeasuredTable part;
      part.file = tables[t].file;
      part.columns = tables[t].columns;
      for (const Sample& s : all) {
        if (s.table != t) continue;
        part.rows.push_back(tables[t].rows[s.row]);
        folds_.push_back(s.fold);
      }
      if (!part.rows.empty()) tables_.push_back(std::move(part));
    }
  }

  Calibration run() {
    Calibration result;
    result.keys = keys_;
    result.folds = fold_count_;
    result.rows = folds_.size();
    result.measured = measured_;
    result.before = values_of_chip();
    step_.fits = 1 + result.folds;
    result.error_before = error_statistics(signed_percent(errors(result.before)));
    result.after = fit(-1);
    result.error_after = error_statistics(signed_percent(errors(result.after)));
    std::vector<double> held_out(folds_.size());
    for (int fold = 0; fold < result.folds; ++fold) {
      const std::vector<double>& predicted = errors(fit(fold));
      for (std::size_t i = 0; i < folds_.size(); ++i) {
        if (folds_[i] == fold) held_out[i] = predicted[i];
      }
    }
    if (result.folds > 0) result.error_held_out = error_statistics(signed_percent(held_out));
    result.chip = chip_at(result.after);
    result.evaluations = static_cast<int>(known_.size());
    result.notes = notes(result);
    return result;
  }

 private:
  /// Fisher-Yates by the seed.
  void shuffle(std::vector<Sample>& samples, std::uint64_t stream) const {
    const Random random(options_.seed, stream);
    for (std::size_t i = samples.size(); i > 1; --i)
      std::swap(samples[i - 1], samples[random.bits(i) % i]);
  }

  std::vector<std::string> notes(const Calibration& result) const {
    std::vector<std::string> notes;
    if (options_.folds > 0 && result.rows < static_cast<std::size_t>(options_.folds)) {
      notes.push_back(
          result.folds == 0
              ? "one row leaves nothing to fit where it is held out: there is no "
                "cross-validation"
              : fmt::format("there are {} rows: the cross-validation has {} folds, not {}",
                            result.rows, result.folds, options_.folds));
    }
    const std::size_t first_model = 2 * keys_.size() + 1;
    if (keys_.size() > 1 && static_cast<std::size_t>(options_.most_evaluations) < first_model) {
      notes.push_back(
          fmt::format("{} evaluations are fewer than the {} of the optimiser's first model of {} "
                      "numbers: the values are the best that were looked at, and not fitted",
                      options_.most_evaluations, first_model, keys_.size()));
    }
    if (result.folds > 0 && result.error_held_out.mape > result.error_before.mape) {
      notes.emplace_back(
          "rows held out are predicted worse than before the fit: it does not carry over to rows "
          "it has not seen; fit fewer numbers, or to more rows");
    }
    return notes;
  }

  /// As a chip file can hold them: integers whole, others to six digits.
  std::vector<double> rounded(std::vector<double> values) const {
    for (std::size_t k = 0; k < keys_.size(); ++k) {
      if (keys_[k].key->type != KeyType::real) {
        values[k] = std::round(values[k]);
      } else if (values[k] != value_number(*keys_[k].key, chip_)) {
        values[k] = std::stod(fmt::format("{:.6g}", values[k]));
      }
    }
    return values;
  }

  ChipConfig chip_at(const std::vector<double>& values) const {
    ChipConfig chip = chip_;
    for (std::size_t k = 0; k < keys_.size(); ++k) set_number(chip, *keys_[k].key, values[k]);
    return chip;
  }

  /// ln(predicted / measured) of every row at these values, computed once; empty where keys
  /// contradict each other.
  const std::vector<double>& errors(const std::vector<double>& values) {
    const auto found = known_.find(values);
    if (found != known_.end()) return found->second;
    std::vector<double> result;
    const ChipConfig chip = chip_at(values);
    bool sound = true;
    try {
      check_chip(chip);
    } catch (const InputError&) {
      sound = false;
    }
    for (std::size_t t = 0; sound && t < tables_.size(); ++t) {
      const std::vector<Prediction> predictions = predict(tables_[t], chip, options_.prediction);
      for (std::size_t r = 0; r < predictions.size(); ++r)
        result.push_back(std::log(predictions[r].us / tables_[t].rows[r].measured_us));
    }
    return known_.emplace(values, std::move(result)).first->second;
  }

  static std::vector<double> signed_percent(const std::vector<double>& logarithms) {
    std::vector<double> percent;
    for (const double error : logarithms) percent.push_back(100 * std::expm1(error));
    return percent;
  }

  /// Of the rows outside `fold`.
  double loss(const std::vector<double>& values, int fold) {
    ++step_.evaluation;
    options_.progress(step_);
    const std::vector<double>& all = errors(values);
    if (all.empty()) return refused_loss;
    double sum = 0, absolute = 0, count = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (folds_[i] == fold) continue;
      sum += std::sqrt(1 + std::pow(all[i] / error_scale, 2)) - 1;
      absolute += std::abs(std::expm1(all[i]));
      ++count;
    }
    if (sum / count < least_) {
      least_ = sum / count;
      best_ = values;
      step_.mape = 100 * absolute / count;
    }
    return sum / count;
  }

  /// The values of least loss on the rows outside `fold`, of all that were looked at.
  std::vector<double> fit(int fold) {
    ++step_.fit;
    step_.evaluation = 0;
    // The chip's own values stand until better ones are found, whatever their loss.
    best_ = values_of_chip();
    least_ = std::numeric_limits<double>::infinity();
    const std::size_t n = keys_.size();
    nlopt::opt optimiser(n > 1 ? nlopt::LN_BOBYQA : nlopt::LN_SBPLX, static_cast<unsigned>(n));
    optimiser.set_lower_bounds(std::vector<double>(n, 0.0));
    optimiser.set_upper_bounds(std::vector<double>(n, 1.0));
    struct Objective {
      Fitting* fitting;
      int fold;
    } objective{this, fold};
    optimiser.set_min_objective(
        [](const std::vector<double>& x, std::vector<double>&, void* data) {
          const auto& o = *static_cast<Objective*>(data);
          return o.fitting->loss(o.fitting->values_at(x), o.fold);
        },
        &objective);
    optimiser.set_initial_step(first_step);
    optimiser.set_xtol_abs(last_step);
    optimiser.set_maxeval(options_.most_evaluations);
    std::vector<double> x;
    for (const FittedKey& fitted : keys_) {
      const double value = value_number(*fitted.key, chip_);
      x.push_back(std::clamp((value - fitted.low) / (fitted.high - fitted.low), 0.0, 1.0));
    }
    loss(best_, fold);
    double least = 0;
    try {
      optimiser.optimize(x, least);
    } catch (const nlopt::roundoff_limited&) {
      // As good as it gets: best_ holds the result.
    }
    return best_;
  }

  std::vector<double> values_of_chip() const {
    std::vector<double> values;
    for (const FittedKey& fitted : keys_) values.push_back(value_number(*fitted.key, chip_));
    return values;
  }

  std::vector<double> values_at(const std::vector<double>& x) const {
    std::vector<double> values;
    for (std::size_t k = 0; k < keys_.size(); ++k)
      values.push_back(keys_[k].low + x[k] * (keys_[k].high - keys_[k].low));
    return rounded(values);
  }

  const ChipConfig& chip_;
  const std::vector<FittedKey>& keys_;
  const CalibrationOptions& options_;
  std::vector<MeasuredTable> tables_;  // the rows that take part
  std::vector<int> folds_;             // of those rows, in order
  int fold_count_ = 0;
  std::size_t measured_ = 0;
  std::map<std::vector<double>, std::vector<double>> known_;
  CalibrationOptions::Step step_;
  double least_ = 0;
  std::vector<double> best_;
};

std::string describe(const ErrorStatistics& s) {
  return fmt::format("MAPE {:.2f} %, median {:.2f} %, p90 {:.2f} %, bias {:+.2f} %", s.mape,
                     s.median, s.p90, s.bias);
}

}  // namespace

std::vector<FittedKey> fitted_keys(const std::vector<std::string>& texts, const ChipConfig& chip) {
  std::vector<FittedKey> keys;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    FittedKey fitted;
    fitted.key = find_key(name);
    if (fitted.key == nullptr) {
      std::vector<std::string> names;
      for (const KeyInfo& key : chip_schema()) names.push_back(key.name);
      const std::string close = nearest(name, names);
      throw InputError("--fit", fmt::format("there is no key '{}'", name),
                       close.empty() ? "see `tessera list chips --keys`"
                                     : fmt::format("did you mean '{}'?", close));
    }
    if (fitted.key->type != KeyType::real && fitted.key->type != KeyType::integer)
      throw InputError("--fit", fmt::format("{} is not a quantity", name),
                       "give keys whose values are numbers");
    if (std::any_of(keys.begin(), keys.end(),
                    [&](const FittedKey& other) { return other.key == fitted.key; }))
      throw InputError("--fit", fmt::format("{} stands twice", name), "name each key once");
    if (equals != std::string::npos) {
      const std::string range = text.substr(equals + 1);
      const std::size_t colon = range.find(':');
      if (colon == std::string::npos)
        throw InputError("--fit", fmt::format("{}: '{}' is not a range", name, range),
                         "give KEY=LOW:HIGH");
      fitted.low = bound_of(name, range.substr(0, colon));
      fitted.high = bound_of(name, range.substr(colon + 1));
      if (!(fitted.low < fitted.high) || fitted.low < fitted.key->min ||
          fitted.high > fitted.key->max)
        throw InputError("--fit", fmt::format("{}: there is nothing in {}", name, range),
                         fmt::format("give LOW:HIGH within {}", range_text(*fitted.key)));
    } else if (fitted.key->is_calibratable()) {
      fitted.low = fitted.key->plausible_min;
      fitted.high = fitted.key->plausible_max;
    } else {
      throw InputError("--fit", fmt::format("{} has no plausible range of its own", name),
                       fmt::format("give {}=LOW:HIGH", name));
    }
    const double value = value_number(*fitted.key, chip);
    if (!holds(fitted, value))
      throw InputError("--fit",
                       fmt::format("{}: the chip's {} is outside {} to {}", name,
                                   value_text(*fitted.key, chip), fitted.low, fitted.high),
                       fmt::format("give a range that holds it, {}=LOW:HIGH", name));
    keys.push_back(fitted);
  }
  return keys;
}

std::vector<FittedKey> default_fitted_keys(const std::vector<MeasuredTable>& tables,
                                           const ChipConfig& chip) {
  std::set<std::string> wanted;
  for (const MeasuredTable& table : tables) {
    for (const MeasuredRow& row : table.rows) {
      if (!row.field("ranks").empty()) {
        wanted.insert(std::begin(collective_keys), std::end(collective_keys));
      } else if (!row.field("rows").empty()) {
        wanted.insert(std::begin(rowwise_keys), std::end(rowwise_keys));
      } else {
        wanted.insert(std::begin(compute_keys), std::end(compute_keys));
      }
    }
  }
  std::vector<FittedKey> keys;
  for (const KeyInfo& key : chip_schema()) {
    if (wanted.count(key.name) == 0) continue;
    if (chip.collective.in_switch == 0 && key.name.find("in_switch") != std::string::npos) continue;
    const FittedKey fitted{&key, key.plausible_min, key.plausible_max};
    if (holds(fitted, value_number(key, chip))) keys.push_back(fitted);
  }
  return keys;
}

Calibration calibrate(const std::vector<MeasuredTable>& tables, const ChipConfig& chip,
                      const std::vector<FittedKey>& keys, const CalibrationOptions& options) {
  return Fitting(tables, chip, keys, options).run();
}

std::string calibrated_yaml(const Calibration& calibration,
                            const std::vector<MeasuredTable>& tables, const std::string& base,
                            const ChipConfig& base_chip, const std::string& tool_version,
                            std::uint64_t seed) {
  std::string text = fmt::format("# {} fitted to measurements by tessera {} (tessera calibrate).\n",
                                 base_chip.name, tool_version);
  std::string files;
  for (const MeasuredTable& table : tables)
    files +=
        fmt::format("{}{} ({} rows)", files.empty() ? "" : ", ", table.file, table.rows.size());
  // A file's name may hold what would end the comment.
  std::replace_if(
      files.begin(), files.end(), [](unsigned char c) { return std::iscntrl(c) != 0; }, '?');
  text += "#   measurements: " + files + "\n";
  text += fmt::format("#   fitted to {} of {} rows, seed {}, {} evaluations\n", calibration.rows,
                      calibration.measured, seed, calibration.evaluations);
  text += "#   error before: " + describe(calibration.error_before) + "\n";
  text += "#   error after:  " + describe(calibration.error_after) + "\n";
  if (calibration.folds > 0) {
    text += fmt::format("#   held out:     {} ({}-fold cross-validation)\n",
                        describe(calibration.error_held_out), calibration.folds);
  }
  for (const std::string& note : calibration.notes) text += "#   note: " + note + "\n";
  text += fmt::format("base: {}\n", base);
  text +=
      fmt::format("description: {} fitted to {} measurements\n", base_chip.name, calibration.rows);
  std::string section;
  for (const KeyInfo& key : chip_schema()) {
    const std::size_t dot = key.name.find('.');
    if (dot == std::string::npos) continue;
    const std::string value = value_text(key, calibration.chip);
    if (value == value_text(key, base_chip)) continue;
    if (key.name.substr(0, dot) != section) {
      section = key.name.substr(0, dot);
      text += "\n" + section + ":\n";
    }
    const auto fitted = std::find_if(calibration.keys.begin(), calibration.keys.end(),
                                     [&](const FittedKey& f) { return f.key == &key; });
    const std::string why =
        fitted == calibration.keys.end()
            ? "given by --set"
            : fmt::format(
                  "fitted; was {}, searched from {} to {}",
                  calibration.before[static_cast<std::size_t>(fitted - calibration.keys.begin())],
                  fitted->low, fitted->high);
    text += fmt::format("  {}: {}  # {}\n", key.name.substr(dot + 1), value, why);
  }
  return text;
}

}  // namespace tessera
