#include <algorithm>
#include <numeric>
#include <string>

#include "tests/hardware/device.cuh"

namespace hardware {
namespace {

constexpr int threads = 512;
constexpr std::size_t mib = std::size_t{1} << 20;

__global__ void read_kernel(const uint4* in, std::size_t count, std::size_t passes, uint4* sink) {
  uint4 sum = {0, 0, 0, 0};
  const std::size_t stride = std::size_t{gridDim.x} * blockDim.x;
  const std::size_t own = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  for (std::size_t pass = 0; pass < passes; ++pass) {
#pragma unroll 8
    for (std::size_t i = own; i < count; i += stride) {
      const uint4 v = __ldcg(in + i);  // past L1
      sum.x ^= v.x;
      sum.y ^= v.y;
      sum.z ^= v.z;
      sum.w ^= v.w;
    }
  }
  // Never true, but the compiler does not know.
  if ((sum.x & sum.y & sum.z & sum.w) == 0x9e3779b9U) *sink = sum;
}

__global__ void write_kernel(uint4* out, std::size_t count) {
  const std::size_t stride = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride)
    out[i] = {1, 2, 3, 4};
}

__global__ void copy_kernel(const uint4* in, uint4* out, std::size_t count) {
  const std::size_t stride = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride)
    out[i] = in[i];
}

/// Sectors of 32 bytes at scattered places: a full-period step through a power of two of them.
__global__ void scattered_kernel(const uint4* in, std::size_t sectors, int each, uint4* sink) {
  uint4 sum = {0, 0, 0, 0};
  std::size_t at = (std::size_t{blockIdx.x} * blockDim.x + threadIdx.x) * 0x9e3779b97f4a7c15ULL;
  for (int i = 0; i < each; ++i) {
    at = at * 6364136223846793005ULL + 1442695040888963407ULL;
    const uint4 v = __ldcg(in + 2 * ((at >> 20) & (sectors - 1)));
    sum.x ^= v.x;
    sum.y ^= v.y;
  }
  if (sum.x == 0x9e3779b9U && sum.y == 0x7f4a7c15U) *sink = sum;
}

/// `steps` along a cycle of pointers, one thread, one load at a time.
__global__ void chase_kernel(const std::uint32_t* next, std::size_t steps, long long* cycles,
                             std::uint32_t* sink) {
  std::uint32_t at = 0;
  const long long began = clock64();
  for (std::size_t i = 0; i < steps; ++i) at = __ldcg(next + at);
  asm volatile("" : "+r"(at)::"memory");  // the clock is read after the loads
  *cycles = clock64() - began;
  *sink = at;
}

__global__ void exp_kernel(float start, int steps, long long* cycles, float* sink) {
  constexpr int chains = 8;
  float x[chains];
  for (int c = 0; c < chains; ++c) x[c] = start + static_cast<float>(threadIdx.x + c) * 1e-3F;
  __syncthreads();
  const long long began = clock64();
  for (int i = 0; i < steps; ++i) {
#pragma unroll
    for (float& v : x) asm volatile("ex2.approx.ftz.f32 %0, %0;" : "+f"(v));
  }
  __syncthreads();
  if (threadIdx.x == 0) *cycles = clock64() - began;
  float sum = 0;
  for (const float v : x) sum += v;
  if (sum == 1.2345F) *sink = sum;
}

__global__ void empty_kernel() {}

double gbps(double bytes, const Samples& us) { return bytes / us.median * 1e-3; }

}  // namespace

void measure_memory(const Device& device, std::vector<Fact>& facts) {
  const auto blocks = static_cast<unsigned>(device.cores * 4);
  const Buffer sink(4096);
  {
    const std::size_t bytes = 4096 * mib, count = bytes / sizeof(uint4);
    const Buffer in(bytes), out(bytes);
    fill(in, Type::fp32, Content::random, 1);
    const auto record = [&](const char* what, double moved, const Launch& launch) {
      facts.push_back({what, "4 GiB, 16-byte accesses, all cores",
                       gbps(moved, time_in_graph(launch, 1)), "GB/s"});
    };
    record("memory read", static_cast<double>(bytes), [&](int, cudaStream_t stream) {
      read_kernel<<<blocks, threads, 0, stream>>>(in.as<uint4>(), count, 1, sink.as<uint4>());
    });
    record("memory write", static_cast<double>(bytes), [&](int, cudaStream_t stream) {
      write_kernel<<<blocks, threads, 0, stream>>>(out.as<uint4>(), count);
    });
    record("memory copy", 2.0 * static_cast<double>(bytes), [&](int, cudaStream_t stream) {
      copy_kernel<<<blocks, threads, 0, stream>>>(in.as<uint4>(), out.as<uint4>(), count);
    });
    constexpr int each = 64;
    const double sectors_read = double{each} * blocks * threads;
    const Samples us = time_in_graph(
        [&](int, cudaStream_t stream) {
          scattered_kernel<<<blocks, threads, 0, stream>>>(in.as<uint4>(), bytes / 32, each,
                                                           sink.as<uint4>());
        },
        1);
    facts.push_back({"memory read, scattered", "32-byte sectors over 4 GiB, all cores",
                     gbps(32 * sectors_read, us), "GB/s"});
  }
  for (const std::size_t size : {2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96, 128}) {
    if (time_is_over()) return;
    const std::size_t bytes = size * mib;
    const Buffer in(bytes);
    fill(in, Type::fp32, Content::random, 1);
    const std::size_t passes = std::max<std::size_t>(1, 512 * mib / bytes);
    const Samples us = time_in_graph(
        [&](int, cudaStream_t stream) {
          read_kernel<<<blocks, threads, 0, stream>>>(in.as<uint4>(), bytes / sizeof(uint4), passes,
                                                      sink.as<uint4>());
        },
        1);
    const std::string footprint = std::to_string(size) + " MiB";
    facts.push_back({"L2 read", footprint + ", all cores, past L1",
                     gbps(static_cast<double>(bytes) * static_cast<double>(passes), us), "GB/s"});

    // One pointer a line of 128 bytes, in a random cycle (Sattolo).
    const std::size_t lines = bytes / 128;
    std::vector<std::uint32_t> order(lines), next(bytes / 4);
    std::iota(order.begin(), order.end(), 0U);
    std::uint64_t state = 1;
    for (std::size_t i = lines - 1; i > 0; --i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      std::swap(order[i], order[(state >> 33) % i]);
    }
    for (std::size_t i = 0; i < lines; ++i)
      next[std::size_t{order[i]} * 32] = order[(i + 1) % lines] * 32;
    HARDWARE_CHECK(cudaMemcpy(in.get(), next.data(), bytes, cudaMemcpyHostToDevice));
    // Once around the whole cycle for what caches then hold of it, once again for the time: a line
    // is found only where it outlives all the others.
    for (int round = 0; round < 2; ++round) {
      chase_kernel<<<1, 1>>>(in.as<std::uint32_t>(), lines, sink.as<long long>(),
                             sink.as<std::uint32_t>() + 16);
      HARDWARE_CHECK(cudaGetLastError());
    }
    long long cycles = 0;
    HARDWARE_CHECK(cudaMemcpy(&cycles, sink.get(), sizeof cycles, cudaMemcpyDeviceToHost));
    facts.push_back({"read latency", footprint + ", one thread, past L1, second walk of a cycle",
                     static_cast<double>(cycles) / static_cast<double>(lines), "cycles"});
  }
}

void check_profiler() {
  std::string names;
  time_kernels([](int, cudaStream_t stream) { empty_kernel<<<1, 32, 0, stream>>>(); }, 1, names);
}

void measure_launches(const Device& device, std::vector<Fact>& facts) {
  const Samples graph =
      time_in_graph([](int, cudaStream_t stream) { empty_kernel<<<1, 32, 0, stream>>>(); }, 1);
  facts.push_back({"launch to launch", "empty kernels in a CUDA graph", graph.median, "us"});
  const Samples wide = time_in_graph(
      [&](int, cudaStream_t stream) {
        empty_kernel<<<static_cast<unsigned>(device.cores), 128, 0, stream>>>();
      },
      1);
  facts.push_back(
      {"launch to launch", "empty kernels of a block a core in a CUDA graph", wide.median, "us"});
  Event begin, end;
  std::vector<double> us;
  for (int sample = 0; sample < 15; ++sample) {
    constexpr int launches = 1000;
    begin.record(nullptr);
    for (int i = 0; i < launches; ++i) empty_kernel<<<1, 32>>>();
    end.record(nullptr);
    end.wait();
    us.push_back(end.us_since(begin) / launches);
  }
  facts.push_back({"launch to launch", "empty kernels in a stream", summary(us).median, "us"});

  const Buffer out(4096);
  constexpr int steps = 4096, exp_threads = 1024;
  exp_kernel<<<1, exp_threads>>>(0.5F, steps, out.as<long long>(), out.as<float>() + 16);
  exp_kernel<<<1, exp_threads>>>(0.5F, steps, out.as<long long>(), out.as<float>() + 16);
  long long cycles = 0;
  HARDWARE_CHECK(cudaMemcpy(&cycles, out.get(), sizeof cycles, cudaMemcpyDeviceToHost));
  facts.push_back({"exp2", "ex2.approx, one core",
                   8.0 * steps * exp_threads / static_cast<double>(cycles), "1/cycle"});
}

}  // namespace hardware
