#include <zstd.h>

#include "sim/trace/binary.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/trace_use.h"

namespace tessera::test {
namespace {

/// A binary trace whose frame is right and whose digest (most likely) is not: what mutations of a
/// compressed file never get through to, the reader of the content, sees `body` as it is.
std::string framed(std::string_view body) {
  std::string data = to_binary(Trace{});
  constexpr std::size_t size_at = 8 + 4 + 32, content_at = size_at + 8;
  for (std::size_t i = 0; i < 8; ++i)
    data[size_at + i] = static_cast<char>(std::uint64_t{body.size()} >> (8 * i));
  data.resize(content_at + ZSTD_compressBound(body.size()));
  const std::size_t size = ZSTD_compress(data.data() + content_at, data.size() - content_at,
                                         body.data(), body.size(), 1);
  data.resize(content_at + size);
  return data;
}

}  // namespace

/// A packed trace: the file as it is after a byte 'f', or only its unpacked content.
void feed(std::string_view input) {
  if (!input.empty() && input.front() == 'f') {
    use(parse_binary(input.substr(1), "input.ttb"));
  } else {
    use(parse_binary(framed(input), "input.ttb"));
  }
}

}  // namespace tessera::test
