#include "sim/trace/trace_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "sim/base/error.h"
#include "sim/trace/binary.h"
#include "sim/trace/limits.h"
#include "sim/trace/text.h"

namespace tessera {

Trace read_trace(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    throw InputError({path, 0}, "trace", "it is a directory", "give a file");
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw InputError({path, 0}, "trace",
                     fmt::format("cannot be opened: {}", errno != 0 ? std::strerror(errno) : "?"),
                     "give a trace that exists and may be read");
  }
  // Read in pieces: a pipe or a device has no size to ask for.
  std::string data;
  std::string piece(std::size_t{1} << 20, '\0');
  while (file) {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    data.append(piece, 0, static_cast<std::size_t>(file.gcount()));
    if (data.size() > max_trace_text_bytes) {
      throw InputError({path, 0}, "trace", "the file is too large",
                       fmt::format("at most {} bytes", max_trace_text_bytes));
    }
  }
  if (file.bad()) {
    throw InputError({path, 0}, "trace", "an error while reading it", "check the disk");
  }
  return is_binary_trace(data) ? parse_binary(data, path) : parse_text(data, path);
}

}  // namespace tessera
