#pragma once

#include <string>

#include "sim/config/chip_config.h"
#include "sim/frontend/precision_choice.h"
#include "sim/precision/evaluation.h"
#include "sim/report/policy_result.h"

namespace tessera::cli {

/// A workload whose precisions were chosen, and how.
struct AutoPrecision {
  LayerGraph graph;
  PolicyResult policy;
};

/// `--precision auto`: simulates the layers of every variant, one section each, measures errors
/// with `evaluation`, and chooses the fastest precisions within `budget`
/// (docs/precision-policy.md). At most `jobs` simulations or evaluations run at the same time.
/// Throws InputError and SimulationError.
AutoPrecision choose_precision(const GraphVariants& variants, Precision wide, double budget,
                               const ChipConfig& chip, const EvaluationOptions& evaluation,
                               int jobs);

}  // namespace tessera::cli
