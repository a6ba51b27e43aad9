#pragma once

#include <string>

#include "sim/precision/stored_tensor.h"

namespace tessera {

/// The array of a NumPy .npy file (format versions 1 to 3), named as the file without its ending.
/// Nothing but the header is read. Little endian float16, float32, float64, integers and bool in C
/// order; the file ends with the last element. Throws InputError otherwise.
StoredTensor read_npy(const std::string& path);

}  // namespace tessera
