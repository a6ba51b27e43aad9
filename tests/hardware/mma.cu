#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>

#include "tests/hardware/device.cuh"

namespace hardware {
namespace {

// One wgmma of 64 x 8 outputs and 32 bytes of k, A from registers, B from shared memory without a
// swizzle. In bytes the fragments of all operand types are laid out alike (PTX manual, Asynchronous
// Warpgroup Level Matrix Register Fragment): row 16 w + lane / 4 (+ 8 in odd registers of A), four
// bytes from (lane % 4) * 4 (+ 16 in the upper half).

constexpr int m = 64, n = 8, k_bytes = 32;
constexpr int warpgroup = 128;

enum class Operand { e4m3, e5m2, fp16, bf16, tf32 };
enum class Accumulator { fp32, fp16 };

struct Unit {
  const char* name;
  Operand operand;
  Accumulator accumulator;
};
constexpr Unit units[] = {
    {"e4m3.f32", Operand::e4m3, Accumulator::fp32}, {"e5m2.f32", Operand::e5m2, Accumulator::fp32},
    {"fp16.f32", Operand::fp16, Accumulator::fp32}, {"bf16.f32", Operand::bf16, Accumulator::fp32},
    {"tf32.f32", Operand::tf32, Accumulator::fp32}, {"e4m3.f16", Operand::e4m3, Accumulator::fp16},
    {"e5m2.f16", Operand::e5m2, Accumulator::fp16}, {"fp16.f16", Operand::fp16, Accumulator::fp16},
};

#define WGMMA_F32(shape_and_types, tail)                               \
  asm volatile(                                                        \
      "{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n"                       \
      "wgmma.mma_async.sync.aligned." shape_and_types                  \
      " {%0, %1, %2, %3}, {%4, %5, %6, %7}, %8, p, 1, 1" tail ";\n}\n" \
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                 \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
#define WGMMA_F16(shape_and_types, tail)                       \
  asm volatile(                                                \
      "{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n"               \
      "wgmma.mma_async.sync.aligned." shape_and_types          \
      " {%0, %1}, {%2, %3, %4, %5}, %6, p, 1, 1" tail ";\n}\n" \
      : "+r"(h[0]), "+r"(h[1])                                 \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))

/// A [64][32 bytes], B [8][32 bytes] (column j of the product is row j here), C and D [64][8] FP32.
template <Operand operand, Accumulator accumulator>
__global__ void wgmma_kernel(const std::uint8_t* a_bytes, const std::uint8_t* b_bytes,
                             const float* c, float* out) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  // Core matrices of 8 columns x 16 bytes, the two halves of k one after the other.
  __shared__ alignas(128) std::uint8_t shared[n * k_bytes];
  for (int i = static_cast<int>(threadIdx.x); i < n * k_bytes; i += warpgroup) {
    const int column = i / k_bytes, byte = i % k_bytes;
    shared[byte / 16 * 128 + column * 16 + byte % 16] = b_bytes[i];
  }
  asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
  __syncthreads();
  const auto address = static_cast<std::uint64_t>(__cvta_generic_to_shared(shared));
  const std::uint64_t b = ((address & 0x3ffff) >> 4) | (std::uint64_t{128 >> 4} << 16) |
                          (std::uint64_t{256 >> 4} << 32);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int row = 16 * warp + lane / 4, byte = lane % 4 * 4, column = lane % 4 * 2;
  std::uint32_t a[4];
  for (int i = 0; i < 4; ++i)
    std::memcpy(&a[i], a_bytes + (row + i % 2 * 8) * k_bytes + byte + i / 2 * 16, 4);
  float d[4];
  for (int i = 0; i < 4; ++i) d[i] = c[(row + i / 2 * 8) * n + column + i % 2];
  std::uint32_t h[2];
  for (int i = 0; i < 2; ++i) {
    const __half2 pair = __floats2half2_rn(d[2 * i], d[2 * i + 1]);
    std::memcpy(&h[i], &pair, 4);
  }
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
  if constexpr (accumulator == Accumulator::fp32) {
    if constexpr (operand == Operand::e4m3) WGMMA_F32("m64n8k32.f32.e4m3.e4m3", "");
    if constexpr (operand == Operand::e5m2) WGMMA_F32("m64n8k32.f32.e5m2.e5m2", "");
    if constexpr (operand == Operand::fp16) WGMMA_F32("m64n8k16.f32.f16.f16", ", 0");
    if constexpr (operand == Operand::bf16) WGMMA_F32("m64n8k16.f32.bf16.bf16", ", 0");
    if constexpr (operand == Operand::tf32) WGMMA_F32("m64n8k8.f32.tf32.tf32", "");
  } else {
    if constexpr (operand == Operand::e4m3) WGMMA_F16("m64n8k32.f16.e4m3.e4m3", "");
    if constexpr (operand == Operand::e5m2) WGMMA_F16("m64n8k32.f16.e5m2.e5m2", "");
    if constexpr (operand == Operand::fp16) WGMMA_F16("m64n8k16.f16.f16.f16", ", 0");
  }
  asm volatile("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n" ::: "memory");
  for (int i = 0; i < 4; ++i) {
    float value = d[i];
    if constexpr (accumulator == Accumulator::fp16) {
      __half2 pair;
      std::memcpy(&pair, &h[i / 2], 4);
      value = i % 2 == 0 ? __low2float(pair) : __high2float(pair);
    }
    out[(row + i / 2 * 8) * n + column + i % 2] = value;
  }
#endif
}

template <Operand operand, Accumulator accumulator>
void launch(const Buffer& a, const Buffer& b, const Buffer& c, const Buffer& d) {
  wgmma_kernel<operand, accumulator>
      <<<1, warpgroup>>>(a.as<std::uint8_t>(), b.as<std::uint8_t>(), c.as<float>(), d.as<float>());
  HARDWARE_CHECK(cudaGetLastError());
}

void launch(const Unit& unit, const Buffer& a, const Buffer& b, const Buffer& c, const Buffer& d) {
  const bool wide = unit.accumulator == Accumulator::fp32;
  switch (unit.operand) {
    case Operand::e4m3:
      return wide ? launch<Operand::e4m3, Accumulator::fp32>(a, b, c, d)
                  : launch<Operand::e4m3, Accumulator::fp16>(a, b, c, d);
    case Operand::e5m2:
      return wide ? launch<Operand::e5m2, Accumulator::fp32>(a, b, c, d)
                  : launch<Operand::e5m2, Accumulator::fp16>(a, b, c, d);
    case Operand::fp16:
      return wide ? launch<Operand::fp16, Accumulator::fp32>(a, b, c, d)
                  : launch<Operand::fp16, Accumulator::fp16>(a, b, c, d);
    case Operand::bf16:
      return launch<Operand::bf16, Accumulator::fp32>(a, b, c, d);
    case Operand::tf32:
      return launch<Operand::tf32, Accumulator::fp32>(a, b, c, d);
  }
}

int width_of(Operand operand) {
  return operand == Operand::tf32                               ? 4
         : operand == Operand::e4m3 || operand == Operand::e5m2 ? 1
                                                                : 2;
}

/// The nearest value of the type, as its bytes and as FP32.
float encode(Operand operand, float value, std::uint8_t* bytes) {
  switch (operand) {
    case Operand::e4m3: {
      const __nv_fp8_e4m3 code(value);
      std::memcpy(bytes, &code, 1);
      return float(code);
    }
    case Operand::e5m2: {
      const __nv_fp8_e5m2 code(value);
      std::memcpy(bytes, &code, 1);
      return float(code);
    }
    case Operand::fp16: {
      const __half code = __float2half(value);
      std::memcpy(bytes, &code, 2);
      return __half2float(code);
    }
    case Operand::bf16: {
      const __nv_bfloat16 code = __float2bfloat16(value);
      std::memcpy(bytes, &code, 2);
      return __bfloat162float(code);
    }
    case Operand::tf32: {
      std::uint32_t bits = 0;
      std::memcpy(&bits, &value, 4);
      bits &= 0xffffe000U;
      std::memcpy(bytes, &bits, 4);
      std::memcpy(&value, &bits, 4);
      return value;
    }
  }
  return 0;
}

std::string hex(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, 4);
  char text[16];
  std::snprintf(text, sizeof text, "%08x", bits);
  return text;
}

/// Rows of one unit: accumulators of 0 and from far below to far above the products' sum, operands
/// whose exponents spread by `spread` octaves.
std::string rows_of(const Unit& unit) {
  const int width = width_of(unit.operand), k = k_bytes / width;
  std::mt19937 random(2026);
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> place(0, m * n - 1);
  const Buffer a(m * k_bytes), b(n * k_bytes), c(m * n * 4), d(m * n * 4);
  std::string text;
  for (int round = 0; round < 120; ++round) {
    std::uniform_real_distribution<float> octaves(-static_cast<float>(round % 5), 0);
    std::vector<std::uint8_t> a_bytes(m * k_bytes), b_bytes(n * k_bytes);
    std::vector<float> a_values(static_cast<std::size_t>(m * k)),
        b_values(static_cast<std::size_t>(n * k));
    for (std::size_t i = 0; i < a_values.size(); ++i)
      a_values[i] = encode(unit.operand, normal(random) * std::exp2(octaves(random)),
                           &a_bytes[i * static_cast<std::size_t>(width)]);
    for (std::size_t i = 0; i < b_values.size(); ++i)
      b_values[i] = encode(unit.operand, normal(random) * std::exp2(octaves(random)),
                           &b_bytes[i * static_cast<std::size_t>(width)]);
    std::vector<float> c_values(m * n), d_values(m * n);
    for (float& value : c_values) {
      if (round % 4 == 0) break;
      value = normal(random) * std::exp2(static_cast<float>(static_cast<int>(random() % 24) - 12));
      if (unit.accumulator == Accumulator::fp16) value = __half2float(__float2half(value));
    }
    HARDWARE_CHECK(cudaMemcpy(a.get(), a_bytes.data(), a_bytes.size(), cudaMemcpyHostToDevice));
    HARDWARE_CHECK(cudaMemcpy(b.get(), b_bytes.data(), b_bytes.size(), cudaMemcpyHostToDevice));
    HARDWARE_CHECK(cudaMemcpy(c.get(), c_values.data(), c.bytes(), cudaMemcpyHostToDevice));
    launch(unit, a, b, c, d);
    HARDWARE_CHECK(cudaMemcpy(d_values.data(), d.get(), d.bytes(), cudaMemcpyDeviceToHost));
    for (int pick = 0; pick < 20; ++pick) {
      const int at = place(random), i = at / n, j = at % n;
      for (int x = 0; x < k; ++x) text += hex(a_values[static_cast<std::size_t>(i * k + x)]) + " ";
      for (int x = 0; x < k; ++x) text += hex(b_values[static_cast<std::size_t>(j * k + x)]) + " ";
      text += hex(c_values[static_cast<std::size_t>(at)]) + " " +
              hex(d_values[static_cast<std::size_t>(at)]) + "\n";
    }
  }
  return text;
}

}  // namespace

void measure_tensor_cores(const Device& device, const TakeRows& take) {
  if (device.properties.major != 9 || device.properties.minor != 0) return;
  for (const Unit& unit : units) take(std::string("mma.") + unit.name + ".rows", rows_of(unit));
}

}  // namespace hardware
