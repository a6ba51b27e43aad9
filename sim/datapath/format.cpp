#include "sim/datapath/format.h"

#include <fmt/format.h>

#include "sim/base/error.h"

namespace tessera {
namespace {

struct FormatFacts {
  Format format;
  std::string_view name;
  int bits;
};

// Indexed by Format; the order is the declaration's.
constexpr FormatFacts facts[] = {
    {Format::fp32, "fp32", 32}, {Format::tf32, "tf32", 32}, {Format::bf16, "bf16", 16},
    {Format::fp16, "fp16", 16}, {Format::e4m3, "e4m3", 8},  {Format::e5m2, "e5m2", 8},
    {Format::int32, "int32", 32},
};

const FormatFacts& facts_of(Format format) { return facts[static_cast<std::size_t>(format)]; }

}  // namespace

int bits(Format format) { return facts_of(format).bits; }

Bytes bytes(Format format, std::int64_t elements) {
  return Bytes(ceil_div(elements * bits(format), 8));
}

std::string_view name(Format format) { return facts_of(format).name; }

const std::vector<Format>& all_formats() {
  static const std::vector<Format> formats = [] {
    std::vector<Format> all;
    for (const FormatFacts& f : facts) all.push_back(f.format);
    return all;
  }();
  return formats;
}

Format parse_format(std::string_view text) {
  std::vector<std::string> names;
  for (const FormatFacts& f : facts) {
    if (f.name == text) return f.format;
    names.emplace_back(f.name);
  }
  const std::string close = nearest(std::string(text), names);
  throw InputError("format", fmt::format("unknown number format '{}'", text),
                   close.empty() ? fmt::format("one of {}", fmt::join(names, ", "))
                                 : fmt::format("did you mean '{}'?", close));
}

}  // namespace tessera
