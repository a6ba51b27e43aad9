#pragma once

#include <string>
#include <vector>

namespace tessera::cli {

/// Folders that hold chips and models by name, first to last: below $TESSERA_DATA if set, below
/// ../share/tessera beside the program (an installation), in the source tree it was built from, and
/// where an installation was configured to put them.
std::vector<std::string> chip_dirs();
std::vector<std::string> model_dirs();

}  // namespace tessera::cli
