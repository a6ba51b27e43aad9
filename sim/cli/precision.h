#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sim/cli/verb.h"
#include "sim/cli/workload_flags.h"
#include "sim/datapath/error.h"
#include "sim/datapath/unit.h"

namespace tessera::cli {

// `tessera precision VERB`: one function per verb, each in a file of its own.
Verb add_precision_gemm(CLI::App& precision);
Verb add_precision_accumulation(CLI::App& precision);
Verb add_precision_attention(CLI::App& precision);
Verb add_precision_model(CLI::App& precision);

/// The tensor core that multiplies `format` in `gpu` ("h100", or the whole name "h100.e4m3").
/// nullptr for fp32, which the FP32 lanes multiply. Throws InputError under --unit, with the
/// formats that the GPU has.
const Unit* unit_of_format(const std::string& gpu, Format format);

/// --unit, and --chip and --set for the units of a chip: which tensor core multiplies the operands.
class OperandUnitFlags {
 public:
  void add_to(CLI::App& app);
  /// The tensor core that multiplies `format`, by default that of the chip, without one the H100's.
  /// None for fp32, as above. Throws InputError.
  std::optional<Unit> unit(Format format) const;
  /// The chip's files.
  std::vector<InputFile> inputs() const { return chip_.inputs(); }

 private:
  std::string unit_;
  ChipFlags chip_;
};

/// --seed N.
std::uint64_t parse_seed(const std::string& text);

/// rel_rmse, sqnr_db (null without error), max_over_rms, max_over_max, bias, cosine_distance,
/// non_finite.
nlohmann::ordered_json to_json(const ErrorFigures& figures);
nlohmann::ordered_json to_json(const QuantisationStatistics& statistics);

}  // namespace tessera::cli
