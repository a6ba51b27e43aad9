#include <algorithm>
#include <cstdlib>
#include <mutex>
#ifdef HARDWARE_CUPTI
#include <cupti.h>
#endif

#include "tests/hardware/device.cuh"

namespace hardware {

#ifdef HARDWARE_CUPTI

namespace {

void check(CUptiResult status, const char* what) {
  if (status == CUPTI_SUCCESS) return;
  const char* text = "unknown";
  cuptiGetResultString(status, &text);
  throw std::runtime_error(std::string(what) + ": " + text);
}
#define CUPTI_CHECK(call) check((call), #call)

struct Kernel {
  std::uint64_t begin_ns = 0, end_ns = 0;
  std::string name;
};

// CUPTI hands records to functions, on a thread of its own.
std::mutex mutex;
std::vector<Kernel>& kernels = *new std::vector<Kernel>;  // still there when the program ends

void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* bytes, std::size_t* most_records) {
  *bytes = std::size_t{4} << 20;
  *buffer = static_cast<std::uint8_t*>(std::malloc(*bytes));
  if (*buffer == nullptr) *bytes = 0;
  *most_records = 0;  // as many as fit
}

void CUPTIAPI take_buffer(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t,
                          std::size_t valid_bytes) {
  const std::lock_guard<std::mutex> lock(mutex);
  CUpti_Activity* record = nullptr;
  while (cuptiActivityGetNextRecord(buffer, valid_bytes, &record) == CUPTI_SUCCESS) {
    if (record->kind != CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) continue;
    // Later versions of the record only add to its end.
    const auto* const kernel = reinterpret_cast<const CUpti_ActivityKernel4*>(record);
    kernels.push_back({kernel->start, kernel->end, kernel->name == nullptr ? "" : kernel->name});
  }
  std::free(buffer);
}

/// Kernels are recorded while it lives.
class Recording {
 public:
  Recording() {
    static const bool is_registered =
        (CUPTI_CHECK(cuptiActivityRegisterCallbacks(give_buffer, take_buffer)), true);
    static_cast<void>(is_registered);
    {
      const std::lock_guard<std::mutex> lock(mutex);
      kernels.clear();
    }
    CUPTI_CHECK(cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL));
  }
  ~Recording() { cuptiActivityDisable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL); }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  /// What has been launched so far, in the order it ran.
  std::vector<Kernel> all() const {
    HARDWARE_CHECK(cudaDeviceSynchronize());
    CUPTI_CHECK(cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED));
    const std::lock_guard<std::mutex> lock(mutex);
    std::vector<Kernel> sorted = kernels;
    std::sort(sorted.begin(), sorted.end(),
              [](const Kernel& a, const Kernel& b) { return a.begin_ns < b.begin_ns; });
    return sorted;
  }
};

}  // namespace

bool has_cupti() { return true; }

Samples time_kernels(const Launch& launch, int copies, std::string& names) {
  constexpr std::size_t most_launches = 4096, longest_name = 100;
  const Stream stream;
  const auto rotate = [&] {
    for (int turn = 0; turn < copies; ++turn) launch(turn, stream.get());
    HARDWARE_CHECK(cudaGetLastError());
  };
  Event begin, end;
  rotate();
  begin.record(stream.get());
  rotate();
  end.record(stream.get());
  end.wait();
  const auto wanted = static_cast<std::size_t>(row_ms * 1e3 / end.us_since(begin) * copies);
  const std::size_t least = std::clamp<std::size_t>(wanted, 5, most_launches);
  const Recording recording;
  std::size_t launches = 0;
  for (; launches < least; launches += static_cast<std::size_t>(copies)) rotate();
  const std::vector<Kernel> recorded = recording.all();
  std::vector<double> us;
  for (const Kernel& kernel : recorded)
    us.push_back(static_cast<double>(kernel.end_ns - kernel.begin_ns) * 1e-3);
  const Samples samples = summary(sums_of_launches(us, launches));
  names.clear();
  for (std::size_t i = 0; i < recorded.size() / launches; ++i)
    names += (i == 0 ? "" : " + ") + recorded[i].name.substr(0, longest_name);
  return samples;
}

#else

bool has_cupti() { return false; }

Samples time_kernels(const Launch&, int, std::string&) {
  throw std::runtime_error("built without CUPTI");
}

#endif

}  // namespace hardware
