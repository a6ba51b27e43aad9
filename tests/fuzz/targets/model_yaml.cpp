#include "sim/frontend/model_yaml.h"

#include "tests/fuzz/model_graph.h"
#include "tests/fuzz/target.h"

namespace tessera::test {

/// A model description of ours, and the graphs of the model.
void feed(std::string_view input) {
  build_graphs(parse_model_yaml(std::string(input), "model.yaml"));
}

}  // namespace tessera::test
