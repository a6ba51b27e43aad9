#pragma once

#include <string>
#include <vector>

#include "sim/precision/stored_tensor.h"

namespace tessera {

/// The tensors of a .safetensors file, by offset. Nothing but the header is read.
///
/// Format: 8 bytes with the header's length (little endian, at most 100,000,000), the header (a
/// JSON object: name -> {dtype, shape, data_offsets: [begin, end)} and optionally __metadata__),
/// then the data. Strict: tensors cover the data without gaps or overlaps, every size agrees with
/// its shape and type, names and keys stand once. Throws InputError otherwise.
std::vector<StoredTensor> read_safetensors(const std::string& path);

}  // namespace tessera
