#include "sim/cli/trace_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sim/base/error.h"
#include "sim/trace/limits.h"
#include "sim/trace/structure.h"
#include "sim/trace/text.h"

namespace tessera::cli {
namespace {

std::string read_file(const std::string& path) {
  const auto fail = [&](const std::string& why) -> std::string {
    throw InputError("FILE", fmt::format("cannot read '{}': {}", path, why),
                     "give a trace that `tessera lower` or `tessera trace pack` wrote");
  };
  // Neither form is longer; a wrong path (a checkpoint) is not read whole.
  constexpr std::size_t limit = std::max(max_trace_text_bytes, max_trace_binary_bytes);
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return fail(std::strerror(errno));
  std::string bytes;
  int error = 0;
  for (;;) {
    constexpr std::size_t step = std::size_t{1} << 18;
    const std::size_t size = bytes.size();
    bytes.resize(size + step);
    const ssize_t count = read(file, bytes.data() + size, step);
    bytes.resize(size + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) error = errno;
    if (count <= 0 || bytes.size() > limit) break;
  }
  close(file);
  if (error != 0) return fail(std::strerror(error));
  if (bytes.size() > limit) return fail(fmt::format("it is larger than {} MiB", limit >> 20));
  return bytes;
}

}  // namespace

Trace read_trace(const std::string& path) {
  if (path.empty()) throw InputError("FILE", "missing", "give a trace that `tessera lower` wrote");
  const std::string bytes = read_file(path);
  return parse_text(bytes, path);
}

void refuse_unsound_structure(const Trace& trace, const std::string& path) {
  const auto refuse = [&](const std::vector<Finding>& findings) {
    for (const Finding& finding : findings) {
      if (finding.severity == Severity::error)
        throw InputError({path, 0}, "", to_text(finding), "`tessera trace check` lists all");
    }
  };
  for (const Section& section : trace.sections) {
    refuse(check_section(section));
    for (const Kernel& kernel : section.kernels) refuse(check_structure(section, kernel));
  }
}

}  // namespace tessera::cli
