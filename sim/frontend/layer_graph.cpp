#include "sim/frontend/layer_graph.h"

namespace tessera {}
