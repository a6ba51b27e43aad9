#pragma once

#include <cstdint>

#include "sim/base/random.h"
#include "sim/datapath/format.h"
#include "sim/datapath/isa.h"

namespace tessera {

// Conversions of arrays, the vectorised counterparts of encode() and decode() in format.h and equal
// to them code by code. One element per std::uint8_t for formats of 8 bits and fewer (not packed),
// per std::uint16_t for those of 16. A format of another width throws std::invalid_argument.

/// codes[i] = encode(format, values[i], Rounding::nearest_even, overflow) for i < n.
void encode(Format format, Overflow overflow, const float* values, std::uint8_t* codes,
            std::int64_t n, Isa isa = best_isa());
void encode(Format format, Overflow overflow, const float* values, std::uint16_t* codes,
            std::int64_t n, Isa isa = best_isa());

/// codes[i] = encode(format, values[i], rounding, overflow) for i < n. Stochastic rounding takes
/// the random numbers of encode_stochastic() and throws std::invalid_argument here.
void encode(Format format, Rounding rounding, Overflow overflow, const float* values,
            std::uint8_t* codes, std::int64_t n, Isa isa = best_isa());
void encode(Format format, Rounding rounding, Overflow overflow, const float* values,
            std::uint16_t* codes, std::int64_t n, Isa isa = best_isa());

/// codes[i] = encode(format, values[i], Rounding::stochastic, overflow, random.bits(first + i)) for
/// i < n: any part of an array can be encoded alone.
void encode_stochastic(Format format, Overflow overflow, const Random& random, std::uint64_t first,
                       const float* values, std::uint8_t* codes, std::int64_t n,
                       Isa isa = best_isa());
void encode_stochastic(Format format, Overflow overflow, const Random& random, std::uint64_t first,
                       const float* values, std::uint16_t* codes, std::int64_t n,
                       Isa isa = best_isa());

/// values[i] = decode(format, codes[i]) for i < n.
void decode(Format format, const std::uint8_t* codes, float* values, std::int64_t n,
            Isa isa = best_isa());
void decode(Format format, const std::uint16_t* codes, float* values, std::int64_t n,
            Isa isa = best_isa());

/// rounded[i] = the value of `format` nearest to values[i] (ties to even): encode, then decode.
/// In place if both pointers are the same; any format but int32.
void round_to(Format format, Overflow overflow, const float* values, float* rounded, std::int64_t n,
              Isa isa = best_isa());

}  // namespace tessera
