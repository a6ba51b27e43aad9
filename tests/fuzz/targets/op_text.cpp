#include "sim/frontend/op_text.h"

#include <algorithm>

#include "sim/config/loader.h"
#include "sim/frontend/lowering.h"
#include "tests/fuzz/target.h"

namespace tessera::test {

/// An operation as --op takes it, lowered for the toy chip.
void feed(std::string_view input) {
  static const ChipConfig toy = load_chip("toy", {}, {TESSERA_SOURCE_DIR "/configs/chips"});
  const LayerGraph graph = op_graph(input);
  require(op_graph(graph.workload).workload == graph.workload, "the workload line says the same");
  lower(graph, toy);
}

}  // namespace tessera::test
