#include "tests/oracle/oracle.h"

#ifdef TESSERA_HAS_CUDA_HEADERS
#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>

namespace tessera::test {
namespace {

float from_half(__half_raw half) { return decode(Format::fp16, half.x); }

template <__nv_saturation_t saturation, __nv_fp8_interpretation_t format>
std::uint32_t encode_fp8(float value) {
  return __nv_cvt_float_to_fp8(value, saturation, format);
}
template <__nv_fp8_interpretation_t format>
float decode_fp8(std::uint32_t code) {
  return from_half(__nv_cvt_fp8_to_halfraw(static_cast<__nv_fp8_storage_t>(code), format));
}

template <__nv_fp6_interpretation_t format>
std::uint32_t encode_fp6(float value) {
  return __nv_cvt_float_to_fp6(value, format, cudaRoundNearest);
}
template <__nv_fp6_interpretation_t format>
float decode_fp6(std::uint32_t code) {
  return from_half(__nv_cvt_fp6_to_halfraw(static_cast<__nv_fp6_storage_t>(code), format));
}

std::uint32_t encode_fp4(float value) {
  return __nv_cvt_float_to_fp4(value, __NV_E2M1, cudaRoundNearest);
}
float decode_fp4(std::uint32_t code) {
  return from_half(__nv_cvt_fp4_to_halfraw(static_cast<__nv_fp4_storage_t>(code), __NV_E2M1));
}

}  // namespace

std::vector<Oracle> cuda_oracles() {
  const std::string name = "CUDA's host code";
  return {
      {name, Format::e4m3, Overflow::saturate, encode_fp8<__NV_SATFINITE, __NV_E4M3>,
       decode_fp8<__NV_E4M3>},
      {name, Format::e4m3, Overflow::to_special, encode_fp8<__NV_NOSAT, __NV_E4M3>,
       decode_fp8<__NV_E4M3>},
      {name, Format::e5m2, Overflow::saturate, encode_fp8<__NV_SATFINITE, __NV_E5M2>,
       decode_fp8<__NV_E5M2>},
      {name, Format::e5m2, Overflow::to_special, encode_fp8<__NV_NOSAT, __NV_E5M2>,
       decode_fp8<__NV_E5M2>},
      {name, Format::e2m3, Overflow::saturate, encode_fp6<__NV_E2M3>, decode_fp6<__NV_E2M3>},
      {name, Format::e3m2, Overflow::saturate, encode_fp6<__NV_E3M2>, decode_fp6<__NV_E3M2>},
      {name, Format::e2m1, Overflow::saturate, encode_fp4, decode_fp4},
  };
}

}  // namespace tessera::test

#else

namespace tessera::test {
std::vector<Oracle> cuda_oracles() { return {}; }
}  // namespace tessera::test

#endif
