#include "sim/validation/prediction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>

#include "sim/base/error.h"
#include "sim/engine/process_pool.h"
#include "sim/frontend/lowering.h"
#include "sim/frontend/roofline.h"
#include "sim/report/csv.h"
#include "sim/report/figures.h"
#include "sim/trace/link_bytes.h"

namespace tessera {
namespace {

static_assert(std::is_trivially_copyable<Prediction>::value, "predictions cross a pipe as bytes");

// First byte of a child's answer.
enum class Outcome : char { done = 'D', bad_input = 'I', failed = 'F' };

Prediction predict_row(const MeasuredTable& table, const MeasuredRow& row, const ChipConfig& chip,
                       SimulationOptions options) {
  const Trace trace = lower(op_graph(row.op, row.fields, {table.file, row.line}), chip);
  options.jobs = 1;
  options.before.flushed = row.is_after_flush();
  options.before.copies = row.copies();
  const RunResult run = simulate(trace, chip, options);
  Prediction prediction;
  const Figures all = figures(run);
  prediction.us = all.time_us;
  if (row.is_kernel_time()) {
    for (const Section& section : trace.sections) {
      prediction.us -= chip.launch.gap_us * static_cast<double>(section.kernels.size());
    }
  }
  prediction.roofline_us = all.roofline_us;
  prediction.bound = all.bound;
  for (const Section& section : trace.sections) {
    for (std::size_t i = 0; i < section.ops.size(); ++i) {
      const double sent = link_bytes(section, i, chip.collective.in_switch != 0);
      const RooflinePoint point = roofline(section.ops[i], chip, chip.clock.core_mhz, sent);
      prediction.compute_us += point.compute_us;
      prediction.memory_us += std::max(point.memory_us, point.link_us);
    }
  }
  return prediction;
}

std::string answer_of(Outcome outcome, const std::string& text) {
  return std::string(1, static_cast<char>(outcome)) + text;
}

}  // namespace

std::vector<Prediction> predict(const MeasuredTable& table, const ChipConfig& chip,
                                const PredictionOptions& options) {
  std::vector<Prediction> predictions(table.rows.size());
  struct Failure {
    std::size_t row;
    Outcome outcome;
    std::string text;
  };
  std::optional<Failure> first;
  std::size_t done = 0;
  const auto task = [&](std::size_t i) {
    try {
      const Prediction prediction = predict_row(table, table.rows[i], chip, options.simulation);
      return answer_of(Outcome::done,
                       std::string(reinterpret_cast<const char*>(&prediction), sizeof prediction));
    } catch (const InputError& error) {
      return answer_of(Outcome::bad_input, error.what());
    } catch (const std::exception& error) {
      return answer_of(Outcome::failed, error.what());
    }
  };
  const auto answered = [&](std::size_t i, const ProcessAnswer& answer) {
    std::optional<Failure> failure;
    if (!answer.failure.empty()) {
      failure = Failure{i, Outcome::failed, "the prediction " + answer.failure};
    } else if (answer.text[0] != static_cast<char>(Outcome::done)) {
      failure = Failure{i, static_cast<Outcome>(answer.text[0]), answer.text.substr(1)};
    } else {
      std::memcpy(&predictions[i], answer.text.data() + 1, sizeof predictions[i]);
    }
    if (failure && (!first || failure->row < first->row)) first = failure;
    options.progress(++done);
    return first ? AfterAnswer::start_no_more : AfterAnswer::go_on;
  };
  run_processes(table.rows.size(), options.jobs, task, answered);
  if (!first) return predictions;
  const std::string where = fmt::format("{}:{}: ", table.file, table.rows[first->row].line);
  const bool placed = first->text.compare(0, where.size(), where) == 0;
  const std::string text = placed ? first->text : where + first->text;
  if (first->outcome == Outcome::bad_input) throw InputError("", text, "");
  throw SimulationError(text);
}

double error_percent(const Prediction& prediction, const MeasuredRow& row) {
  return 100 * (prediction.us / row.measured_us - 1);
}

std::string per_row_csv(const MeasuredTable& table, const std::vector<Prediction>& predictions) {
  std::string csv;
  for (const std::string& column : table.columns) csv += csv_field(column) + ",";
  csv += fmt::format("{}\n", fmt::join(predicted_columns, ","));
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    for (const std::string& cell : table.rows[i].cells) csv += csv_field(cell) + ",";
    csv += fmt::format("{},{},{}\n", predictions[i].us,
                       error_percent(predictions[i], table.rows[i]), name(predictions[i].bound));
  }
  return csv;
}

}  // namespace tessera
