#include "sim/cli/data_dirs.h"

#include <cstdlib>
#include <filesystem>

namespace tessera::cli {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> below_data_roots(const char* folder) {
  std::vector<std::string> dirs;
  const auto add = [&](const fs::path& root) { dirs.push_back((root / folder).string()); };
  const char* const data = std::getenv("TESSERA_DATA");
  if (data != nullptr && *data != '\0') add(data);
  std::error_code no_proc;
  const fs::path program = fs::read_symlink("/proc/self/exe", no_proc);
  if (!no_proc) add(program.parent_path().parent_path() / "share" / "tessera");
#ifdef TESSERA_SOURCE_DIR
  add(TESSERA_SOURCE_DIR);
#endif
#ifdef TESSERA_INSTALL_DATADIR
  add(TESSERA_INSTALL_DATADIR);
#endif
  return dirs;
}

}  // namespace

std::vector<std::string> chip_dirs() { return below_data_roots("configs/chips"); }
std::vector<std::string> model_dirs() { return below_data_roots("models"); }

}  // namespace tessera::cli
