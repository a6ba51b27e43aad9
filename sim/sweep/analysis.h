#pragma once

#include "sim/sweep/results.h"

namespace tessera {

/// Fills in what follows from the points: who is on the Pareto front of the objectives, and the
/// elasticity of every objective to every axis.
void analyse(SweepResults& results);

}  // namespace tessera
