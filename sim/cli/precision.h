#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "sim/cli/verb.h"
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

/// --seed N.
std::uint64_t parse_seed(const std::string& text);

/// rel_rmse, sqnr_db (null without error), max_over_rms, max_over_max, bias, cosine_distance,
/// non_finite.
nlohmann::ordered_json to_json(const ErrorFigures& figures);
nlohmann::ordered_json to_json(const QuantisationStatistics& statistics);

}  // namespace tessera::cli
