#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/config/chip_config.h"
#include "sim/frontend/layer_graph.h"
#include "sim/precision/evaluation.h"
#include "sim/sweep/sweep_file.h"

namespace tessera {

/// A value of one parameter at one point.
struct PointValue {
  std::string text;
  double number = 0;  ///< of a numeric parameter; text_code() of a text
};

/// One point of a sweep: the values of its axes, then of its derived parameters.
struct SweepPoint {
  std::int64_t id = 0;  ///< from 1, in the order of the sampling
  std::vector<PointValue> values;
};

struct SweepPoints {
  std::vector<SweepPoint> points;
  std::int64_t skipped = 0;  ///< by skip_if
};

/// Folders that hold chips and models by name.
struct DataFolders {
  std::vector<std::string> chips, models;
};

/// What a point runs: the chip and the workload that its values make, each looked up once.
class PointBuilder {
 public:
  PointBuilder(const SweepFile& sweep, DataFolders folders);

  /// Every point, constraints applied. A pure function of the sweep file and the data: the same
  /// points whatever else happens. Throws InputError: a chip or model does not exist, an expression
  /// gives no number or one that its parameter cannot take.
  SweepPoints points();

  /// Throws InputError where the keys of the chip contradict each other.
  ChipConfig chip(const SweepPoint& point);
  /// Throws InputError where the values make no workload.
  const LayerGraph& graph(const SweepPoint& point);
  /// How its numbers are studied.
  EvaluationOptions evaluation(const SweepPoint& point) const;
  /// Of everything that the point's result depends on: chip, workload, what is studied and the
  /// version of the program. Points with one digest have one result. Throws InputError like chip()
  /// and graph(), and where the workload does not fit the chip's memory.
  std::string digest(const SweepPoint& point, const std::string& tool_version);

  /// The value of a parameter that the point, the settings, the chip or a default gives;
  /// text_code() of a text.
  double value_of(const SweepPoint& point, const std::string& name);

 private:
  /// The text of a parameter at a point, or nullptr where neither point nor settings have it.
  const std::string* text_of(const SweepPoint& point, const std::string& name) const;
  const ChipConfig& base_chip(const SweepPoint& point);
  void derive(SweepPoint& point);
  bool is_skipped(const SweepPoint& point);
  std::string about(const SweepPoint& point) const;

  const SweepFile& sweep_;
  DataFolders folders_;
  std::map<std::string, std::size_t> columns_;  ///< name to index in SweepPoint::values
  std::map<std::string, std::string> settings_;
  std::map<std::string, ChipConfig> chips_;
  std::map<std::string, std::unique_ptr<LayerGraph>> graphs_;
};

}  // namespace tessera
