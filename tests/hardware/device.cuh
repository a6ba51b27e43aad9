#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/hardware/measurement.h"

namespace hardware {

inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess)
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
}
#define HARDWARE_CHECK(call) ::hardware::check((call), #call)

class Stream {
 public:
  Stream() { HARDWARE_CHECK(cudaStreamCreate(&stream_)); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

/// A point of a stream, with its time.
class Event {
 public:
  Event() { HARDWARE_CHECK(cudaEventCreate(&event_)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(cudaStream_t stream) { HARDWARE_CHECK(cudaEventRecord(event_, stream)); }
  bool is_over() const {
    const cudaError_t status = cudaEventQuery(event_);
    if (status == cudaErrorNotReady) {
      cudaGetLastError();  // "not yet" is no error
      return false;
    }
    HARDWARE_CHECK(status);
    return true;
  }
  void wait() const { HARDWARE_CHECK(cudaEventSynchronize(event_)); }
  /// Microseconds from `begin` to this one, which must be over.
  double us_since(const Event& begin) const {
    float ms = 0;
    HARDWARE_CHECK(cudaEventElapsedTime(&ms, begin.event_, event_));
    return ms * 1e3;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// Device memory, freed at the end of its scope.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes) : bytes_(bytes) { HARDWARE_CHECK(cudaMalloc(&data_, bytes)); }
  ~Buffer() { cudaFree(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer(Buffer&& other) noexcept : data_(other.data_), bytes_(other.bytes_) {
    other.data_ = nullptr;
  }
  Buffer& operator=(Buffer&&) = delete;
  void* get() const { return data_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  std::size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

enum class Content { random, zeros };
enum class Type { bf16, fp16, fp32, e4m3 };
std::size_t size_of(Type type);
Type type_of(const std::string& dtype);

/// Fills with numbers of mean 0 and standard deviation 1, the same for the same seed, or zeros.
void fill(const Buffer& buffer, Type type, Content content, std::uint32_t seed);

/// Launches number `turn` of a rotation on `stream`.
using Launch = std::function<void(int turn, cudaStream_t stream)>;

/// Microseconds a launch takes, back to back in a CUDA graph: `copies` launches in a fixed order,
/// as rotations_of_replay() and replays_of_row() have it.
Samples time_in_graph(const Launch& launch, int copies);

/// Of its kernels alone, as a profiler (CUPTI) times them, launched one after the other in a stream
/// for row_ms, or 4096 of them; `names` of the kernels of one launch. Throws where there is no
/// CUPTI.
Samples time_kernels(const Launch& launch, int copies, std::string& names);
bool has_cupti();
/// Throws where kernels cannot be timed although there is CUPTI.
void check_profiler();

enum class Timing { graph, kernels };
struct Timed {
  Samples us;
  std::string how;  ///< for the column source
};
Timed time_launches(Timing timing, const Launch& launch, int copies);

struct Device {
  cudaDeviceProp properties{};
  std::string name;
  std::size_t l2_bytes = 0;
  int cores = 0;
  double clock_khz = 0;  ///< highest clock of the cores
};
Device this_device();

/// Sampling stops when the time given to the program is over.
bool time_is_over();

// What is measured; each in a file of its own.

/// Of the table of cuBLASLt's choices: numbers are those of cublasLt.h.
extern const char* const choice_header;

/// A row for gemm, softmax, ... ; false where this program has no kernel for the operation.
bool measure_gemm(const Operation& operation, const Device& device, Timing timing,
                  std::vector<Row>& rows);
bool measure_rowwise(const Operation& operation, Timing timing, std::vector<Row>& rows);
void measure_memory(const Device& device, std::vector<Fact>& facts);
void measure_launches(const Device& device, std::vector<Fact>& facts);
void measure_power(const Device& device, std::vector<Fact>& facts);

/// What tensor cores make of random rows, as `tessera mma --check` reads them: each unit's for a
/// file of the name, e.g. "mma.e4m3.f32.rows". Nothing on GPUs other than compute capability 9.0.
using TakeRows = std::function<void(const std::string& name, const std::string& rows)>;
void measure_tensor_cores(const Device& device, const TakeRows& take);

/// A repeatable GEMM for the power measurement: 8192-cubed bf16.
Launch large_gemm(Content content, std::vector<Buffer>& buffers);

}  // namespace hardware
