#include <cstdio>
#include <stdexcept>

#include "sim/base/error.h"
#include "sim/base/units.h"
#include "sim/config/chip_config.h"
#include "sim/datapath/format.h"
#include "sim/frontend/layer_graph.h"
#include "sim/report/result.h"
#include "sim/trace/trace.h"

// SystemC's library refers to it.
int sc_main(int, char**) { return 0; }

int main() {
  const tessera::ChipConfig chip;
  const tessera::Trace trace;
  std::printf("nearest: %s\n", tessera::nearest("hbn", {"l2", "hbm"}).c_str());
  std::printf("tiles: %d\n", static_cast<int>(tessera::ceil_div(4097, 128)));
  std::printf("sections: %d\n", static_cast<int>(trace.sections.size()));
  std::printf("cores: %d\n", chip.core.count);
  std::printf("data: %s\n", DATA_DIR);
}
