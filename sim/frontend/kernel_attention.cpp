#include "sim/frontend/kernel_attention.h"

#include "sim/base/error.h"

namespace tessera {
void lower_attention(SectionBuilder& section, const AttentionProblem&) {
  throw InputError(section.op().name, "attention is not lowered yet", "leave it out");
}
}  // namespace tessera
