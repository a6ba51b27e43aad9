#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "sim/cli/workload_flags.h"
#include "sim/datapath/unit.h"

namespace tessera::cli {

/// --unit, --out, and --chip and --set for the units of a chip: whose arithmetic.
class UnitFlags {
 public:
  void add_to(CLI::App& app);
  /// Throw InputError.
  Unit unit() const;
  Accumulator accumulator() const;
  /// The chip's files.
  std::vector<InputFile> inputs() const { return chip_.inputs(); }

 private:
  std::string unit_, out_ = "f32";
  ChipFlags chip_;
};

}  // namespace tessera::cli
