#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace tessera {

/// The bytes of a file. Throws InputError if it cannot be read, or is longer than `max_bytes`.
std::string read_file(const std::string& path, std::size_t max_bytes);

/// Parses a JSON file's text of at most 64 levels. Throws InputError naming `file` and the line.
nlohmann::json parse_json(const std::string& text, const std::string& file);

}  // namespace tessera
