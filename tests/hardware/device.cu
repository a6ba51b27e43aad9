#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <algorithm>
#include <cmath>

#include "tests/hardware/device.cuh"

namespace hardware {
namespace {

__device__ std::uint32_t mixed(std::uint32_t x) {  // Wellons' 32-bit hash
  x ^= x >> 16;
  x *= 0x7feb352dU;
  x ^= x >> 15;
  x *= 0x846ca68bU;
  return x ^ (x >> 16);
}

/// Of mean 0 and standard deviation 1: the sum of four uniform numbers, scaled.
__device__ float near_normal(std::uint32_t index, std::uint32_t seed) {
  float sum = -2;
  for (std::uint32_t i = 0; i < 4; ++i) sum += mixed(mixed(4 * index + i) + seed) * 0x1p-32F;
  return sum * 1.7320508F;
}

template <class T>
__device__ T converted(float value) {
  return T(value);
}

template <class T>
__global__ void fill_kernel(T* out, std::size_t count, std::uint32_t seed) {
  const std::size_t stride = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride)
    out[i] = converted<T>(near_normal(static_cast<std::uint32_t>(i), seed));
}

template <class T>
void fill_random(const Buffer& buffer, std::uint32_t seed) {
  fill_kernel<<<1024, 256>>>(buffer.as<T>(), buffer.bytes() / sizeof(T), seed);
  HARDWARE_CHECK(cudaGetLastError());
}

/// A captured graph of `launches` launches.
class Graph {
 public:
  Graph(const Launch& launch, int copies, int launches, const Stream& stream) {
    HARDWARE_CHECK(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
    cudaGraph_t graph = nullptr;
    try {
      for (int i = 0; i < launches; ++i) launch(i % copies, stream.get());
      HARDWARE_CHECK(cudaGetLastError());
    } catch (...) {
      cudaStreamEndCapture(stream.get(), &graph);  // or the thread could not allocate any more
      if (graph != nullptr) cudaGraphDestroy(graph);
      throw;
    }
    HARDWARE_CHECK(cudaStreamEndCapture(stream.get(), &graph));
    const cudaError_t status = cudaGraphInstantiateWithFlags(&executable_, graph, 0);
    cudaGraphDestroy(graph);
    check(status, "cudaGraphInstantiateWithFlags");
  }
  ~Graph() { cudaGraphExecDestroy(executable_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  /// Microseconds of one replay.
  double replay(const Stream& stream) {
    begin_.record(stream.get());
    HARDWARE_CHECK(cudaGraphLaunch(executable_, stream.get()));
    end_.record(stream.get());
    end_.wait();
    return end_.us_since(begin_);
  }

 private:
  cudaGraphExec_t executable_ = nullptr;
  Event begin_, end_;
};

}  // namespace

std::size_t size_of(Type type) { return type == Type::fp32 ? 4 : type == Type::e4m3 ? 1 : 2; }

Type type_of(const std::string& dtype) {
  if (dtype == "bf16") return Type::bf16;
  if (dtype == "fp16") return Type::fp16;
  if (dtype == "tf32" || dtype == "fp32") return Type::fp32;
  if (dtype == "fp8") return Type::e4m3;
  throw std::runtime_error("there is no type for dtype=" + dtype);
}

void fill(const Buffer& buffer, Type type, Content content, std::uint32_t seed) {
  if (content == Content::zeros) {
    HARDWARE_CHECK(cudaMemset(buffer.get(), 0, buffer.bytes()));
  } else if (type == Type::bf16) {
    fill_random<__nv_bfloat16>(buffer, seed);
  } else if (type == Type::fp16) {
    fill_random<__half>(buffer, seed);
  } else if (type == Type::fp32) {
    fill_random<float>(buffer, seed);
  } else {
    fill_random<__nv_fp8_e4m3>(buffer, seed);
  }
  HARDWARE_CHECK(cudaDeviceSynchronize());
}

Samples time_in_graph(const Launch& launch, int copies) {
  const Stream stream;
  // Outside of a capture first: the driver loads kernels when they are first launched.
  launch(0, stream.get());
  HARDWARE_CHECK(cudaGetLastError());
  HARDWARE_CHECK(cudaStreamSynchronize(stream.get()));
  int launches = copies;
  {
    // The first replay of a graph uploads it; the second tells how long a rotation takes.
    Graph graph(launch, copies, launches, stream);
    graph.replay(stream);
    launches *= rotations_of_replay(graph.replay(stream), copies);
  }
  Graph graph(launch, copies, launches, stream);
  graph.replay(stream);
  const Replays replays = replays_of_row(graph.replay(stream));
  std::vector<double> us;
  for (int i = 2; i < replays.warm; ++i) graph.replay(stream);
  for (int i = 0; i < replays.measured; ++i) us.push_back(graph.replay(stream) / launches);
  return summary(us);
}

Timed time_launches(Timing timing, const Launch& launch, int copies) {
  if (timing == Timing::graph) return {time_in_graph(launch, copies), "CUDA graph"};
  std::string names;
  const Samples us = time_kernels(launch, copies, names);
  return {us, std::string(kernel_only) + " by CUPTI, " + names};
}

Device this_device() {
  Device device;
  HARDWARE_CHECK(cudaGetDeviceProperties(&device.properties, 0));
  device.name = device.properties.name;
  device.l2_bytes = static_cast<std::size_t>(device.properties.l2CacheSize);
  device.cores = device.properties.multiProcessorCount;
  int khz = 0;
  HARDWARE_CHECK(cudaDeviceGetAttribute(&khz, cudaDevAttrClockRate, 0));
  device.clock_khz = khz;
  return device;
}

}  // namespace hardware
