#include "tests/oracle/oracle.h"

#ifdef TESSERA_HAS_APFLOAT
#include <llvm/ADT/APFloat.h>
#include <llvm/ADT/APInt.h>

#include <cmath>

namespace tessera::test {
namespace {

using Semantics = const llvm::fltSemantics& (*)();

template <Semantics semantics>
std::uint32_t encode_apfloat(float value) {
  llvm::APFloat number(value);
  bool inexact = false;
  number.convert(semantics(), llvm::APFloat::rmNearestTiesToEven, &inexact);
  // Which NaN a conversion gives is a convention: NVIDIA's here, the sign kept where it overflowed.
  if (number.isNaN()) {
    const unsigned bits = llvm::APFloat::getSizeInBits(semantics());
    const bool negative = value < 0;
    return ((1u << (bits - 1)) - 1) | (negative ? 1u << (bits - 1) : 0);
  }
  return static_cast<std::uint32_t>(number.bitcastToAPInt().getZExtValue());
}

template <Semantics semantics>
float decode_apfloat(std::uint32_t code) {
  llvm::APFloat number(semantics(), llvm::APInt(llvm::APFloat::getSizeInBits(semantics()), code));
  bool inexact = false;
  number.convert(llvm::APFloat::IEEEsingle(), llvm::APFloat::rmNearestTiesToEven, &inexact);
  return number.convertToFloat();
}

}  // namespace

std::vector<Oracle> llvm_oracles() {
  using llvm::APFloat;
  const std::string name = "LLVM's APFloat";
  return {
      {name, Format::e4m3, Overflow::to_special, encode_apfloat<APFloat::Float8E4M3FN>,
       decode_apfloat<APFloat::Float8E4M3FN>},
      {name, Format::e5m2, Overflow::to_special, encode_apfloat<APFloat::Float8E5M2>,
       decode_apfloat<APFloat::Float8E5M2>},
      {name, Format::fp16, Overflow::to_special, encode_apfloat<APFloat::IEEEhalf>,
       decode_apfloat<APFloat::IEEEhalf>},
      {name, Format::bf16, Overflow::to_special, encode_apfloat<APFloat::BFloat>,
       decode_apfloat<APFloat::BFloat>},
  };
}

}  // namespace tessera::test

#else

namespace tessera::test {
std::vector<Oracle> llvm_oracles() { return {}; }
}  // namespace tessera::test

#endif
