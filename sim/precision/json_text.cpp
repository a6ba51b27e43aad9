#include "sim/precision/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "sim/base/error.h"

namespace tessera {

namespace {

using Json = nlohmann::json;

constexpr int max_json_depth = 64;

int line_of(const std::string& text, std::size_t byte) {
  const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(byte, text.size()));
  return 1 + static_cast<int>(std::count(text.begin(), end, '\n'));
}

/// The parser's reason, without its own numbering and position.
std::string explain(const Json::exception& error) {
  const std::string what = error.what();
  const std::size_t reason = what.rfind(": ");
  return reason == std::string::npos ? what : what.substr(reason + 2);
}

}  // namespace

std::string read_file(const std::string& path, std::size_t max_bytes) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = file ? static_cast<std::streamoff>(file.tellg()) : -1;
  // A folder opens, and says that it is endless.
  if (size < 0 || size == std::numeric_limits<std::streamoff>::max()) {
    throw InputError({path, 0}, "", "cannot be read", "give a file that exists and is readable");
  }
  if (static_cast<std::size_t>(size) > max_bytes) {
    throw InputError({path, 0}, "", fmt::format("{} bytes are too many", size),
                     fmt::format("at most {} are read", max_bytes));
  }
  std::string bytes(static_cast<std::size_t>(size), '\0');
  file.seekg(0);
  if (!file.read(bytes.data(), size)) {
    throw InputError({path, 0}, "", "cannot be read", "give a file that exists and is readable");
  }
  return bytes;
}

Json parse_json(const std::string& text, const std::string& file) {
  const auto refuse_depth = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > max_json_depth) {
      throw InputError({file, 0}, "", fmt::format("nested deeper than {}", max_json_depth),
                       "give JSON of fewer levels");
    }
    return true;
  };
  try {
    return Json::parse(text, refuse_depth);
  } catch (const Json::parse_error& error) {
    throw InputError({file, line_of(text, error.byte)}, "", "not JSON", explain(error));
  } catch (const Json::exception& error) {
    throw InputError({file, 0}, "", "not JSON", explain(error));
  }
}

}  // namespace tessera
