#pragma once

#include "sim/sweep/results.h"

namespace tessera {

/// Fills in what follows from the points: who is on the Pareto front of the objectives, and the
/// elasticity of the time and of every metric among the objectives to every axis.
void analyse(SweepResults& results);

}  // namespace tessera
