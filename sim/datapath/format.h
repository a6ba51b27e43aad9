#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/units.h"

namespace tessera {

/// A number format as stored in memory. int32 carries indices (token ids).
enum class Format : std::uint8_t { fp32, tf32, bf16, fp16, e4m3, e5m2, int32 };

/// Bits of one stored element (tf32 occupies 32).
int bits(Format format);
/// Bytes of `elements` stored elements, rounded up to whole bytes.
Bytes bytes(Format format, std::int64_t elements);
/// The name used in traces, configs and reports, e.g. "bf16".
std::string_view name(Format format);
/// Every format, in declaration order.
const std::vector<Format>& all_formats();
/// Inverse of name(); throws InputError with the nearest valid name.
Format parse_format(std::string_view text);

}  // namespace tessera
