#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include <algorithm>
#include <cfloat>

#include "tests/hardware/device.cuh"

namespace hardware {
namespace {

// Kernels as good libraries have them: a block a row, eight elements a load, a row kept in
// registers between passes.

constexpr int threads = 256;
constexpr int wide = 8;        // bf16 elements of a 16-byte load
constexpr int most_parts = 8;  // loads a thread keeps: rows of up to 16384 elements

union Pack {
  uint4 words;
  __nv_bfloat16 values[wide];
};

enum class Norm { softmax, layernorm, rmsnorm };
enum class Map { gelu, silu_mul, add };

struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Max {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

template <class Combine>
__device__ float over_block(float value, Combine combine, float neutral) {
  __shared__ float partial[threads / 32];
  for (int offset = 16; offset > 0; offset /= 2)
    value = combine(value, __shfl_xor_sync(0xffffffffU, value, offset));
  __syncthreads();
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  value = neutral;
  for (int i = 0; i < threads / 32; ++i) value = combine(value, partial[i]);
  return value;
}

template <Norm norm>
__global__ void norm_kernel(const uint4* in, uint4* out, int packs) {
  const uint4* const row = in + std::size_t{blockIdx.x} * packs;
  uint4* const to = out + std::size_t{blockIdx.x} * packs;
  Pack part[most_parts];
  float first = norm == Norm::softmax ? -FLT_MAX : 0, second = 0;
#pragma unroll
  for (int p = 0; p < most_parts; ++p) {
    const int at = p * threads + static_cast<int>(threadIdx.x);
    if (at >= packs) break;
    part[p].words = row[at];
    for (const __nv_bfloat16 x : part[p].values) {
      const float v = __bfloat162float(x);
      if constexpr (norm == Norm::softmax) {
        first = fmaxf(first, v);
      } else {
        first += v;
        second += v * v;
      }
    }
  }
  float shift = 0, scale = 0;
  const float count = static_cast<float>(packs) * wide;
  if constexpr (norm == Norm::softmax) {
    shift = over_block(first, Max(), -FLT_MAX);
    float sum = 0;
#pragma unroll
    for (int p = 0; p < most_parts; ++p) {
      if (p * threads + static_cast<int>(threadIdx.x) >= packs) break;
      for (const __nv_bfloat16 x : part[p].values) sum += __expf(__bfloat162float(x) - shift);
    }
    scale = 1 / over_block(sum, Sum(), 0);
  } else {
    const float squares = over_block(second, Sum(), 0) / count;
    if constexpr (norm == Norm::layernorm) shift = over_block(first, Sum(), 0) / count;
    scale = rsqrtf(squares - shift * shift + 1e-5F);
  }
#pragma unroll
  for (int p = 0; p < most_parts; ++p) {
    const int at = p * threads + static_cast<int>(threadIdx.x);
    if (at >= packs) break;
    for (__nv_bfloat16& x : part[p].values) {
      const float v = __bfloat162float(x) - shift;
      x = __float2bfloat16(norm == Norm::softmax ? __expf(v) * scale : v * scale);
    }
    to[at] = part[p].words;
  }
}

template <Map map>
__global__ void map_kernel(const uint4* in, const uint4* second, uint4* out, std::size_t packs) {
  const std::size_t at = std::size_t{blockIdx.x} * threads + threadIdx.x;
  if (at >= packs) return;
  Pack a, b;
  a.words = in[at];
  if constexpr (map == Map::silu_mul || map == Map::add) b.words = second[at];
#pragma unroll
  for (int i = 0; i < wide; ++i) {
    const float x = __bfloat162float(a.values[i]);
    float y = x;
    if constexpr (map == Map::gelu) {
      y = 0.5F * x * (1 + tanhf(0.79788456F * (x + 0.044715F * x * x * x)));
    } else if constexpr (map == Map::silu_mul) {
      y = x / (1 + __expf(-x)) * __bfloat162float(b.values[i]);
    } else if constexpr (map == Map::add) {
      y = x + __bfloat162float(b.values[i]);
    }
    a.values[i] = __float2bfloat16(y);
  }
  out[at] = a.words;
}

__global__ void cast_kernel(const float4* in, uint4* out, std::size_t packs) {
  const std::size_t at = std::size_t{blockIdx.x} * threads + threadIdx.x;
  if (at >= packs) return;
  const float4 halves[2] = {in[2 * at], in[2 * at + 1]};
  Pack pack;
  for (int h = 0; h < 2; ++h) {
    pack.values[4 * h] = __float2bfloat16(halves[h].x);
    pack.values[4 * h + 1] = __float2bfloat16(halves[h].y);
    pack.values[4 * h + 2] = __float2bfloat16(halves[h].z);
    pack.values[4 * h + 3] = __float2bfloat16(halves[h].w);
  }
  out[at] = pack.words;
}

/// To e4m3, saturating, without a scale: eight elements a thread.
__global__ void cast_fp8_kernel(const uint4* in, uint2* out, std::size_t packs) {
  const std::size_t at = std::size_t{blockIdx.x} * threads + threadIdx.x;
  if (at >= packs) return;
  Pack pack;
  pack.words = in[at];
  __nv_fp8x4_storage_t halves[2];
  for (int h = 0; h < 2; ++h) {
    const __nv_bfloat16* const four = pack.values + 4 * h;
    halves[h] = __nv_fp8x4_e4m3(make_float4(__bfloat162float(four[0]), __bfloat162float(four[1]),
                                            __bfloat162float(four[2]), __bfloat162float(four[3])))
                    .__x;
  }
  out[at] = make_uint2(halves[0], halves[1]);
}

constexpr int tile = 32;

__global__ void transpose_kernel(const __nv_bfloat16* in, __nv_bfloat16* out, int rows, int cols) {
  __shared__ __nv_bfloat16 block[tile][tile + 2];
  for (int i = threadIdx.y; i < tile; i += 8) {
    const int r = blockIdx.y * tile + i, c = blockIdx.x * tile + threadIdx.x;
    if (r < rows && c < cols) block[i][threadIdx.x] = in[std::size_t(r) * cols + c];
  }
  __syncthreads();
  for (int i = threadIdx.y; i < tile; i += 8) {
    const int r = blockIdx.x * tile + i, c = blockIdx.y * tile + threadIdx.x;
    if (r < cols && c < rows) out[std::size_t(r) * rows + c] = block[threadIdx.x][i];
  }
}

template <Norm norm>
void launch_norm(const void* in, void* out, long long rows, long long cols, cudaStream_t stream) {
  norm_kernel<norm><<<static_cast<unsigned>(rows), threads, 0, stream>>>(
      static_cast<const uint4*>(in), static_cast<uint4*>(out), static_cast<int>(cols / wide));
}

unsigned blocks_of(std::size_t packs) {
  return static_cast<unsigned>((packs + threads - 1) / threads);
}

template <Map map>
void launch_map(const void* in, const void* second, void* out, long long count,
                cudaStream_t stream) {
  const auto packs = static_cast<std::size_t>(count / wide);
  map_kernel<map><<<blocks_of(packs), threads, 0, stream>>>(static_cast<const uint4*>(in),
                                                            static_cast<const uint4*>(second),
                                                            static_cast<uint4*>(out), packs);
}

}  // namespace

bool measure_rowwise(const Operation& operation, Timing timing, std::vector<Row>& rows_out) {
  const std::string& op = operation.op;
  const bool is_norm = op == "softmax" || op == "layernorm" || op == "rmsnorm";
  const bool is_map = op == "gelu" || op == "silu_mul" || op == "add";
  if (!is_norm && !is_map && op != "transpose" && op != "cast") return false;
  const auto dtype = operation.fields.find("dtype");
  if (dtype == operation.fields.end()) return false;
  const bool is_cast = op == "cast", to_fp8 = is_cast && dtype->second == "fp8";
  if (dtype->second != "bf16" && !to_fp8) return false;
  const long long rows = operation.size("rows"), cols = operation.size("cols");
  if (cols % wide != 0 || cols > threads * wide * most_parts) return false;
  const std::size_t bytes = static_cast<std::size_t>(rows * cols) * 2;
  const bool from_fp32 = is_cast && !to_fp8;
  const Buffer in(from_fp32 ? 2 * bytes : bytes), second(bytes), out(bytes);
  fill(in, from_fp32 ? Type::fp32 : Type::bf16, Content::random, 1);
  fill(second, Type::bf16, Content::random, 2);
  const Timed timed = time_launches(
      timing,
      [&](int, cudaStream_t stream) {
        if (op == "softmax") launch_norm<Norm::softmax>(in.get(), out.get(), rows, cols, stream);
        if (op == "layernorm")
          launch_norm<Norm::layernorm>(in.get(), out.get(), rows, cols, stream);
        if (op == "rmsnorm") launch_norm<Norm::rmsnorm>(in.get(), out.get(), rows, cols, stream);
        const long long count = rows * cols;
        if (op == "gelu") launch_map<Map::gelu>(in.get(), nullptr, out.get(), count, stream);
        if (op == "silu_mul")
          launch_map<Map::silu_mul>(in.get(), second.get(), out.get(), count, stream);
        if (op == "add") launch_map<Map::add>(in.get(), second.get(), out.get(), count, stream);
        if (is_cast) {
          const auto packs = static_cast<std::size_t>(count / wide);
          if (to_fp8) {
            cast_fp8_kernel<<<blocks_of(packs), threads, 0, stream>>>(in.as<uint4>(),
                                                                      out.as<uint2>(), packs);
          } else {
            cast_kernel<<<blocks_of(packs), threads, 0, stream>>>(in.as<float4>(), out.as<uint4>(),
                                                                  packs);
          }
        }
        if (op == "transpose") {
          const dim3 grid(static_cast<unsigned>((cols + tile - 1) / tile),
                          static_cast<unsigned>((rows + tile - 1) / tile));
          transpose_kernel<<<grid, dim3(tile, 8), 0, stream>>>(
              in.as<__nv_bfloat16>(), out.as<__nv_bfloat16>(), static_cast<int>(rows),
              static_cast<int>(cols));
        }
      },
      1);
  rows_out.push_back({operation, timed.us,
                      "own kernel, " + timed.how + ", operands where the last run left them", ""});
  return true;
}

}  // namespace hardware
