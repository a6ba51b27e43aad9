#include "sim/frontend/hf_config.h"

#include "tests/fuzz/model_graph.h"
#include "tests/fuzz/target.h"

namespace tessera::test {

/// A Hugging Face config.json, and the graphs of the model.
void feed(std::string_view input) {
  build_graphs(parse_hf_config(std::string(input), "model/config.json"));
}

}  // namespace tessera::test
