#pragma once

#include "sim/frontend/lowering_section.h"

namespace tessera {

/// The experts of one layer: grouped GEMMs up (and gate) with rows gathered by the routing, the
/// activation, down, and the weighted sum of each token's experts.
///
/// Routing is taken as balanced: min(experts, tokens*topk) experts each get
/// ceil(tokens*topk / that many) rows. What the routing itself costs (sorting tokens by expert) is
/// not modelled beyond the gathered loads.
void lower_moe(SectionBuilder& section);

}  // namespace tessera
