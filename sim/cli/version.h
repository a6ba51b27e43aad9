#pragma once

namespace tessera::cli {

/// The project's version, from CMakeLists.txt.
constexpr const char* version = TESSERA_VERSION;

}  // namespace tessera::cli
